"""The noise of identical arms, and which tolerances it leaves decidable in which time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from pytest_perfgate.frozen import Frozen
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.launch_values import launch_value
from pytest_perfgate.stats.variance import components, launches_needed, launches_to_keep
from pytest_perfgate.verdicts.evidence import Risk
from pytest_perfgate.verdicts.limit_bounds import LEAST_SD

TOLERANCES = (0.01, 0.02, 0.05, 0.10, 0.20)


CALM_TOLERANCE, CALM_SECONDS = 0.05, 60.0
"""A machine that decides this tolerance in this time is calm enough."""


_RISK, _POWER = Risk(fail=0.01), 0.8  # one budget, the default of --perf-alpha


_PATIENCE = 600.0  # seconds that the table goes to


class Noise(Frozen):
    """Standard deviations of logs: 0.01 is about 1 %.

    Attributes:
        launches, pairs, rounds: how many there were; pairs over all launches, rounds per launch.
        within: of one round's ratio between the two arms of a pair.
        between: what a pair adds to that for all its rounds.
        p50, p95: of a launch's ratio of medians, or of 95th percentiles. The truth is 1, so they
            are taken from there and not from the mean.
        level: of an arm's median time over launches.
    """

    launches: int
    pairs: int
    rounds: int
    within: float
    between: float
    p50: float
    p95: float
    level: float


class Answer(Frozen):
    """What one tolerance takes: launches and seconds for each verdict, None: not in ten minutes."""

    tolerance: float
    fail_launches: int | None
    fail_seconds: float | None
    pass_launches: int | None
    pass_seconds: float | None


def noise_of(launches: Sequence[dict[str, Launch]]) -> Noise:
    """The noise of launches whose arms are called a0, b0, a1, b1 … and are all the same.

    Raises:
        ValueError: no pair, or too few rounds (see `components`).
    """
    rows, medians, tails = [], [], []
    levels: dict[str, list[float]] = {}
    for arms in launches:
        for name, left in arms.items():
            levels.setdefault(name, []).append(_log(left, "p50"))
            right = arms.get(f"b{name[1:]}")
            if name[0] == "a" and right is not None:
                rows.append(
                    [math.log(a / b) for a, b in zip(left.inference, right.inference, strict=True)]
                )
                medians.append(_log(left, "p50") - _log(right, "p50"))
                tails.append(_log(left, "p95") - _log(right, "p95"))
    parts = components(rows)
    spread = [statistics.variance(values) for values in levels.values() if len(values) > 1]
    return Noise(
        launches=len(launches),
        pairs=len(rows),
        rounds=max(len(row) for row in rows),
        within=math.sqrt(parts.within),
        between=math.sqrt(parts.between),
        p50=_from_zero(medians),
        p95=_from_zero(tails),
        level=math.sqrt(statistics.fmean(spread)) if spread else 0.0,
    )


def _log(launch: Launch, statistic: str) -> float:
    return math.log(launch_value(launch, f"inference_{statistic}") or math.nan)


def _from_zero(logs: Sequence[float]) -> float:
    return math.sqrt(statistics.fmean(log * log for log in logs))


def answer(tolerance: float, sd: float, launch_seconds: float) -> Answer:
    """What it takes to decide a limit at this tolerance, when one launch's log ratio has this `sd`.

    For a PASS nothing has changed, for a FAIL the change is twice the tolerance: either way the
    truth is one tolerance away from the limit.
    """
    known = max(sd, LEAST_SD)

    def cost(count: int | None) -> tuple[int | None, float | None]:
        if count is None or count * launch_seconds > _PATIENCE:
            return None, None
        return count, round(count * launch_seconds, 1)

    fail_launches, fail_seconds = cost(launches_needed(known, tolerance, _RISK.fail, _POWER))
    pass_launches, pass_seconds = cost(launches_to_keep(known, tolerance, _RISK.keep, _POWER))
    return Answer(
        tolerance=tolerance,
        fail_launches=fail_launches,
        fail_seconds=fail_seconds,
        pass_launches=pass_launches,
        pass_seconds=pass_seconds,
    )


def is_calm(answers: Sequence[Answer]) -> bool:
    """Whether both verdicts at a tolerance of 5 % are reached within 60 s."""
    return any(
        answer.tolerance == CALM_TOLERANCE
        and max(answer.fail_seconds or math.inf, answer.pass_seconds or math.inf) <= CALM_SECONDS
        for answer in answers
    )
