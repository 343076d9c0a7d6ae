"""From what was measured to a verdict: pure functions, no clock, no files.

Three answers. FAIL when the evidence says that a limit is broken, PASS when it says that it is
kept, INCONCLUSIVE otherwise. The chance of a wrong FAIL is `Risk.fail` per limit; a session
shares its alpha out over all its limits (Bonferroni), so that it bounds the chance of any.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase

from harness.baselines import Baseline, StoredMetric
from harness.machine import Machine
from harness.metric import Better, Metric, Rule
from harness.recipe import Budget, Condition, Limit, LimitKind
from harness.record import (
    Launch,
    LimitResult,
    MetricSummary,
    RecipeRecord,
    Status,
    Verdict,
)
from harness.units import Unit, show, show_percent
from harness.values import launch_values, level, yardstick_values

SHOWN = 0.05
"""Intervals that are only shown are 95 % intervals."""

LEAST_SD = 0.005
"""Launches that agree better than this are taken to agree this well: a few that happen to lie in
one mode of a bimodal machine would prove too much."""

TRANSFER_SD = 0.015
"""What still moves between two sessions on one machine after the yardstick has taken out the
machine's drift: standard deviation of the log ratio of two sessions' levels, beyond what the
launches show."""

TRANSFER_SHARE = 0.25
"""Drift that the yardstick saw is taken out, and this share of it is kept as doubt."""


@dataclass(frozen=True)
class Risk:
    """Chances of error per limit: `fail` of a wrong FAIL, at all looks together; `keep` of a wrong
    PASS at one look, when the truth lies on the limit.
    """

    fail: float
    keep: float = 0.025


@dataclass(frozen=True)
class Evidence:
    """All that a verdict on one recipe may rest on."""

    record: RecipeRecord
    reference: RecipeRecord | None = None
    baseline: Baseline | None = None
    yardstick: tuple[Launch, ...] = ()
    metrics: Mapping[str, Metric] = field(default_factory=dict)


@dataclass(frozen=True)
class _Compared:
    """An estimate with the two bounds that decide: `low` for one direction, `high` for the other.

    Bounds at `Risk.fail` are (fail_low, fail_high), those at `Risk.keep` (keep_low, keep_high).
    """

    estimate: float
    fail_low: float
    fail_high: float
    keep_low: float
    keep_high: float
    sample: int
    scale: str
    against: str = ""
    note: str = ""


def judge(budget: Budget, metric: Metric, evidence: Evidence, risk: Risk, now: datetime) -> Verdict:
    """The verdict on one budget: that of its worst limit."""
    record, baseline = evidence.record, evidence.baseline
    value, low, high = shown(metric, record)
    stored = baseline.metrics.get(metric.name) if baseline else None
    common = {
        "recipe": record.name,
        "metric": metric.name,
        "unit": metric.unit.value,
        "value": value,
        "low": low,
        "high": high,
        "baseline": stored.value if stored else None,
        "baseline_age": baseline.age_days(now) if baseline and stored else None,
    }
    if record.failure is not None:
        failed = record.failure
        status = Status.SKIPPED if failed.missing_package else Status.ERROR
        return Verdict(**common, status=status, reason=failed.problem, next_step=failed.next_step)
    if value is None:
        return Verdict(
            **common,
            status=Status.ERROR,
            reason=f"{metric.name} was not measured",
            next_step="see the worker's messages in the report; what is not measured never passes",
        )
    results = tuple(_limit(limit, metric, evidence, risk, now) for limit in budget.limits)
    worst = min(results, key=lambda result: result.status.rank)
    return Verdict(
        **common,
        status=worst.status,
        limits=results,
        reason=worst.reason,
        next_step=_next_step(worst, metric, record.name),
    )


def measured(record: RecipeRecord, metric: str) -> Verdict:
    """The verdict on a recipe without budgets: whether it was measured."""
    failed = record.failure
    if failed is None and record.launches:
        return Verdict(
            recipe=record.name, metric=metric, status=Status.PASS, unit="", reason="it was measured"
        )
    return Verdict(
        recipe=record.name,
        metric=metric,
        status=Status.SKIPPED if failed and failed.missing_package else Status.ERROR,
        unit="",
        reason=failed.problem if failed else "it was not measured",
        next_step=failed.next_step if failed else "",
    )


def why_not(condition: Condition | None, machine: Machine) -> str:
    """Why a budget does not apply on a machine, "" when it does."""
    if condition is None:
        return ""
    if condition.cpu and condition.cpu not in machine.features:
        return f"the CPU has no {condition.cpu}"
    if condition.gpu and not any(fnmatchcase(gpu.name, condition.gpu) for gpu in machine.gpus):
        return f"there is no GPU like {condition.gpu}"
    if machine.cores < condition.cores:
        return f"there are {machine.cores} cores, and it asks for {condition.cores}"
    if machine.memory * 2**30 < condition.memory:
        asked = show(condition.memory, Unit.BYTES)
        return f"there are {machine.memory} GiB of memory, and it asks for {asked}"
    return ""


def shown(metric: Metric, record: RecipeRecord) -> tuple[float | None, float | None, float | None]:
    """Value and 95 % interval of one metric of one recipe, for people; None: not measured."""
    value = level(record, metric)
    if value is None or metric.rule is Rule.EXACT:
        return value, None, None
    if metric.rule is Rule.IMAGES:
        if record.accuracy is None or record.accuracy.matches is None:
            return value, None, None
        from harness.accuracy import accuracy_interval

        interval = accuracy_interval(record.accuracy, metric.name, SHOWN)
        return value, interval.low, interval.high
    values = list(launch_values(record, metric).values())
    if len(values) < 2 or min(values) <= 0:
        return value, None, None
    from harness.stats.sequential import fixed_bounds

    _, low, high = fixed_bounds([math.log(each) for each in values], SHOWN / 2)
    return value, math.exp(low), math.exp(high)


def summarise(evidence: Evidence) -> tuple[MetricSummary, ...]:
    """Every metric that was measured of a recipe, with its reference's and baseline's value."""
    found = []
    for metric in evidence.metrics.values():
        value, low, high = shown(metric, evidence.record)
        if value is None:
            continue
        stored = evidence.baseline.metrics.get(metric.name) if evidence.baseline else None
        found.append(
            MetricSummary(
                metric=metric.name,
                value=value,
                low=low,
                high=high,
                reference=level(evidence.reference, metric) if evidence.reference else None,
                baseline=stored.value if stored else None,
            )
        )
    return tuple(found)


def drift(stored: StoredMetric, yardstick: tuple[Launch, ...]) -> float | None:
    """Log ratio of the yardstick's time now to its time in the baseline; None: not known."""
    now = yardstick_values(yardstick)
    if not now or not stored.yardstick:
        return None
    return _mean_log(list(now.values())) - _mean_log(list(stored.yardstick))


def _limit(
    limit: Limit, metric: Metric, evidence: Evidence, risk: Risk, now: datetime
) -> LimitResult:
    if limit.kind in {LimitKind.MAX, LimitKind.MIN}:
        compared = _absolute(metric, evidence, risk)
    elif limit.kind is LimitKind.REGRESSION:
        if evidence.baseline is None or metric.name not in evidence.baseline.metrics:
            return LimitResult(
                kind=limit.kind.value,
                text=limit.text,
                status=Status.NO_BASELINE,
                limit=limit.value,
                reason=f"no baseline of {metric.name} is stored for this machine",
            )
        compared = _against_baseline(metric, evidence, risk, now)
    else:
        if evidence.reference is None or evidence.reference.failure is not None:
            why = evidence.reference.failure if evidence.reference else None
            return LimitResult(
                kind=limit.kind.value,
                text=limit.text,
                status=Status.ERROR,
                limit=limit.value,
                reason=f"the reference {evidence.record.reference!r} was not measured"
                + (f": {why.problem}" if why else ""),
            )
        compared = _against_reference(metric, evidence, risk)
    if compared is None:
        return LimitResult(
            kind=limit.kind.value,
            text=limit.text,
            status=Status.ERROR,
            limit=limit.value,
            reason=f"what {limit.kind.value} compares was not measured on both sides",
        )
    return _decide(limit, metric, compared)


def _decide(limit: Limit, metric: Metric, compared: _Compared) -> LimitResult:
    """Which side of the limit the bounds are on. On every scale here, `worse` says which way is
    bad; a limit that is exactly met is kept.
    """
    bound, worse_is_more = _bound(limit, metric)
    if worse_is_more:
        broken, kept = compared.fail_low > bound, compared.keep_high <= bound
    else:
        broken, kept = compared.fail_high < bound, compared.keep_low >= bound
    if broken:
        status = Status.FAIL
    elif kept:
        status = Status.PASS
    else:
        status = Status.INCONCLUSIVE
    return LimitResult(
        kind=limit.kind.value,
        text=limit.text,
        status=status,
        limit=bound,
        estimate=compared.estimate,
        low=_finite(compared.keep_low if status is Status.PASS else compared.fail_low),
        high=_finite(compared.keep_high if status is Status.PASS else compared.fail_high),
        scale=compared.scale,
        against=compared.against,
        sample=compared.sample,
        reason=_reason(limit, metric, compared, status),
    )


def _bound(limit: Limit, metric: Metric) -> tuple[float, bool]:
    """The limit on the scale of what is compared, and whether more is worse there.

    Ratios are value / other; differences are value - other.
    """
    lower_is_better = metric.better is Better.LOWER
    if limit.kind is LimitKind.MAX:
        return limit.value, True
    if limit.kind is LimitKind.MIN:
        return limit.value, False
    if limit.kind is LimitKind.GROWTH:
        return 1.0 + limit.value, True
    if limit.kind is LimitKind.SPEEDUP:
        return (1.0 / limit.value, True) if lower_is_better else (limit.value, False)
    if not metric.relative:  # drop, or a score's regression
        return (limit.value, True) if lower_is_better else (-limit.value, False)
    return (1.0 + limit.value, True) if lower_is_better else (1.0 / (1.0 + limit.value), False)


def _absolute(metric: Metric, evidence: Evidence, risk: Risk) -> _Compared | None:
    record = evidence.record
    value = level(record, metric)
    if value is None:
        return None
    if metric.rule is Rule.EXACT:
        return _exact(value, "value", "")
    if metric.rule is Rule.IMAGES:
        return _accuracy_absolute(metric, record, risk)
    values = launch_values(record, metric)
    return _from_launches([_log(each) for each in values.values()], risk, "value", "")


def _against_reference(metric: Metric, evidence: Evidence, risk: Risk) -> _Compared | None:
    record, reference = evidence.record, evidence.reference
    if reference is None:
        return None
    against = f"reference {reference.name}"
    if metric.rule is Rule.IMAGES:
        return _accuracy_difference(metric, record, reference.accuracy, risk, against)
    if metric.rule is Rule.EXACT:
        here, there = level(record, metric), level(reference, metric)
        return None if here is None or not there else _exact(here / there, "ratio", against)
    mine, other = launch_values(record, metric), launch_values(reference, metric)
    shared = sorted(mine.keys() & other.keys())
    if not shared:
        return None
    ratios = [_log(mine[index]) - _log(other[index]) for index in shared]
    return _from_launches(ratios, risk, "ratio", against)


def _against_baseline(
    metric: Metric, evidence: Evidence, risk: Risk, now: datetime
) -> _Compared | None:
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
    mine = launch_values(evidence.record, metric)
    sign = _yardstick_sign(metric)
    here = yardstick_values(evidence.yardstick)
    then = list(stored.launches)
    moved = drift(stored, evidence.yardstick) if sign else None
    paired = moved is not None and len(stored.yardstick) == len(then) and mine.keys() <= here.keys()
    if paired:
        current = [_log(mine[index]) - sign * _log(here[index]) for index in sorted(mine)]
        past = [
            _log(each) - sign * _log(yard)
            for each, yard in zip(then, stored.yardstick, strict=True)
        ]
        moved_text = show_percent(math.expm1(moved or 0.0))
        note = f"the machine's drift since then, {moved_text}, is taken out"
    else:
        current = [_log(mine[index]) for index in sorted(mine)]
        past = [_log(each) for each in then]
        note = (
            ""
            if not sign
            else "no yardstick is stored with it, so the machine's drift is not taken out"
        )
    from harness.stats.sequential import fixed_two_sample_bounds, two_sample_bounds

    doubt = 0.0
    if sign:
        doubt = math.hypot(TRANSFER_SD, TRANSFER_SHARE * abs(moved or 0.0))
    if len(past) < 2:
        return None
    estimate, fail_low, fail_high = two_sample_bounds(
        current, past, risk.fail, transfer_sd=doubt, least_sd=LEAST_SD
    )
    keep_low, keep_high = -math.inf, math.inf
    if math.isfinite(fail_low):
        _, keep_low, keep_high = fixed_two_sample_bounds(
            current, past, risk.keep, transfer_sd=doubt, least_sd=LEAST_SD
        )
    return _Compared(
        estimate=math.exp(estimate),
        fail_low=_exp(fail_low),
        fail_high=_exp(fail_high),
        keep_low=_exp(keep_low),
        keep_high=_exp(keep_high),
        sample=len(current),
        scale="ratio",
        against=against,
        note=note,
    )


def _yardstick_sign(metric: Metric) -> int:
    """How a metric moves when the machine slows down: times with it, rates against it."""
    if metric.unit is Unit.SECONDS:
        return 1
    return -1 if metric.unit is Unit.IMAGES_PER_SECOND else 0


def _from_launches(values: list[float], risk: Risk, scale: str, against: str) -> _Compared:
    """Bounds on exp of the mean of log values, valid at every look."""
    from harness.stats.sequential import fixed_bounds, mean_bounds

    estimate, fail_low, fail_high = mean_bounds(values, risk.fail, risk.fail, least_sd=LEAST_SD)
    keep_low, keep_high = -math.inf, math.inf
    if math.isfinite(fail_low):
        _, keep_low, keep_high = fixed_bounds(values, risk.keep, least_sd=LEAST_SD)
    return _Compared(
        estimate=_exp(estimate),
        fail_low=_exp(fail_low),
        fail_high=_exp(fail_high),
        keep_low=_exp(keep_low),
        keep_high=_exp(keep_high),
        sample=len(values),
        scale=scale,
        against=against,
    )


def _exact(value: float, scale: str, against: str) -> _Compared:
    return _Compared(value, value, value, value, value, 1, scale, against)


def _accuracy_absolute(metric: Metric, record: RecipeRecord, risk: Risk) -> _Compared | None:
    from harness.accuracy import accuracy_interval

    if record.accuracy is None or metric.name not in record.accuracy.values:
        return None
    value = record.accuracy.values[metric.name]
    if record.accuracy.matches is None:
        return _exact(value, "value", f"{record.accuracy.images} images, no interval")
    fail = accuracy_interval(record.accuracy, metric.name, 2 * risk.fail)
    keep = accuracy_interval(record.accuracy, metric.name, 2 * risk.keep)
    return _Compared(
        value, fail.low, fail.high, keep.low, keep.high, record.accuracy.images, "value"
    )


def _accuracy_difference(
    metric: Metric, record: RecipeRecord, other: object, risk: Risk, against: str
) -> _Compared | None:
    from harness.accuracy import accuracy_difference
    from harness.record import Accuracy

    if record.accuracy is None or not isinstance(other, Accuracy):
        return None
    fail = accuracy_difference(record.accuracy, other, metric.name, 2 * risk.fail)
    keep = accuracy_difference(record.accuracy, other, metric.name, 2 * risk.keep)
    if fail is None or keep is None:
        return None
    return _Compared(
        fail.estimate,
        fail.low,
        fail.high,
        keep.low,
        keep.high,
        record.accuracy.images,
        "difference",
        against,
        "identical predictions" if fail.identical else "",
    )


def _reason(limit: Limit, metric: Metric, compared: _Compared, status: Status) -> str:
    measured = _compared_text(metric, compared)
    asked = f"{limit.kind.value} {limit.text}"
    sample = "images" if metric.rule is Rule.IMAGES else "launches"
    note = f"; {compared.note}" if compared.note else ""
    if status is Status.FAIL:
        return f"{measured}: {asked} is broken{note}"
    if status is Status.PASS:
        return f"{measured}: {asked} is kept{note}"
    low, high = compared.fail_low, compared.fail_high
    if not math.isfinite(low) or not math.isfinite(high):
        return f"{measured}: {compared.sample} {sample} are too few to decide {asked}{note}"
    width = (high - low) / 2
    if width > abs(compared.estimate):
        return f"{measured}: {compared.sample} {sample} are too few to decide {asked}{note}"
    seen = show_percent(width) if compared.scale == "ratio" else _amount(metric, width)
    return (
        f"{measured}: {compared.sample} {sample} cannot decide {asked}; the smallest change they "
        f"could have proven is about {seen.lstrip('+')}{note}"
    )


def _compared_text(metric: Metric, compared: _Compared) -> str:
    if compared.scale == "ratio":
        return f"{metric.name} is {show_percent(compared.estimate - 1)} to its {compared.against}"
    if compared.scale == "difference":
        return f"{metric.name} is {compared.estimate:+.4f} to its {compared.against}"
    return f"{metric.name} is {show(compared.estimate, metric.unit)}"


def _amount(metric: Metric, value: float) -> str:
    return f"{value:.4f}" if metric.unit is Unit.SCORE else show(value, metric.unit)


def _next_step(worst: LimitResult, metric: Metric, recipe: str) -> str:
    if worst.status is Status.NO_BASELINE:
        return "pytest --perf --perf-update records one for this machine"
    if worst.status is Status.INCONCLUSIVE:
        if metric.rule is Rule.IMAGES:
            return "more validation images, or a wider budget"
        return "--perf-seconds with a larger number, a quieter machine, or a wider budget"
    if worst.status is Status.FAIL:
        if worst.kind == LimitKind.REGRESSION.value:
            return (
                f"find the change that did it; if it is meant: pytest --perf -k {recipe} "
                "--perf-update --perf-reason 'why'"
            )
        return f"change the recipe {recipe!r}, or its budget in recipes.toml"
    if worst.status is Status.ERROR:
        return "see what the report says of the recipe that was not measured"
    return ""


def _mean_log(values: list[float]) -> float:
    return math.fsum(_log(value) for value in values) / len(values)


_TINY = 1e-12


def _log(value: float) -> float:
    return math.log(max(value, _TINY))


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
