"""Limits that a new version is held to beside the old one: from options and a suite's budgets."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.live.gate_record import GateRecord
from pytest_perfgate.units import Unit, parse

_LATENCY = re.compile(r"(?:request_)?latency_p(\d+)")
_OF_REQUESTS = "request_latency_"
SCORE_DROP = 0.02
"""The usual limit on the mean of the best score."""


@dataclass(frozen=True)
class LatencyLimit:
    """A limit on a quantile of the latency.

    Attributes:
        share: of the requests that are at most so slow, 0.95.
        ratio: of the new version to the old one, at most; None: not limited.
        seconds: of the new version, at most; None: not limited.
    """

    share: float
    ratio: float | None = None
    seconds: float | None = None

    @property
    def name(self) -> str:
        """As metrics have it: latency_p95, and latency_p999 of 99.9 %."""
        return "latency_p" + f"{100 * self.share:g}".replace(".", "")


@dataclass(frozen=True)
class Limits:
    """What a new version is held to.

    Attributes:
        error_rate: of its requests that raise, at most.
        score_drop: by how much the mean of the best score of a request may be lower; None: as
            usual, and not limited where neither version has scores.
    """

    latency: tuple[LatencyLimit, ...] = (LatencyLimit(0.95, ratio=1.1),)
    error_rate: float = 0.01
    score_drop: float | None = None

    def __post_init__(self) -> None:
        ratios = [limit.ratio for limit in self.latency if limit.ratio is not None]
        for name, value, low, high in (
            *(("quantile", limit.share, 0, 1) for limit in self.latency),
            *(("latency ratio", ratio, 0, 1e6) for ratio in ratios),
            ("error rate", self.error_rate, 0, 1),
            ("score drop", SCORE_DROP if self.score_drop is None else self.score_drop, 0, 1),
        ):
            if not low < value < high:
                raise PerfgateError(
                    f"the {name} is {value:g}", valid=f"above {low} and below {high:g}"
                )


def limits_of(
    record: GateRecord | None,
    *,
    quantile: float | None = None,
    ratio: float | None = None,
    error_rate: float | None = None,
    score_drop: float | None = None,
) -> Limits:
    """Limits by options; what they leave open is from the record's budgets, the rest is usual.

    `regression` of a latency is a ratio to the old version, `max` of a latency of requests and of
    the error rate is absolute. Budgets on scores need the truth, which requests do not have.

    Raises:
        PerfgateError: a limit is out of range, or a budget cannot be read.
    """
    usual = Limits()
    latency: tuple[LatencyLimit, ...] = ()
    budgets = record.recipe.spec.get("budgets", {}) if record else {}
    if quantile is None and ratio is None:
        latency = tuple(_latency(budgets))
    if not latency:
        latency = (
            LatencyLimit(
                usual.latency[0].share if quantile is None else quantile,
                ratio=usual.latency[0].ratio if ratio is None else ratio,
            ),
        )
    if error_rate is None and "max" in budgets.get("error_rate", {}):
        error_rate = _number(budgets["error_rate"]["max"], Unit.RATIO)
    return Limits(
        latency=latency,
        error_rate=usual.error_rate if error_rate is None else error_rate,
        score_drop=score_drop,
    )


def _latency(budgets: dict[str, dict[str, str]]) -> list[LatencyLimit]:
    limits = []
    for metric, budget in budgets.items():
        match = _LATENCY.fullmatch(metric)
        if match is None:
            continue
        share = float(f"0.{match[1]}")
        regression, most = budget.get("regression"), budget.get("max")
        ratio = None if regression is None else 1.0 + _number(regression, Unit.RATIO)
        # That of a bare inference on the gate's machine is none of a request in production.
        seconds = (
            _number(most, Unit.SECONDS)
            if most is not None and metric.startswith(_OF_REQUESTS)
            else None
        )
        if ratio is not None or seconds is not None:
            limits.append(LatencyLimit(share, ratio, seconds))
    return limits


def _number(text: str, unit: Unit) -> float:
    """A limit as the suite has it, "5%" or "5%, stored 25%"."""
    return parse(text.partition(",")[0], unit)
