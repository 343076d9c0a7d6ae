"""What a limit on several sets or slices compares: each of them, or the worst against the worst."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from pytest_perfgate.baselines.baseline import Baseline
from pytest_perfgate.metric import Better, Metric, Over, Scope
from pytest_perfgate.records.accuracy import Accuracy, Slicing
from pytest_perfgate.records.launch_values import score_of
from pytest_perfgate.records.recipe import Limit, LimitKind
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.verdict import LimitResult, Status
from pytest_perfgate.units import count_of
from pytest_perfgate.verdicts.evidence import BOOTSTRAP, BOOTSTRAP_ONE, Compared, Evidence, Risk
from pytest_perfgate.verdicts.shown_values import score_bounds

EACH = frozenset({Over.ALL, Over.SLICES})
"""Scopes of which every part is held to the limit."""

Judge = Callable[[Limit, Metric, Evidence, Risk], LimitResult]
"""The result of one limit on one set."""

Compare = Callable[[Metric, Risk], Compared | None]
"""What is compared of a score on one set."""


def each(
    limit: Limit, metric: Metric, evidence: Evidence, risk: Risk, judge: Judge
) -> LimitResult | None:
    """The result of the part that is worst, which names it; None: the record has no such part.

    Any broken part breaks the limit, so the chance of a wrong FAIL is divided among the parts
    (Bonferroni); that of a wrong PASS is not (an intersection-union test, Berger 1982).
    """
    parts, small = _parts(metric, evidence)
    if not parts and not small:
        return None
    results = []
    shared = replace(risk, fail=risk.fail / max(1, len(parts)))
    for own, part in parts:
        if metric.over is Over.ALL or _has_value(own, part):
            results.append(judge(limit, own, part, shared))
        elif (reason := _loss_of_value(limit, own, part)) is not None:
            results.append(_error(limit, reason))
        else:  # nothing to find there, or nothing to compare with
            small[own.of_set] = f"{_count(own, part)} without a value"
    if not results:
        return _error(limit, f"no slice of {metric.name} is large enough to judge: {_few(small)}")
    return _worst(results, metric, len(results), small)


def _error(limit: Limit, reason: str) -> LimitResult:
    return LimitResult(
        kind=limit.kind.value,
        text=limit.text,
        status=Status.ERROR,
        limit=limit.value,
        reason=reason,
    )


def _has_value(metric: Metric, evidence: Evidence) -> bool:
    accuracy = evidence.record.accuracy
    return accuracy is not None and score_of(accuracy, metric) is not None


def _loss_of_value(limit: Limit, metric: Metric, evidence: Evidence) -> str | None:
    """Why a slice on which the recipe has no value is an error; None: it says nothing.

    A recipe that finds nothing has no precision. It may not drop out where the other side has a
    value, nor of an absolute limit where there is something to find.
    """
    accuracy = evidence.record.accuracy
    ours = accuracy.on(metric.of_set) if accuracy else None
    missing = f"{metric.name} was not measured"
    if ours is None:
        return f"{missing}: the slices are of other images"
    if limit.kind in {LimitKind.MIN, LimitKind.MAX}:
        if ours.matches is not None and ours.matches.truth.array().sum() == 0:
            return None
        return f"{missing}: the recipe has no value on {_count(metric, evidence)}"
    other = other_side(limit, evidence)
    value = score_of(other, metric) if other else None
    if value is None:
        return None
    return (
        f"{missing}: the recipe has no value on {_count(metric, evidence)}, and what it is "
        f"compared with has {value:.4f}"
    )


def _count(metric: Metric, evidence: Evidence) -> str:
    accuracy = evidence.record.accuracy
    return count_of(_images(accuracy, metric) if accuracy else 0, "image")


def other_side(limit: Limit, evidence: Evidence) -> Accuracy | None:
    """The evaluation that a limit compares scores with."""
    if limit.kind is not LimitKind.REGRESSION:
        return evidence.reference.accuracy if evidence.reference else None
    if evidence.base is not None:
        return evidence.base.record.accuracy if evidence.base.record else None
    return evidence.baseline.accuracy if evidence.baseline else None


def absent_sets(evidences: Iterable[Evidence]) -> tuple[str, ...]:
    """Notes on sets that the base, or the baselines, have and the suite has no longer: budgets on
    all sets, or on the worst, are judged without them.
    """
    notes = []
    for evidence in evidences:
        ours = evidence.record.accuracy
        theirs = other_side(Limit(LimitKind.REGRESSION, 0.0, ""), evidence)
        whose = "baseline" if evidence.base is None else "base"
        if ours is not None and theirs is not None:
            names = [name for name in theirs.sets if name not in ours.sets]
            notes += [f"the {whose} has a set {name!r} that is not here" for name in names]
    return tuple(dict.fromkeys(notes))


def worst_value(metric: Metric, evidence: Evidence) -> float | None:
    """The worst score of the parts that are judged; None: there are none."""
    parts, _ = _parts(metric, evidence)
    values = [
        value
        for own, part in parts
        if part.record.accuracy and (value := score_of(part.record.accuracy, own)) is not None
    ]
    return (min if metric.better is Better.HIGHER else max)(values, default=None)


def _parts(
    metric: Metric, evidence: Evidence
) -> tuple[list[tuple[Metric, Evidence]], dict[str, str]]:
    """The score of each set, or of each slice, with the evidence on it; and how many images the
    slices have that are too small to judge, in words.
    """
    accuracy, scope = evidence.record.accuracy, metric.scope
    if accuracy is None or scope is None:
        return [], {}
    plain = replace(metric, name=metric.score_name, scope=None)
    if scope.over is Over.ALL:
        sets = (plain.at(Scope(name)) for name in accuracy.sets)
        return [(own, evidence) for own in (plain, *sets)], {}
    own = accuracy.on(scope.sliced)
    slicing = own.slices.get(scope.name) if own else None
    if slicing is None:
        return [], {}
    members = slicing.members.array()
    counts = dict(zip(slicing.names, members.sum(axis=1).tolist(), strict=True))
    small = {
        name: count_of(count, "image") for name, count in counts.items() if count < slicing.least
    }
    parts = []
    for row, name in enumerate(slicing.names):
        if name not in small:
            there = plain.at(Scope(name))
            parts.append((there, _view(evidence, there, scope.sliced, slicing, row)))
    return parts, small


def _view(evidence: Evidence, metric: Metric, sliced: str, slicing: Slicing, row: int) -> Evidence:
    """The evidence with a slice as if it were a set, by the name of the metric's scope."""
    ours = evidence.record.accuracy.on(sliced) if evidence.record.accuracy else None
    order = ours.matches.order if ours and ours.matches else None

    def cut(accuracy: Accuracy | None) -> Accuracy | None:
        whole = accuracy.on(sliced) if accuracy else None
        if whole and whole.matches and order is not None:  # a baseline does not keep it
            matches = whole.matches.model_copy(update={"order": order})
            whole = whole.model_copy(update={"matches": matches})
        part = cut_to(whole, slicing, row) if whole else None
        if accuracy is None or part is None or metric.scope is None:
            return accuracy
        return accuracy.with_set(metric.scope.name, part)

    def of(record: RecipeRecord | None) -> RecipeRecord | None:
        return record and record.model_copy(update={"accuracy": cut(record.accuracy)})

    base = evidence.base and replace(evidence.base, record=of(evidence.base.record))
    record = evidence.record.model_copy(update={"accuracy": cut(evidence.record.accuracy)})
    baseline = _stored(evidence.baseline, metric, cut)
    return replace(
        evidence, record=record, reference=of(evidence.reference), base=base, baseline=baseline
    )


def cut_to(accuracy: Accuracy, slicing: Slicing, row: int) -> Accuracy | None:
    """The evaluation of one slice alone; None for an evaluation of other images."""
    members = slicing.members
    if members.shape[1] != accuracy.images:
        return None
    ratios = tuple(
        (name, one.numerator.data, one.denominator.data) for name, one in accuracy.ratios.items()
    )
    key = (accuracy.data_digest, accuracy.predictions_digest, ratios, members.data, row)
    return _cut(_Cut(key, accuracy, slicing))


@dataclass(frozen=True)
class _Cut:
    """What a slice is cut from; `key` says all that the result depends on."""

    key: tuple[Any, ...]
    accuracy: Accuracy = field(compare=False)
    slicing: Slicing = field(compare=False)


# Budgets are judged after every launch, and the images of a slice stay the same.
@lru_cache(maxsize=512)
def _cut(part: _Cut) -> Accuracy:
    from pytest_perfgate.verdicts.accuracy_intervals import of_images

    return of_images(part.accuracy, part.slicing.members.array()[part.key[-1]])


def _stored(
    baseline: Baseline | None,
    metric: Metric,
    cut: Callable[[Accuracy | None], Accuracy | None],
) -> Baseline | None:
    """The baseline with the stored score of a slice."""
    if baseline is None or metric.score_name not in baseline.metrics:
        return baseline
    accuracy = cut(baseline.accuracy)
    value = None if accuracy is None else score_of(accuracy, metric)
    if value is None:
        return baseline
    stored = baseline.metrics[metric.score_name].model_copy(update={"value": value})
    metrics = {**baseline.metrics, metric.name: stored}
    origins = tuple(
        origin.model_copy(update={"metrics": (*origin.metrics, metric.name)})
        if metric.score_name in origin.metrics and metric.name not in origin.metrics
        else origin
        for origin in baseline.origins
    )
    return baseline.model_copy(
        update={"accuracy": accuracy, "metrics": metrics, "origins": origins}
    )


def _worst(
    results: Sequence[LimitResult], metric: Metric, count: int, small: dict[str, str]
) -> LimitResult:
    """The worst of the results; the other broken ones, and what was too small, are notes."""
    sign = 1.0 if metric.better is Better.HIGHER else -1.0

    def rank(result: LimitResult) -> tuple[int, float]:
        return result.status.rank_of_limit, sign * (result.estimate or 0.0)

    first, *others = sorted(results, key=rank)
    what = ("set", "sets") if metric.over is Over.ALL else ("slice", "slices")
    left = f"; too small to judge: {_few(small)}" if small else ""
    notes = [f"also: {one.reason}" for one in others if one.status in _RED]
    if first.status is Status.PASS:
        reason = f"{first.reason}, the worst of {count_of(count, *what)}{left}"
        return first.model_copy(update={"reason": reason})
    return first.model_copy(
        update={"reason": f"{first.reason}{left}", "notes": (*first.notes, *notes)}
    )


_NAMED = 4
_RED = {Status.FAIL, Status.ERROR}


def _few(small: dict[str, str]) -> str:
    named = [f"{name} ({count})" for name, count in small.items()]
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return ", ".join(named[:_NAMED]) + more


def of_worst(
    limit: Limit,
    metric: Metric,
    evidence: Evidence,
    other: Accuracy | None,
    risk: Risk,
    compare: Compare,
) -> Compared | None:
    """The score of the worst set, against a limit or against the worst set of `other`.

    Let a be the scores of the recipe by set and b those of the other side, higher being better. The
    difference of the worst ones is at least a - b of the set where a is worst, and at most a - b of
    the set where b is worst; which sets may be those follows from the intervals of a and b. It also
    lies between the bounds of the worst a less those of the worst b. The narrower bounds count.
    They rest on at most 2 S + 2 one-sided bounds of S sets, so that each has 1 / (3 S) of the
    chance of error (Bonferroni).
    """
    ours = evidence.record.accuracy
    value = score_of(ours, metric) if ours else None
    if ours is None or value is None:
        return None
    plain = replace(metric, name=metric.score_name, scope=None)
    sets = [plain, *(plain.at(Scope(name)) for name in ours.sets)]
    images = sum(_images(ours, one) for one in sets)
    higher = metric.better is Better.HIGHER
    if limit.kind in {LimitKind.MIN, LimitKind.MAX}:
        fail = _bounds(ours, sets, risk.fail / len(sets), higher)
        keep = _bounds(ours, sets, risk.keep, higher)  # every set must keep it
        return Compared(
            value,
            *fail,
            *keep,
            images,
            "value",
            note=_which(ours, sets, value),
            method=f"{BOOTSTRAP_ONE} {ours.unit}s",
            unit=ours.unit,
        )
    if other is not None:  # its worst set counts where the recipe has that set, too
        shared = {name: one for name, one in other.sets.items() if name in ours.sets}
        other = other.model_copy(update={"sets": shared})
    theirs = score_of(other, metric) if other else None
    share = 3 * len(sets)
    part = Risk(risk.fail / share, risk.keep / share)
    compared = [compare(one, part) for one in sets]
    paired = {one.name: pair for one, pair in zip(sets, compared, strict=True) if pair}
    if other is None or theirs is None or len(paired) < len(sets):
        return None
    limits = []
    for chance, low, high in (
        (part.fail, "fail_low", "fail_high"),
        (part.keep, "keep_low", "keep_high"),
    ):
        here = [paired[name] for name in _candidates(ours, sets, chance, higher)]
        there = [paired[name] for name in _candidates(other, sets, chance, higher)]
        lower, upper = (here, there) if higher else (there, here)
        least, most = _bounds(ours, sets, chance, higher)
        least_there, most_there = _bounds(other, sets, chance, higher)
        limits.append(max(min(getattr(one, low) for one in lower), least - most_there))
        limits.append(min(max(getattr(one, high) for one in upper), most - least_there))
    return replace(
        next(iter(paired.values())),
        estimate=value - theirs,
        fail_low=limits[0],
        fail_high=limits[1],
        keep_low=limits[2],
        keep_high=limits[3],
        sample=images,
        note=_which(ours, sets, value),
        method=f"{BOOTSTRAP} {ours.unit}s",
    )


def _bounds(
    accuracy: Accuracy, sets: Sequence[Metric], chance: float, higher: bool
) -> tuple[float, float]:
    """Bounds of the worst score from those of each set, `chance` on each side of each."""
    bounds = [score_bounds(accuracy, one, 2 * chance) for one in sets]
    worst = min if higher else max
    return worst(low for low, _ in bounds), worst(high for _, high in bounds)


def _candidates(
    accuracy: Accuracy, sets: Sequence[Metric], chance: float, higher: bool
) -> list[str]:
    """Names of the scores of the sets that may be the worst one, by their intervals."""
    bounds = {one.name: score_bounds(accuracy, one, 2 * chance) for one in sets}
    if higher:
        least = min(high for _, high in bounds.values())
        return [name for name, (low, _) in bounds.items() if low <= least]
    most = max(low for low, _ in bounds.values())
    return [name for name, (_, high) in bounds.items() if high >= most]


def _images(accuracy: Accuracy, metric: Metric) -> int:
    own = accuracy.on(metric.of_set)
    return own.images if own else 0


def _which(accuracy: Accuracy, sets: Sequence[Metric], value: float) -> str:
    name = next((one.name for one in sets if score_of(accuracy, one) == value), "")
    return f"the worst is {name}" if name else ""
