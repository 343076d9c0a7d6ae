"""What a limit on each class compares: the score of every class in the data, with bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_perfgate.metric import Better, Metric
from pytest_perfgate.records.recipe import Limit, LimitKind
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.verdict import LimitResult, Status
from pytest_perfgate.verdicts import limit_bounds
from pytest_perfgate.verdicts.evidence import Compared, Evidence, Risk

KINDS = frozenset({LimitKind.CLASS_MAX, LimitKind.CLASS_MIN, LimitKind.CLASS_DROP})


def of_classes(
    limit: Limit, metric: Metric, evidence: Evidence, risk: Risk
) -> tuple[list[tuple[Metric, Compared]], Risk]:
    """For each class in the data the metric by the class's name and what is compared of it, and the
    risk of each class; nothing where a side has no matches, or the two are of other images.

    Any broken class breaks the limit, so the chance of a wrong FAIL is divided among the classes
    (Bonferroni): it bounds that of any. The chance of a wrong PASS is not: a limit is kept when
    every class keeps it, so that a PASS is wrong only if the one class that breaks it was called
    kept (an intersection-union test, Berger 1982).
    """
    from pytest_perfgate.verdicts.accuracy_intervals import classes_of, of_class

    record, where = evidence.record, metric.of_set
    accuracy = None if record.accuracy is None else record.accuracy.on(where)
    if record.accuracy is None or accuracy is None:
        return [], risk
    names = classes_of(accuracy)
    shared = replace(risk, fail=risk.fail / max(1, len(names)))
    results = []
    for name in names:
        alone = record.accuracy.with_set(where, of_class(accuracy, name))
        part = record.model_copy(update={"accuracy": alone})
        if limit.kind is not LimitKind.CLASS_DROP:
            compared = limit_bounds.absolute(metric, replace(evidence, record=part), shared)
        else:
            compared = _difference(metric, part, evidence.reference, name, shared)
        if compared is None:
            return [], shared
        results.append((replace(metric, name=f"{metric.name} of {name}", scope=None), compared))
    return results, shared


def worst(results: Sequence[LimitResult], better: Better) -> LimitResult:
    """The result of a limit by those of its classes: that of the worst, which names it; the other
    broken ones are notes. `better` is the good direction of what was compared.
    """
    sign = 1.0 if better is Better.HIGHER else -1.0
    first, *others = sorted(
        results, key=lambda result: (result.status.rank, sign * (result.estimate or 0.0))
    )
    if first.status is Status.PASS:
        reason = f"{first.reason}, and so by each of {len(results)} classes"
        return first.model_copy(update={"reason": reason})
    broken = (f"also: {one.reason}" for one in others if one.status is Status.FAIL)
    return first.model_copy(update={"notes": (*first.notes, *broken)})


def _difference(
    metric: Metric, part: RecipeRecord, reference: RecipeRecord | None, name: str, risk: Risk
) -> Compared | None:
    from pytest_perfgate.verdicts.accuracy_intervals import classes_of, of_class

    if reference is None or reference.accuracy is None:
        return None
    accuracy = reference.accuracy.on(metric.of_set)
    if accuracy is None or name not in classes_of(accuracy):
        return None
    alone = reference.accuracy.with_set(metric.of_set, of_class(accuracy, name))
    other = reference.model_copy(update={"accuracy": alone})
    return limit_bounds.against_arm(metric, part, other, f"reference {reference.name}", risk)
