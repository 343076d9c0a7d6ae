"""From what was measured to a verdict: pure functions, no clock, no files.

Three answers. FAIL when the evidence says that a limit is broken, PASS when it says that it is
kept, INCONCLUSIVE otherwise. The chance of a wrong FAIL is `Risk.fail` per limit; a session
shares its alpha out over all its limits (Bonferroni), so that it bounds the chance of any.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from pytest_perfgate.metric import TAIL, Better, Metric, Over, Rule
from pytest_perfgate.records.accuracy import Doubt
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.verdict import LimitResult, Status, Verdict
from pytest_perfgate.verdicts import (
    baseline_bounds,
    class_bounds,
    limit_bounds,
    scope_bounds,
    tail_bounds,
    wording,
)
from pytest_perfgate.verdicts.evidence import TWO_SESSIONS, Compared, Evidence, Risk
from pytest_perfgate.verdicts.log_values import finite
from pytest_perfgate.verdicts.obstacles import obstacle, of_other_images, without
from pytest_perfgate.verdicts.shown_values import shown

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
    """The verdict on one budget: that of its worst limit, a broken one before all others."""
    record, baseline = evidence.record, evidence.baseline
    value, low, high = shown(metric, record)
    if metric.over in scope_bounds.EACH:
        value = scope_bounds.worst_value(metric, evidence)
    stored = baseline.metrics.get(metric.name) if baseline else None
    common = {
        "recipe": record.name,
        "metric": metric.name,
        "unit": metric.unit.value,
        "value": value,
        "low": low,
        "high": high,
        "baseline": stored.value if stored else None,
        "baseline_age": baseline.origin_of(metric.name).age_days(now)
        if baseline and stored
        else None,
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
    if value is None and metric.over not in scope_bounds.EACH:
        told = record.unmeasured.get(metric.name, "")
        if not told and record.soak is not None:
            told = record.soak.why_not(metric.name)
        why, _, remedy = told.partition("; ")
        return Verdict(
            **common,
            status=Status.ERROR,
            reason=f"{metric.name} was not measured" + (f": {why}" if why else ""),
            next_step=remedy or (_to_measure(metric) if why else _SEE_WORKER),
        )
    results = tuple(_limit(limit, metric, evidence, risk, now) for limit in budget.limits)
    worst = min(results, key=lambda result: result.status.rank_of_limit)
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


def _limit(
    limit: Limit, metric: Metric, evidence: Evidence, risk: Risk, now: datetime
) -> LimitResult:
    if limit.stored is not None and evidence.base is None:
        limit = limit.stored
    if metric.over in scope_bounds.EACH:
        result = of_other_images(limit, metric, evidence) if metric.over is Over.SLICES else None
        if result is not None:
            return result
        result = scope_bounds.each(
            limit,
            metric,
            evidence,
            risk,
            lambda limit, own, part, shared: _limit(limit, own, part, shared, now),
        )
        return result or without(limit, Status.ERROR, f"{metric.name} was not measured")
    uncompared = obstacle(limit, metric, evidence)
    if uncompared is not None:
        return uncompared
    if limit.kind in class_bounds.KINDS:
        return _each_class(limit, metric, evidence, risk)
    compared = _compared(limit, metric, evidence, risk, now)
    if compared is None:
        return without(
            limit, Status.ERROR, f"{metric.name} was not measured on both sides of the comparison"
        )
    if compared.scale == "difference":  # of scores; or of a count to 0, which has no ratio
        metric = replace(metric, relative=False)
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
    left = class_bounds.left_out(limit, metric, evidence)
    if not compared:
        reason = f"{metric.name} was not measured by class on both sides"
        return without(limit, Status.ERROR, f"{reason}{f'; {left}' if left else ''}")
    results = [_decide(limit, own, bounds, shared) for own, bounds in compared]
    return class_bounds.worst(results, metric.better, left)


def _compared(
    limit: Limit, metric: Metric, evidence: Evidence, risk: Risk, now: datetime
) -> Compared | None:
    """What the limit compares, with bounds; None: it was not measured on both sides."""
    if metric.over is Over.WORST:
        return scope_bounds.of_worst(
            limit,
            metric,
            evidence,
            scope_bounds.other_side(limit, evidence),
            risk,
            lambda own, part: _compared(limit, own, evidence, part, now),
        )
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
        low=finite(min(low, compared.estimate)),
        high=finite(max(high, compared.estimate)),
        scale=compared.scale,
        against=compared.against,
        sample=compared.sample,
        reason=wording.reason(limit, metric, compared, status),
        method=compared.method,
        spread=compared.spread,
        smallest=finite(wording.smallest(metric, compared))
        if status is Status.INCONCLUSIVE
        else None,
        needed=wording.launches_needed(compared, bound, worse_is_more, risk)
        if status is Status.INCONCLUSIVE
        else None,
        possible=wording.launches_needed(compared, bound, worse_is_more, risk, hope=_HOPE)
        if status is Status.INCONCLUSIVE
        else None,
        kept=finite(compared.keep_high if worse_is_more else compared.keep_low),
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
        return limit.value + metric.relative, True
    if limit.kind is LimitKind.SPEEDUP:
        return (1.0 / limit.value, True) if lower_is_better else (limit.value, False)
    if not metric.relative:  # drop, or a score's regression
        return (limit.value, True) if lower_is_better else (-limit.value, False)
    return (1.0 + limit.value, True) if lower_is_better else (1.0 / (1.0 + limit.value), False)
