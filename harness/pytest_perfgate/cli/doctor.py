"""`pytest-perfgate doctor`: how calm this machine is, what it can decide, and what would help.

It runs the launches that suites are measured with, with arms that are all the same: eight of the
yardstick's workload, in four pairs. What the two arms of a pair differ by is noise.
"""

from __future__ import annotations

import contextlib
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pytest_perfgate.cli.doctor_advice import advice, mean
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.frozen import Frozen
from pytest_perfgate.machine import steadiness
from pytest_perfgate.machine.conditions import Conditions
from pytest_perfgate.machine.cores import usable_cores
from pytest_perfgate.machine.fingerprint import Machine, this_machine
from pytest_perfgate.machine.host_setup import Busy, Neighbours, Surroundings, surroundings
from pytest_perfgate.machine.locks import exclusive
from pytest_perfgate.measure.preparation import Progress
from pytest_perfgate.measure.worker_environment import worker_env
from pytest_perfgate.measure.worker_pool import Ended, Job, Pool
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.launch_values import launch_value
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.stats.variance import components, launches_needed, launches_to_keep
from pytest_perfgate.units import Unit, frequency, percent, show
from pytest_perfgate.verdicts.evidence import Risk
from pytest_perfgate.verdicts.limit_bounds import LEAST_SD
from pytest_perfgate.worker.protocol import (
    ArmFailed,
    ArmMeasured,
    ArmSpec,
    Failed,
    LaunchConditions,
    LaunchJob,
    LaunchPlan,
)

TOLERANCES = (0.01, 0.02, 0.05, 0.10, 0.20)

CALM_TOLERANCE, CALM_SECONDS = 0.05, 60.0
"""A machine that decides this tolerance in this time is calm enough."""

_PAIRS = 4
_BLOCKS = tuple((f"a{pair}", f"b{pair}") for pair in range(_PAIRS))
_ARMS = tuple(label for block in _BLOCKS for label in block)
_FEWEST = 2  # launches, however short the time
_SILENCE = 120.0  # seconds
_VERDICT_ARMS = 4  # a recipe, its reference, the reference's copy and the yardstick
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


class Examination(Frozen):
    """All that `pytest-perfgate doctor` found out, also its JSON file.

    Attributes:
        seconds: how long it measured.
        launch_seconds: what one launch of a recipe, its reference and the yardstick takes, for the
            yardstick's few milliseconds per inference.
        calm: whether a tolerance of 5 % is decided within 60 s.
    """

    version: int = 1
    machine: Machine
    surroundings: Surroundings
    seconds: float
    launch_seconds: float
    noise: Noise
    answers: tuple[Answer, ...]
    conditions: tuple[Conditions, ...]
    busy: tuple[Busy, ...]
    advice: tuple[str, ...]
    calm: bool


def examine(seconds: float, wait: float, tell: Progress) -> Examination:
    """Measures this machine for about so many seconds.

    Raises:
        DeviceBusy: a session is measuring, and still is after `wait` seconds.
        PerfgateError: a launch could not be measured.
    """
    with (
        exclusive(None, wait, tell, option="--wait SECONDS"),
        tempfile.TemporaryDirectory(prefix="perfgate-doctor-") as folder,
        contextlib.ExitStack() as opened,
    ):
        cores = usable_cores()
        found = surroundings(cores)
        neighbours = Neighbours()
        taken = _Taken(opened.enter_context(Pool(1, Path(folder))), cores, Path(folder))
        start = time.monotonic()
        while True:
            passed = time.monotonic() - start
            count = len(taken.walls)
            if count >= _FEWEST and passed + passed / count > seconds:
                break
            tell(f"launch {count + 1}, {passed:.0f} of {seconds:.0f} s")
            taken.launch(passed)
        passed = time.monotonic() - start
        busy = neighbours.busiest(passed)
    noise = noise_of(taken.launches)
    answers = tuple(answer(each, noise.p50, taken.seconds) for each in TOLERANCES)
    return Examination(
        machine=this_machine(),
        surroundings=found,
        seconds=round(passed, 1),
        launch_seconds=round(taken.seconds, 3),
        noise=noise,
        answers=answers,
        conditions=tuple(taken.conditions),
        busy=busy,
        advice=advice(found, taken.conditions, busy, len(cores)),
        calm=is_calm(answers),
    )


class _Taken:
    """The launches taken so far."""

    def __init__(self, pool: Pool, cores: Sequence[int], folder: Path) -> None:
        self._pool = pool
        self._cores = cores
        self._folder = folder
        self.launches: list[dict[str, Launch]] = []
        self.conditions: list[Conditions] = []
        self.walls: list[float] = []

    @property
    def seconds(self) -> float:
        """What a launch with a verdict's arms takes, the median."""
        return statistics.median(self.walls)

    def launch(self, started: float) -> None:
        """One more, on the next core."""
        count = len(self.walls)
        plan = LaunchPlan(
            blocks=_BLOCKS,
            rounds=Settings.rounds,
            batches=(),
            seconds=_SILENCE,
            started=round(started, 3),
            batch_size=0,
        )
        launches: dict[str, Launch] = {}
        start = time.monotonic()
        loaded = 0.0
        self._pool.hold(self._job(count))
        events = self._pool.release(plan)
        if len(self._cores) > 1:  # as in a session: the next one starts while this one loads
            self._pool.hold(self._job(count + 1))
        for _, event in events:
            if isinstance(event, ArmMeasured):
                launches[event.label] = event.launch
            elif isinstance(event, LaunchConditions):
                self.conditions.append(event.conditions)
            elif isinstance(event, ArmFailed):
                raise _broken(event.failure)
            elif isinstance(event, Failed):
                raise _broken(event)
            elif isinstance(event, Ended):
                if event.problem:
                    raise _broken(Failed(event.problem, event.next_step, event.last_words))
            else:
                loaded = loaded or time.monotonic() - start
        if launches.keys() != set(_ARMS):
            raise _broken(Failed("the worker exited without an answer"))
        turns = time.monotonic() - start - loaded
        self.walls.append(loaded + turns * _VERDICT_ARMS / len(_ARMS))
        self.launches.append(launches)

    def _job(self, count: int) -> Job:
        work = LaunchJob(
            index=count,
            cores=(self._cores[count % len(self._cores)],),
            preload=("numpy", "pydantic"),
            separate=False,
            arms=tuple(ArmSpec(label, sys.executable) for label in _ARMS),
            ahead=count > 0,
            silence=_SILENCE,
            logs=self._folder,
        )
        return Job(f"launch {count}", work, self._folder, worker_env(1), _SILENCE * 1.5)


def _broken(failed: Failed) -> PerfgateError:
    words = f"\n{failed.last_words}" if failed.last_words else ""
    return PerfgateError(
        f"the machine could not be measured: {failed.problem}{words}", next_step=failed.next_step
    )


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
    spread = [statistics.variance(each) for each in levels.values() if len(each) > 1]
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
    return math.sqrt(statistics.fmean(each * each for each in logs))


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
        each.tolerance == CALM_TOLERANCE
        and max(each.fail_seconds or math.inf, each.pass_seconds or math.inf) <= CALM_SECONDS
        for each in answers
    )


def words(found: Examination) -> list[str]:
    """The examination for people, line by line."""
    noise, machine = found.noise, found.machine
    lines = [
        f"measured  {machine.id}, {found.seconds:.0f} s: {noise.launches} launches of identical "
        f"code, {noise.pairs} pairs of arms, {noise.rounds} rounds each",
        "",
        "noise, as the standard deviation of a ratio that should be 1",
        f"  one round            {noise.within:7.2%}",
        f"  added by a pair      {noise.between:7.2%}   the same for all its rounds",
        f"  a launch's median    {noise.p50:7.2%}   what counts for latency_p50",
        f"  a launch's p95       {noise.p95:7.2%}   what counts for latency_p95",
        f"  level over launches  {noise.level:7.2%}   what counts for max and min",
        "",
        "conditions (mean, worst launch)",
    ]
    lines += [f"  {name:<20} {text}" for name, text in _conditions(found)]
    lines += [f"  {line}" for line in steadiness.notes(found.conditions)]
    lines += [
        "",
        "seconds per verdict on latency_p50 against the reference, one budget, 80 % of the time",
        "  tolerance    PASS, when nothing changed    FAIL, at twice the tolerance",
    ]
    for each in found.answers:
        kept = _cost(each.pass_launches, each.pass_seconds)
        broken = _cost(each.fail_launches, each.fail_seconds)
        lines.append(f"  {each.tolerance:>8.0%}     {kept:<28}  {broken}")
    lines += [
        f"  A launch takes {found.launch_seconds:.1f} s here; with a model it takes longer, and "
        "arms of different code vary more.",
        "",
    ]
    if found.advice:
        lines.append("what would make it calmer")
        lines += [f"  {number}. {text}" for number, text in enumerate(found.advice, 1)]
    else:
        lines.append("nothing that can be read here would make it calmer")
    state = "calm enough" if found.calm else "not calm enough"
    decided = "decided" if found.calm else "not decided"
    lines += ["", f"{state}: 5 % is {decided} within {CALM_SECONDS:.0f} s"]
    return lines


def _cost(launches: int | None, seconds: float | None) -> str:
    if launches is None or seconds is None:
        return f"not within {_PATIENCE / 60:.0f} minutes"
    return f"{seconds:.0f} s ({launches} launches)"


def _conditions(found: Examination) -> list[tuple[str, str]]:
    seen, set_up = found.conditions, found.surroundings
    none = "not measured"

    def shares(values: Sequence[float | None]) -> str:
        known = [each for each in values if each is not None]
        return f"{percent(mean(known))}, {percent(max(known))}" if known else none

    def total(values: Sequence[int | None]) -> str:
        known = [each for each in values if each is not None]
        return f"{sum(known):,}" if known else none

    def yes(value: bool | None) -> str:
        return none if value is None else "yes" if value else "no"

    lowest = [each.frequency_lowest for each in seen if each.frequency_lowest is not None]
    quota = "none" if set_up.quota is None else f"{set_up.quota:.2g} cores"
    return [
        ("stolen", shares([each.stolen for each in seen])),
        ("used by others", shares([each.others for each in seen])),
        ("waited for the core", shares([each.waited for each in seen])),
        ("stopped by quota", f"{shares([each.quota_stopped for each in seen])}; quota {quota}"),
        ("memory pressure", shares([each.memory_pressure for each in seen])),
        (
            "pages swapped",
            f"{total([each.swapped_in for each in seen])} in, "
            f"{total([each.swapped_out for each in seen])} out; swap in use "
            f"{show(set_up.swap_used, Unit.BYTES)}",
        ),
        ("slowed for heat", total([each.throttle_events for each in seen])),
        (
            "frequency",
            f"{frequency(mean([each.frequency_mean for each in seen]))}, lowest "
            f"{frequency(min(lowest, default=None))}; governor {set_up.governor or none}, boost "
            f"{yes(set_up.boost)}",
        ),
        ("SMT siblings used", yes(set_up.siblings)),
        ("virtual machine", yes(set_up.virtual)),
        ("load before", none if set_up.load is None else f"{set_up.load:.2f} ready processes"),
    ]
