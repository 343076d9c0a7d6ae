"""Why a limit has nothing to be compared with: results that are reached without a comparison."""

from __future__ import annotations

from pytest_perfgate.baselines.baseline import StoredMetric
from pytest_perfgate.metric import NODES, Better, Metric, Rule
from pytest_perfgate.records.alike import (
    OF_BATCHES,
    batch_of_record,
    unlike,
    unlike_batches,
    unlike_graphs,
    unlike_work,
    work_of,
)
from pytest_perfgate.records.launch_values import level
from pytest_perfgate.records.recipe import Limit, LimitKind
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.same_images import changed_images, other_images
from pytest_perfgate.records.score_ranges import range_of
from pytest_perfgate.records.verdict import LimitResult, Status
from pytest_perfgate.verdicts import scope_bounds
from pytest_perfgate.verdicts.evidence import Evidence


def without(limit: Limit, status: Status, reason: str, against: str = "") -> LimitResult:
    """The result of a limit for which nothing was compared."""
    return LimitResult(
        kind=limit.kind.value,
        text=limit.text,
        status=status,
        limit=limit.value,
        reason=reason,
        against=against,
    )


def obstacle(limit: Limit, metric: Metric, evidence: Evidence) -> LimitResult | None:
    """Why a limit has nothing to be compared with, None when it has."""
    if limit.kind in {LimitKind.MAX, LimitKind.MIN, LimitKind.CLASS_MAX, LimitKind.CLASS_MIN}:
        return None
    if limit.kind is not LimitKind.REGRESSION:
        reference = evidence.reference
        if reference is not None and reference.failure is None:
            problem = unlike(metric, evidence.record, reference) if metric.name == NODES else ""
            if metric.rule is Rule.IMAGES:
                problem = changed_images(metric, evidence.record, reference)
            if problem:
                return without(limit, Status.ERROR, problem, f"reference {reference.name}")
            return _from_nothing(limit, metric, level(reference, metric), "reference")
        problem = reference.failure.problem if reference and reference.failure else ""
        return without(
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
        if problem:
            return without(limit, Status.NO_BASELINE, problem, f"base {base.name}")
        if base.record is None:
            return None
        return _from_nothing(limit, metric, level(base.record, metric), "base")
    if evidence.baseline is None or metric.name not in evidence.baseline.metrics:
        absent = f"no baseline of {metric.name} is stored for this machine"
        if evidence.baseline is not None and metric.name in evidence.baseline.redefined:
            absent = (
                f"the stored {metric.name} is by an earlier definition, and is not compared: "
                "--perf-update renews it"
            )
        notes = (evidence.elsewhere,) if evidence.elsewhere else ()
        return without(limit, Status.NO_BASELINE, absent).model_copy(update={"notes": notes})
    problem = _unlike_stored(metric, evidence.record, evidence.baseline.metrics[metric.name])
    if problem:
        return without(
            limit,
            Status.NO_BASELINE,
            f"{problem}: --perf-update --perf-reason renews the baseline",
        )
    result = of_other_images(limit, metric, evidence)
    if result is not None:
        return result
    return _from_nothing(limit, metric, evidence.baseline.metrics[metric.name].value, "baseline")


def of_other_images(limit: Limit, metric: Metric, evidence: Evidence) -> LimitResult | None:
    """The result of a regression of a score to one of other images; None: they are the same."""
    ours, theirs = evidence.record.accuracy, scope_bounds.other_side(limit, evidence)
    if limit.kind is not LimitKind.REGRESSION or metric.rule is not Rule.IMAGES:
        return None
    if ours is None or theirs is None:
        return None
    base = evidence.base
    problem = other_images(metric, ours, theirs, "base" if base else "baseline")
    if not problem:
        return None
    if base is None:
        problem = f"{problem}: --perf-update --perf-reason renews the baseline"
    return without(limit, Status.NO_BASELINE, problem, f"base {base.name}" if base else "")


def _unlike_stored(metric: Metric, record: RecipeRecord, stored: StoredMetric) -> str:
    """Why a stored value is not compared, though it is of this machine; "" when it is."""
    if metric.name == NODES:
        return unlike_graphs(record.counts.source if record.counts else "", stored.source)
    problem = unlike_work(work_of(record), stored.work) if metric.rule is Rule.LAUNCHES else ""
    if problem or stored.batch is None or metric.name not in OF_BATCHES:
        return problem
    return unlike_batches(batch_of_record(record, metric.name), stored.batch)


def _from_nothing(
    limit: Limit, metric: Metric, value: float | None, whose: str
) -> LimitResult | None:
    """A score of 0 cannot become worse: a limit on how much worse it may be holds nothing."""
    if value != 0 or metric.relative or metric.better is not Better.HIGHER:
        return None
    if range_of(metric.score_name)[0] < 0:  # 0 is a value like others, as of `mota`
        return None
    return without(
        limit,
        Status.ERROR,
        f"{metric.name} of the {whose} is 0, the lowest possible value: {limit.kind.value} "
        "proves nothing",
    )
