"""What a limit compares, with bounds: the level itself, or its ratio or difference to another arm.

One rule for each kind of metric, the same for all limits. Of times, rates and memory the launches
are the sample, on the scale of logarithms; of scores the images are; sizes are exact; what was
observed once is taken as it is.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from pytest_perfgate.baselines.store import StoredMetric
from pytest_perfgate.metric import PARITY, Better, Metric, Rule
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.launch_values import (
    equal_cycles,
    growth_resolution,
    launch_ratio,
    launch_values,
    level,
    yardstick_values,
)
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.units import Unit, show_percent
from pytest_perfgate.verdicts.evidence import (
    BOOTSTRAP,
    BOOTSTRAP_ONE,
    EXACT,
    ONCE,
    SIGNS,
    STRETCHES,
    TWO_SESSIONS,
    Compared,
    Evidence,
    Risk,
)

LEAST_SD = 0.005
"""Launches that agree better than this are taken to agree this well: a few that happen to lie in
one mode of a bimodal machine would prove too much."""

TRANSFER_SD = 0.015
"""What still moves between two sessions on one machine after the yardstick has taken out the
machine's drift: standard deviation of the log ratio of two sessions' levels, beyond what the
launches show."""

TRANSFER_SHARE = 0.25
"""Drift that the yardstick saw is taken out, and this share of it is kept as doubt."""

_SIGNS = 0.2
"""The share of `Risk.keep` that is spent on signs; the rest is spent on Student's t."""

CONTROL_ALPHA = 0.05
"""Level, on each side, at which the reference and its unchanged copy look different."""

CONTROL_MARGIN = 0.01
"""A difference of the two up to this is small enough to be left alone."""


def absolute(metric: Metric, evidence: Evidence, risk: Risk) -> Compared | None:
    """The level itself; None: it was not measured."""
    record = evidence.record
    value = level(record, metric)
    if value is None:
        return None
    if metric.rule is Rule.EXACT:
        smallest = record.parity.smallest if record.parity and metric.name == PARITY else ""
        note = f"the smallest input that breaks it: {smallest}" if smallest else ""
        return replace(_exact(value, "value", ""), note=note)
    if metric.rule is Rule.ONCE:
        return replace(_exact(value, "value", ""), method=ONCE, note=ONCE)
    if metric.rule is Rule.STRETCHES:
        return _growth(record, risk)
    if metric.rule is Rule.IMAGES:
        return _accuracy_absolute(metric, record, risk)
    return from_launches(map(_log, launch_values(record, metric).values()), risk, "value", "")


def against_arm(
    metric: Metric, record: RecipeRecord, other: RecipeRecord, against: str, risk: Risk
) -> Compared | None:
    """Value / other (scores: value - other) of two arms of one session; None: it has none."""
    if metric.rule is Rule.IMAGES:
        return _accuracy_difference(metric, record, other.accuracy, risk, against)
    if metric.rule is Rule.EXACT:
        here, there = level(record, metric), level(other, metric)
        return None if here is None or not there else _exact(here / there, "ratio", against)
    ratios = log_ratios(metric, record, other)
    return from_launches(ratios, risk, "ratio", against) if ratios else None


def against_baseline(
    metric: Metric, evidence: Evidence, risk: Risk, now: datetime
) -> Compared | None:
    """Value / stored (scores: value - stored), the machine's drift taken out; None: one of them was
    not measured.
    """
    baseline = evidence.baseline
    if baseline is None:
        return None
    stored = baseline.metrics[metric.name]
    against = f"baseline of {baseline.recorded[:10]} ({baseline.age_days(now):.0f} days old)"
    if metric.rule is Rule.IMAGES:
        return _accuracy_difference(metric, evidence.record, baseline.accuracy, risk, against)
    value = level(evidence.record, metric)
    if value is None:
        return None
    if metric.rule is Rule.EXACT:
        return _exact(value / stored.value, "ratio", against) if stored.value else None
    if len(stored.launches) < 2:
        return None
    sides = _sides(metric, evidence.record, stored, evidence.yardstick)
    sign = _yardstick_sign(metric)
    moved = drift(stored, evidence.yardstick) if sign else None
    note = ""
    if sides.through_yardstick:
        text = show_percent(math.expm1(moved or 0.0))
        note = f"the machine's drift since then, {text}, is taken out"
    elif sign:
        note = "no yardstick is stored with it, so the machine's drift is not taken out"
    moves = bool(sign) or metric.unit in {Unit.SECONDS, Unit.JOULES}
    doubt = math.hypot(TRANSFER_SD, TRANSFER_SHARE * abs(moved or 0.0)) if moves else 0.0
    stored_error = (_spread(sides.then) or 0.0) / math.sqrt(len(sides.then))

    from pytest_perfgate.stats import sequential

    bounds = {
        spending: sequential.two_sample_bounds(
            sides.now, sides.then, alpha, spending, transfer_sd=doubt, least_sd=LEAST_SD
        )
        for spending, alpha in ((sequential.BREAKING, risk.fail), (sequential.KEEPING, risk.keep))
    }
    estimate, fail_low, fail_high = bounds[sequential.BREAKING]
    _, keep_low, keep_high = bounds[sequential.KEEPING]
    return Compared(
        estimate=math.exp(estimate),
        fail_low=_exp(fail_low),
        fail_high=_exp(fail_high),
        keep_low=_exp(keep_low),
        keep_high=_exp(keep_high),
        sample=len(sides.now),
        scale="ratio",
        against=against,
        note=note,
        spread=_spread(sides.now),
        doubt=math.hypot(doubt, stored_error),
        method=TWO_SESSIONS,
        notes=_other_ways(metric, evidence, stored, math.exp(estimate), sides.through_yardstick),
    )


def control_difference(metric: Metric, evidence: Evidence) -> str:
    """What is wrong when the reference and its unchanged copy look different, "" when they do not.

    They are the same code, and the order of arms is drawn anew in every launch: a difference
    that their signs prove, beyond `CONTROL_MARGIN`, is the measurement's own.
    """
    if evidence.control is None or metric.rule is not Rule.LAUNCHES:
        return ""
    one, copy = evidence.control
    ratios = log_ratios(metric, copy, one)
    if not ratios:
        return ""
    from pytest_perfgate.stats.sequential import median_bounds

    estimate, low, high = median_bounds(ratios, CONTROL_ALPHA, CONTROL_ALPHA)
    margin = math.log1p(CONTROL_MARGIN)
    if low <= margin and high >= -margin:
        return ""
    return (
        f"{one.name} and its unchanged copy, measured in the same launches, differ by "
        f"{show_percent(math.expm1(estimate))} in {metric.name}"
    )


def log_ratios(metric: Metric, record: RecipeRecord, other: RecipeRecord) -> list[float]:
    """Log of value / other in each launch that measured both, in their order (`launch_ratio`)."""
    theirs = {launch.index: launch for launch in other.launches}
    found = []
    for launch in sorted(record.launches, key=lambda each: each.index):
        beside = theirs.get(launch.index)
        ratio = launch_ratio(launch, beside, metric.name) if beside else None
        if ratio is not None:
            found.append(ratio)
    return found


def from_launches(logs: Iterable[float], risk: Risk, scale: str, against: str) -> Compared:
    """Bounds on exp of the median of log values, valid at every number of launches."""
    from pytest_perfgate.stats import sequential

    values = list(logs)
    estimate, fail_low, fail_high = sequential.median_bounds(values, risk.fail, risk.fail)
    signs = risk.keep * _SIGNS
    _, sign_low, sign_high = sequential.median_bounds(values, signs, signs)
    _, t_low, t_high = sequential.mean_bounds(
        values, risk.keep - signs, sequential.KEEPING, least_sd=LEAST_SD
    )
    return Compared(
        estimate=_exp(estimate),
        fail_low=_exp(fail_low),
        fail_high=_exp(fail_high),
        keep_low=_exp(max(t_low, sign_low)),
        keep_high=_exp(min(t_high, sign_high)),
        sample=len(values),
        scale=scale,
        against=against,
        spread=_spread(values),
        method=SIGNS,
    )


def drift(stored: StoredMetric, yardstick: tuple[Launch, ...]) -> float | None:
    """Log ratio of the yardstick's time now to its time in the baseline; None: not known."""
    now = yardstick_values(yardstick)
    if not now or not stored.yardstick:
        return None
    return _mean_log(list(now.values())) - _mean_log(list(stored.yardstick))


@dataclass(frozen=True)
class _Sides:
    """Log values of two sessions, each through its own yardstick where both have one."""

    now: list[float]
    then: list[float]
    through_yardstick: bool


def _sides(
    metric: Metric, record: RecipeRecord, stored: StoredMetric, yardstick: tuple[Launch, ...]
) -> _Sides:
    mine, here = launch_values(record, metric), yardstick_values(yardstick)
    then, sign = list(stored.launches), _yardstick_sign(metric)
    paired = bool(sign) and len(stored.yardstick) == len(then) and mine.keys() <= here.keys()
    if not paired:
        return _Sides([_log(mine[index]) for index in sorted(mine)], list(map(_log, then)), False)
    return _Sides(
        [_log(mine[index]) - sign * _log(here[index]) for index in sorted(mine)],
        [_log(each) - sign * _log(yard) for each, yard in zip(then, stored.yardstick, strict=True)],
        True,
    )


def _other_ways(
    metric: Metric, evidence: Evidence, stored: StoredMetric, decided: float, yardstick: bool
) -> tuple[str, ...]:
    """The same comparison made in the other ways, for people: only one of them decides."""
    value = level(evidence.record, metric)
    lines = []
    way = "through the yardstick" if yardstick else "absolutely"
    lines.append(f"{way}: {show_percent(decided - 1)} (this decides)")
    if yardstick and value:
        lines.append(f"absolutely: {show_percent(value / stored.value - 1)}")
    lines += _at_equal_cycles(metric, evidence.record, stored)
    reference, before = evidence.reference, evidence.reference_baseline
    if reference is None or before is None or evidence.baseline is None:
        return tuple(lines)
    then, now = before.metrics.get(metric.name), level(reference, metric)
    if then is None or not now or not value or not then.value:
        return tuple(lines)
    if before.recorded != evidence.baseline.recorded:
        lines.append(f"through {reference.name}: its baseline is of another session")
        return tuple(lines)
    moved = (value / now) / (stored.value / then.value)
    lines.append(f"through {reference.name}: {show_percent(moved - 1)}")
    worse = decided - 1 if metric.better is Better.LOWER else 1 / decided - 1
    alike = abs(moved - 1) < abs(decided - 1) / 2
    if worse > CONTROL_MARGIN and alike:
        lines.append(
            f"{reference.name} moved alike: what both share is the suspect, their code or the "
            "machine; --perf-base tells which"
        )
    return tuple(lines)


def _at_equal_cycles(metric: Metric, record: RecipeRecord, stored: StoredMetric) -> list[str]:
    """The same comparison in cycles of the GPU (time x SM clock), where both sides know them."""
    value = level(record, metric)
    now = [launch.sm_clock for launch in record.launches if launch.sm_clock]
    if metric.unit is not Unit.SECONDS or not (value and stored.value and now and stored.clocks):
        return []
    times = math.log(value / stored.value)
    clocks = statistics.fmean(map(math.log, now)) - statistics.fmean(map(math.log, stored.clocks))
    line = f"in cycles of the GPU (time x SM clock): {show_percent(math.expm1(times + clocks))}"
    if equal_cycles(times, clocks):
        line += f": a clock effect, the SM clock moved by {show_percent(math.expm1(clocks))}"
    return [line]


def _yardstick_sign(metric: Metric) -> int:
    """How a metric moves when the machine slows down: times with it, rates against it."""
    if metric.device_only:  # the yardstick is work of the cores
        return 0
    if metric.unit is Unit.SECONDS:
        return 1
    return -1 if metric.unit is Unit.IMAGES_PER_SECOND else 0


def _growth(record: RecipeRecord, risk: Risk) -> Compared | None:
    from pytest_perfgate.stats.sequential import fixed_bounds

    if record.growth is None or len(record.growth.stretches) < 2:
        return None
    grown = record.growth.stretches
    least = growth_resolution(record.growth)
    estimate, fail_low, fail_high = fixed_bounds(grown, risk.fail, least_sd=least)
    _, keep_low, keep_high = fixed_bounds(grown, risk.keep, least_sd=least)
    return Compared(
        estimate, fail_low, fail_high, keep_low, keep_high, len(grown), "value", method=STRETCHES
    )


def _exact(value: float, scale: str, against: str) -> Compared:
    return Compared(value, value, value, value, value, 1, scale, against)


def _accuracy_absolute(metric: Metric, record: RecipeRecord, risk: Risk) -> Compared | None:
    from pytest_perfgate.verdicts.accuracy_intervals import accuracy_interval

    if record.accuracy is None or metric.name not in record.accuracy.values:
        return None
    value = record.accuracy.values[metric.name]
    fail = accuracy_interval(record.accuracy, metric.name, 2 * risk.fail)
    keep = accuracy_interval(record.accuracy, metric.name, 2 * risk.keep)
    return Compared(
        value,
        fail.low,
        fail.high,
        keep.low,
        keep.high,
        record.accuracy.images,
        "value",
        method=BOOTSTRAP_ONE if fail.low < fail.high else EXACT,
    )


def _accuracy_difference(
    metric: Metric, record: RecipeRecord, other: object, risk: Risk, against: str
) -> Compared | None:
    from pytest_perfgate.records.accuracy import Accuracy
    from pytest_perfgate.verdicts.accuracy_intervals import accuracy_difference

    if record.accuracy is None or not isinstance(other, Accuracy):
        return None
    fail = accuracy_difference(record.accuracy, other, metric.name, 2 * risk.fail)
    keep = accuracy_difference(record.accuracy, other, metric.name, 2 * risk.keep)
    if fail is None or keep is None:
        return None
    return Compared(
        fail.estimate,
        fail.low,
        fail.high,
        keep.low,
        keep.high,
        record.accuracy.images,
        "difference",
        against,
        "identical predictions" if fail.identical else "",
        method=EXACT if fail.identical else BOOTSTRAP,
    )


def _spread(values: list[float]) -> float | None:
    """Standard deviation of one launch's log value, None for fewer than two launches; from the
    middle half of them where that says less, so that one launch gone wrong does not make every
    other look hopeless.
    """
    if len(values) < 2:
        return None
    whole = statistics.stdev(values)
    if len(values) < _MIDDLE_HALF:
        return whole
    low, _, high = statistics.quantiles(values, n=4)
    return min(whole, (high - low) / _NORMAL_HALF)


_MIDDLE_HALF = 6  # launches from which on quartiles mean something
_NORMAL_HALF = 1.349  # between the quartiles of a normal distribution, in standard deviations


def _mean_log(values: list[float]) -> float:
    return math.fsum(map(_log, values)) / len(values)


_TINY = 1e-12


def _log(value: float) -> float:
    return math.log(max(value, _TINY))


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf
