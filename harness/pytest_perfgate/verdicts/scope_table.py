"""Scores on every set and slice, with intervals, for people: nothing here decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pytest_perfgate.metric import Better, Metric, Rule
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.scope_rows import ScopeRow
from pytest_perfgate.verdicts.evidence import Evidence
from pytest_perfgate.verdicts.log_values import finite
from pytest_perfgate.verdicts.scope_bounds import cut_to
from pytest_perfgate.verdicts.shown_values import SHOWN


@dataclass(frozen=True)
class _Group:
    """Some images of a recipe and of its reference: those of a set, or of a slice of it."""

    of_set: str
    slicing: str
    slice: str
    images: int
    small: bool
    ours: Accuracy | None
    theirs: Accuracy | None


def scope_rows(evidence: Evidence, judged: set[str]) -> tuple[ScopeRow, ...]:
    """The task's first score, and every score that a scoped budget among `judged` is on, over each
    set and slice; nothing for a suite without either.
    """
    accuracy = evidence.record.accuracy
    if accuracy is None or not (accuracy.sets or accuracy.slices):
        return ()
    groups = list(_groups(accuracy, evidence.reference.accuracy if evidence.reference else None))
    rows: list[ScopeRow] = []
    for metric in _scores(evidence.metrics, judged):
        own = [_row(metric, group) for group in groups if not group.slicing or metric.sliceable]
        rows += _with_worst(own, metric)
    return tuple(rows)


def _scores(metrics: Mapping[str, Metric], judged: set[str]) -> list[Metric]:
    plain = [
        metric for metric in metrics.values() if metric.rule is Rule.IMAGES and metric.scope is None
    ]
    asked = {metrics[name].score_name for name in judged if name in metrics and metrics[name].scope}
    return [metric for metric in plain if metric is plain[0] or metric.name in asked]


def _groups(accuracy: Accuracy, reference: Accuracy | None) -> Iterator[_Group]:
    for name in ("", *accuracy.sets):
        ours, theirs = accuracy.on(name), reference.on(name) if reference else None
        if ours is None:
            continue
        yield _Group(name, "", "", ours.images, False, ours, theirs)
        for slicing, slices in ours.slices.items():
            members = slices.members.array()
            for row, part in enumerate(slices.names):
                count = int(members[row].sum())
                small = count < slices.least
                yield _Group(
                    name,
                    slicing,
                    part,
                    count,
                    small,
                    None if small else cut_to(ours, slices, row),
                    None if small or theirs is None else cut_to(theirs, slices, row),
                )


def _row(metric: Metric, group: _Group) -> ScopeRow:
    from pytest_perfgate.verdicts.accuracy_intervals import accuracy_difference, accuracy_interval

    row = ScopeRow(
        metric=metric.name,
        of_set=group.of_set,
        slicing=group.slicing,
        slice=group.slice,
        images=group.images,
        small=group.small,
    )
    if group.ours is None or metric.name not in group.ours.values:
        return row
    interval = accuracy_interval(group.ours, metric.name, SHOWN)
    values = {
        "value": group.ours.values[metric.name],
        "low": finite(interval.low),
        "high": finite(interval.high),
    }
    moved = (
        None
        if group.theirs is None or metric.against_reference
        else accuracy_difference(group.ours, group.theirs, metric.name, SHOWN)
    )
    if moved is not None:
        values |= {
            "difference": moved.estimate,
            "difference_low": finite(moved.low),
            "difference_high": finite(moved.high),
        }
    return row.model_copy(update=values)


def _with_worst(rows: list[ScopeRow], metric: Metric) -> list[ScopeRow]:
    """The rows, with the worst of the sets and the worst slice of each slicing marked."""
    worst: dict[tuple[str, str], ScopeRow] = {}
    sign = 1.0 if metric.better is Better.HIGHER else -1.0
    for row in rows:
        if row.value is None:
            continue
        kind = (row.of_set, row.slicing) if row.slicing else ("", "")
        known = worst.get(kind)
        if known is None or known.value is None or sign * row.value < sign * known.value:
            worst[kind] = row
    alone = sum(not row.slicing for row in rows) == 1  # no other set to be worse than
    marked = [row for row in worst.values() if row.slicing or not alone]
    return [row.model_copy(update={"worst": any(row is one for one in marked)}) for row in rows]
