"""What a limit on each class compares: the score of every class in the data, with bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_perfgate.metric import Better, Metric
from pytest_perfgate.records.recipe import Limit, LimitKind
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.verdict import LimitResult, Status
from pytest_perfgate.units import count_of
from pytest_perfgate.verdicts import limit_bounds
from pytest_perfgate.verdicts.evidence import Compared, Evidence, Risk

KINDS = frozenset({LimitKind.CLASS_MAX, LimitKind.CLASS_MIN, LimitKind.CLASS_DROP})


_NAMED = 4


def of_classes(
    limit: Limit, metric: Metric, evidence: Evidence, risk: Risk
) -> tuple[list[tuple[Metric, Compared]], Risk]:
    """For each class that is judged the metric by the class's name and what is compared of it, and
    the risk of each class; nothing where a side has no matches, or the two are of other images.
    Classes that are not judged are those of `left_out`.

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
    names = [name for name in classes_of(accuracy) if not _is_lost(limit, metric, evidence, name)]
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


def left_out(limit: Limit, metric: Metric, evidence: Evidence) -> str:
    """Which classes the limit is not held to, and why; "" where it is held to all of them."""
    from pytest_perfgate.verdicts.accuracy_intervals import classes_of

    whole = evidence.record.accuracy
    accuracy = None if whole is None else whole.on(metric.of_set)
    if accuracy is None or accuracy.matches is None:
        return ""
    known = classes_of(accuracy)
    absent = [name for name in accuracy.matches.categories if name not in known]
    lost = [name for name in known if _is_lost(limit, metric, evidence, name)]
    why = (
        ("nothing in the data is of them", absent),
        (f"{metric.score_name} of the reference is 0, and cannot become worse", lost),
    )
    return "; ".join(f"not judged, since {words}: {_few(names)}" for words, names in why if names)


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _is_lost(limit: Limit, metric: Metric, evidence: Evidence, name: str) -> bool:
    """Whether a drop of a class proves nothing: the reference scores 0 on it already."""
    if limit.kind is not LimitKind.CLASS_DROP or metric.better is not Better.HIGHER:
        return False
    from pytest_perfgate.verdicts.accuracy_intervals import classes_of, of_class

    whole = evidence.reference.accuracy if evidence.reference else None
    accuracy = None if whole is None else whole.on(metric.of_set)
    if accuracy is None or name not in classes_of(accuracy):
        return False
    return of_class(accuracy, name).values.get(metric.score_name) == 0


def worst(results: Sequence[LimitResult], better: Better, left: str) -> LimitResult:
    """The result of a limit by those of its classes: that of the worst, which names it; the other
    broken ones are notes. `better` is the good direction of what was compared, `left` says which
    classes were not judged.
    """
    sign = 1.0 if better is Better.HIGHER else -1.0
    first, *others = sorted(
        results, key=lambda result: (result.status.rank_of_limit, sign * (result.estimate or 0.0))
    )
    if first.status is Status.PASS:
        count = count_of(len(results), "class", "classes")
        reason = f"{first.reason}, and so by each of {count}{f'; {left}' if left else ''}"
        return first.model_copy(update={"reason": reason})
    notes = [f"also: {one.reason}" for one in others if one.status is Status.FAIL]
    notes += [left] if left else []
    return first.model_copy(update={"notes": (*first.notes, *notes)})


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
