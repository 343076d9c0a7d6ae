"""From what was measured to a verdict: pure functions, no clock, no files.

Three answers. FAIL when the evidence says that a limit is broken, PASS when it says that it is
kept, INCONCLUSIVE otherwise. The chance of a wrong FAIL is `Risk.fail` per limit; a session
shares its alpha out over all its limits (Bonferroni), so that it bounds the chance of any.
"""

from __future__ import annotations

import math
from datetime import datetime

from pytest_perfgate.metric import OVER_FOLDS, TAIL, Better, Metric, Rule
from pytest_perfgate.records.accuracy import Doubt
from pytest_perfgate.records.alike import OF_BATCHES, batch_of_record, unlike, unlike_batches
from pytest_perfgate.records.launch_values import growth_resolution, launch_values, level
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.verdict import LimitResult, MetricSummary, Status, Verdict
from pytest_perfgate.verdicts import (
    baseline_bounds,
    class_bounds,
    limit_bounds,
    tail_bounds,
    wording,
)
from pytest_perfgate.verdicts.evidence import TWO_SESSIONS, Compared, Evidence, Risk

SHOWN = 0.05
"""Intervals that are only shown are 95 % intervals."""


_SEE_WORKER = "see the worker's messages in the report; a metric without a value never passes"
_WITHOUT_TRUTH = (
    "add annotations to [suite.data], or a budget on agreement: it compares with the reference and "
    "needs none"
)
_OF_ANOTHER_BATCH = (
    "set batch in [suite] to the artifact's own, or export the model with a dynamic batch"
)
_ON_A_DEVICE = (
    "measure it on an NVIDIA GPU, with its driver and nvidia-ml-py: python -m pip install "
    "'pytest-perfgate[gpu]'; elsewhere `when = { gpu = \"*\" }` skips the budget"
)


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
    doubt = _doubt(metric, evidence, value)
    if doubt is not None:
        return Verdict(
            **common, status=Status.ERROR, reason=doubt.problem, next_step=doubt.next_step
        )
    if value is None:
        why, _, remedy = record.unmeasured.get(metric.name, "").partition("; ")
        return Verdict(
            **common,
            status=Status.ERROR,
            reason=f"{metric.name} was not measured" + (f": {why}" if why else ""),
            next_step=remedy or (_to_measure(metric) if why else _SEE_WORKER),
        )
    results = tuple(_limit(limit, metric, evidence, risk, now) for limit in budget.limits)
    worst = min(results, key=lambda result: result.status.rank)
    return Verdict(
        **common,
        status=worst.status,
        limits=results,
        reason=worst.reason,
        next_step=wording.next_step(worst, metric, record.name, evidence.pace, risk),
    )


def _to_measure(metric: Metric) -> str:
    if metric.name == "throughput":
        return _OF_ANOTHER_BATCH
    return _WITHOUT_TRUTH if metric.rule is Rule.IMAGES else _ON_A_DEVICE


def _doubt(metric: Metric, evidence: Evidence, value: float | None) -> Doubt | None:
    """Why scores mean nothing here: the reference's cannot be those of a working model. Nothing is
    launched for it, so that times have the same cause.
    """
    reference = evidence.reference or evidence.record
    doubt = reference.accuracy.doubt if reference.accuracy else None
    if doubt is None:
        return None
    if metric.rule is not Rule.IMAGES and not (metric.rule is Rule.LAUNCHES and value is None):
        return None
    from pytest_perfgate.verdicts.accuracy_intervals import doubted

    return doubt.model_copy(update={"problem": doubted(reference.name, doubt)})


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


def shown(metric: Metric, record: RecipeRecord) -> tuple[float | None, float | None, float | None]:
    """Value and 95 % interval of one metric of one recipe, for people; None: not measured."""
    value = level(record, metric)
    if value is None or metric.rule in {Rule.EXACT, Rule.ONCE}:
        return value, None, None
    if metric.rule is Rule.IMAGES:
        if record.accuracy is None:
            return value, None, None
        from pytest_perfgate.verdicts.accuracy_intervals import accuracy_interval

        interval = accuracy_interval(record.accuracy, metric.name, SHOWN)
        if interval.low == interval.high:
            return value, None, None
        return value, _finite(interval.low), _finite(interval.high)
    from pytest_perfgate.stats.sequential import fixed_bounds

    if metric.rule is Rule.FOLDS:
        score = metric.name.removesuffix(OVER_FOLDS)
        bounds = record.folds.bounds(score, SHOWN / 2) if record.folds else None
        return (value, None, None) if bounds is None else (value, bounds[1], bounds[2])
    if metric.rule is Rule.STRETCHES and record.growth is not None:
        least = growth_resolution(record.growth)
        _, low, high = fixed_bounds(record.growth.stretches, SHOWN / 2, least_sd=least)
        return value, low, high
    values = list(launch_values(record, metric).values())
    if len(values) < 2 or min(values) <= 0:
        return value, None, None
    _, low, high = fixed_bounds([math.log(number) for number in values], SHOWN / 2)
    return value, math.exp(low), math.exp(high)


def summarise(evidence: Evidence) -> tuple[MetricSummary, ...]:
    """Every metric that was measured of a recipe, with its reference's and baseline's value."""
    summaries = []
    base = evidence.base.record if evidence.base else None
    for metric in evidence.metrics.values():
        value, low, high = shown(metric, evidence.record)
        if value is None:
            continue
        stored = evidence.baseline.metrics.get(metric.name) if evidence.baseline else None
        beside = None if metric.incomparable_across_recipes else evidence.reference
        summaries.append(
            MetricSummary(
                metric=metric.name,
                value=value,
                low=low,
                high=high,
                reference=level(beside, metric) if beside else None,
                baseline=stored.value if stored else None,
                base=_level_of(base, metric, evidence.record) if base else None,
            )
        )
    return tuple(summaries)


def _level_of(base: RecipeRecord, metric: Metric, record: RecipeRecord) -> float | None:
    """The base's value, None where it was not measured like the record's."""
    return None if unlike(metric, record, base) else level(base, metric)


def _limit(
    limit: Limit, metric: Metric, evidence: Evidence, risk: Risk, now: datetime
) -> LimitResult:
    if limit.stored is not None and evidence.base is None:
        limit = limit.stored
    obstacle = _obstacle(limit, metric, evidence)
    if obstacle is not None:
        return obstacle
    if limit.kind in class_bounds.KINDS:
        return _each_class(limit, metric, evidence, risk)
    compared = _compared(limit, metric, evidence, risk, now)
    if compared is None:
        return _without(
            limit, Status.ERROR, f"{metric.name} was not measured on both sides of the comparison"
        )
    result = _decide(limit, metric, compared, risk)
    if result.status is not Status.FAIL or metric.rule is not Rule.LAUNCHES:
        return result
    suspect = limit_bounds.control_difference(metric, evidence)
    if not suspect and result.method == TWO_SESSIONS:
        suspect = evidence.loud  # the yardstick may fit between what disturbed the recipe
    if not suspect:
        return result
    return result.model_copy(
        update={
            "status": Status.INCONCLUSIVE,
            "reason": f"{suspect}, so this session cannot prove anything worse ({result.reason})",
        }
    )


def _each_class(limit: Limit, metric: Metric, evidence: Evidence, risk: Risk) -> LimitResult:
    compared, shared = class_bounds.of_classes(limit, metric, evidence, risk)
    if not compared:
        return _without(
            limit, Status.ERROR, f"{metric.name} was not measured by class on both sides"
        )
    results = [_decide(limit, own, bounds, shared) for own, bounds in compared]
    return class_bounds.worst(results, metric.better)


def _without(limit: Limit, status: Status, reason: str, against: str = "") -> LimitResult:
    """The result of a limit for which nothing was compared."""
    return LimitResult(
        kind=limit.kind.value,
        text=limit.text,
        status=status,
        limit=limit.value,
        reason=reason,
        against=against,
    )


def _obstacle(limit: Limit, metric: Metric, evidence: Evidence) -> LimitResult | None:
    """Why a limit has nothing to be compared with, None when it has."""
    if limit.kind in {LimitKind.MAX, LimitKind.MIN, LimitKind.CLASS_MAX, LimitKind.CLASS_MIN}:
        return None
    if limit.kind is not LimitKind.REGRESSION:
        reference = evidence.reference
        if reference is not None and reference.failure is None:
            return _from_nothing(limit, metric, level(reference, metric), "reference")
        problem = reference.failure.problem if reference and reference.failure else ""
        return _without(
            limit,
            Status.ERROR,
            f"the reference {evidence.record.reference!r} was not measured"
            + (f": {problem}" if problem else ""),
        )
    if evidence.base is not None:
        base = evidence.base
        problem = base.problem
        if base.record is not None and not problem:
            problem = unlike(metric, evidence.record, base.record)
        if not problem:
            return None
        return _without(limit, Status.NO_BASELINE, problem, f"base {base.name}")
    if evidence.baseline is None or metric.name not in evidence.baseline.metrics:
        absent = f"no baseline of {metric.name} is stored for this machine"
        notes = (evidence.elsewhere,) if evidence.elsewhere else ()
        return _without(limit, Status.NO_BASELINE, absent).model_copy(update={"notes": notes})
    batch = evidence.baseline.metrics[metric.name].batch
    if batch is not None and metric.name in OF_BATCHES:
        problem = unlike_batches(batch_of_record(evidence.record), batch)
        if problem:
            return _without(
                limit,
                Status.NO_BASELINE,
                f"{problem}: --perf-update --perf-reason renews the baseline",
            )
    then, now = evidence.baseline.accuracy, evidence.record.accuracy
    if metric.rule is Rule.IMAGES and then and now and then.data_digest != now.data_digest:
        return _without(
            limit,
            Status.NO_BASELINE,
            f"the baseline is of other validation data ({then.images} images then, {now.images} "
            "now, or other annotations): --perf-update --perf-reason renews it",
        )
    return _from_nothing(limit, metric, evidence.baseline.metrics[metric.name].value, "baseline")


def _from_nothing(
    limit: Limit, metric: Metric, value: float | None, whose: str
) -> LimitResult | None:
    """A score of 0 cannot become worse: a limit on how much worse it may be holds nothing."""
    if value != 0 or metric.relative or metric.better is not Better.HIGHER:
        return None
    return _without(
        limit,
        Status.ERROR,
        f"{metric.name} of the {whose} is 0, the lowest possible value: {limit.kind.value} "
        "proves nothing",
    )


def _compared(
    limit: Limit, metric: Metric, evidence: Evidence, risk: Risk, now: datetime
) -> Compared | None:
    """What the limit compares, with bounds; None: it was not measured on both sides."""
    if limit.kind in {LimitKind.MAX, LimitKind.MIN}:
        return limit_bounds.absolute(metric, evidence, risk)
    if limit.kind is LimitKind.REGRESSION and evidence.base is None:
        return baseline_bounds.against_baseline(metric, evidence, risk, now)
    if limit.kind is LimitKind.REGRESSION and evidence.base is not None:
        other, against = evidence.base.record, f"base {evidence.base.name}"
    else:
        other, against = evidence.reference, f"reference {evidence.record.reference}"
    if other is None:
        return None
    if metric.name == TAIL and limit.kind is LimitKind.REGRESSION:
        bound, _ = bound_of(limit, metric)
        return tail_bounds.against_base(evidence.record, other, against, bound, risk)
    return limit_bounds.against_arm(metric, evidence.record, other, against, risk)


_HOPE = 2.0  # standard errors: one truth in forty lies farther out


def _decide(limit: Limit, metric: Metric, compared: Compared, risk: Risk) -> LimitResult:
    """Which side of the limit the bounds are on. On every scale here, `worse` says which way is
    bad; a limit that is exactly met is kept. What the estimate itself breaks is never kept.
    """
    bound, worse_is_more = bound_of(limit, metric)
    if worse_is_more:
        broken = compared.fail_low > bound
        kept = max(compared.keep_high, compared.estimate) <= bound
    else:
        broken = compared.fail_high < bound
        kept = min(compared.keep_low, compared.estimate) >= bound
    if broken:
        status = Status.FAIL
    elif kept:
        status = Status.PASS
    else:
        status = Status.INCONCLUSIVE
    low, high = compared.fail_low, compared.fail_high
    if status is Status.PASS:
        low, high = compared.keep_low, compared.keep_high
    return LimitResult(
        kind=limit.kind.value,
        text=limit.text,
        status=status,
        limit=bound,
        estimate=compared.estimate,
        low=_finite(min(low, compared.estimate)),
        high=_finite(max(high, compared.estimate)),
        scale=compared.scale,
        against=compared.against,
        sample=compared.sample,
        reason=wording.reason(limit, metric, compared, status),
        method=compared.method,
        spread=compared.spread,
        smallest=_finite(wording.smallest(metric, compared))
        if status is Status.INCONCLUSIVE
        else None,
        needed=wording.launches_needed(compared, bound, worse_is_more, risk)
        if status is Status.INCONCLUSIVE
        else None,
        possible=wording.launches_needed(compared, bound, worse_is_more, risk, hope=_HOPE)
        if status is Status.INCONCLUSIVE
        else None,
        kept=_finite(compared.keep_high if worse_is_more else compared.keep_low),
        notes=compared.notes,
    )


def bound_of(limit: Limit, metric: Metric) -> tuple[float, bool]:
    """The limit on the scale of what is compared, and whether more is worse there.

    Ratios are value / other; differences are value - other.
    """
    lower_is_better = metric.better is Better.LOWER
    if limit.kind in {LimitKind.MAX, LimitKind.CLASS_MAX}:
        return limit.value, True
    if limit.kind in {LimitKind.MIN, LimitKind.CLASS_MIN}:
        return limit.value, False
    if limit.kind is LimitKind.GROWTH:
        return 1.0 + limit.value, True
    if limit.kind is LimitKind.SPEEDUP:
        return (1.0 / limit.value, True) if lower_is_better else (limit.value, False)
    if not metric.relative:  # drop, or a score's regression
        return (limit.value, True) if lower_is_better else (-limit.value, False)
    return (1.0 + limit.value, True) if lower_is_better else (1.0 / (1.0 + limit.value), False)


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
