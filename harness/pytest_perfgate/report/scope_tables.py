"""Scores on sets and slices, and what a shift gained and lost, laid out for the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_perfgate.metric import Better, Metric
from pytest_perfgate.records.recipe import VALIDATION
from pytest_perfgate.records.scope_rows import ScopeRow
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.units import Unit, count_of, show

_RECIPES = 5
"""Columns of recipes that need no sideways scrolling."""


@dataclass(frozen=True)
class Cell:
    """A score of one recipe on some images, as text."""

    value: str
    interval: str
    to_reference: str
    worst: bool


@dataclass(frozen=True)
class Line:
    """A set or a slice: its name, how many images it has, and a cell for each recipe."""

    name: str
    images: int
    is_slice: bool
    cells: tuple[Cell | None, ...]
    small: bool


@dataclass(frozen=True)
class Table:
    """One score of some recipes on every set and slice."""

    metric: str
    recipes: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class ShiftLine:
    """What a recipe that adapts lost on the source and gained on the target."""

    recipe: str
    steps: str
    source: str
    target: str
    words: str


def tables(suite: SuiteRecord, metrics: Mapping[str, Metric]) -> list[Table]:
    """A table for each score, of a few recipes each; none for a suite without sets and slices."""
    names = [record.name for record in suite.recipes if suite.scoped.get(record.name)]
    scores = dict.fromkeys(row.metric for name in names for row in suite.scoped[name])
    return [
        _table(suite, score, names[start : start + _RECIPES], metrics)
        for score in scores
        if score in metrics
        for start in range(0, len(names), _RECIPES)
    ]


def _table(
    suite: SuiteRecord, score: str, recipes: Sequence[str], metrics: Mapping[str, Metric]
) -> Table:
    unit = metrics[score].unit
    groups: dict[tuple[str, str, str], dict[str, ScopeRow]] = {}
    for recipe in recipes:
        for row in suite.scoped[recipe]:
            if row.metric == score:
                groups.setdefault((row.of_set, row.slicing, row.slice), {})[recipe] = row
    lines = []
    for (of_set, slicing, part), rows in groups.items():
        first = next(iter(rows.values()))
        lines.append(
            Line(
                name=part or of_set or VALIDATION,
                images=first.images,
                is_slice=bool(slicing),
                cells=tuple(_cell(rows.get(recipe), unit) for recipe in recipes),
                small=first.small,
            )
        )
    return Table(score, tuple(recipes), tuple(lines))


def _cell(row: ScopeRow | None, unit: Unit) -> Cell | None:
    if row is None or row.value is None:
        return None
    interval = ""
    if row.low is not None and row.high is not None and row.low < row.high:
        interval = f"{show(row.low, unit)} … {show(row.high, unit)}"
    return Cell(show(row.value, unit), interval, _difference(row), row.worst)


def _difference(row: ScopeRow) -> str:
    if row.difference is None:
        return ""
    return f"{row.difference:+.4f}{_between(row)}"


def _between(row: ScopeRow) -> str:
    low, high = row.difference_low, row.difference_high
    return f" ({low:+.4f} … {high:+.4f})" if None not in {low, high} and low != high else ""


def shifts(suite: SuiteRecord, metrics: Mapping[str, Metric]) -> list[ShiftLine]:
    """A line for each recipe that adapts, by the task's first score; none without a shift."""
    shift = suite.shift
    if shift is None:
        return []
    lines = []
    for recipe, steps in shift.adapting.items():
        rows = [row for row in suite.scoped.get(recipe, ()) if not row.slicing]
        score = rows[0].metric if rows else ""
        by_set = {row.of_set: row for row in rows if row.metric == score}
        source, target = by_set.get(shift.source), by_set.get(shift.target)
        if source is None or target is None or score not in metrics:
            continue
        better = metrics[score].better
        lines.append(
            ShiftLine(
                recipe=recipe,
                steps=", ".join(steps),
                source=f"{score} {_value(source, metrics[score])}",
                target=f"{score} {_value(target, metrics[score])}",
                words="; ".join(_moved(row, better) for row in (target, source)),
            )
        )
    return lines


def _value(row: ScopeRow, metric: Metric) -> str:
    if row.value is None:
        return f"not measured on {count_of(row.images, 'image')}"
    moved = _difference(row)
    return show(row.value, metric.unit) + (f", {moved} to the reference" if moved else "")


def _moved(row: ScopeRow, better: Better) -> str:
    """What the paired interval says of a recipe against its reference."""
    name = row.of_set or VALIDATION
    low, high = row.difference_low, row.difference_high
    if row.difference is None or low is None or high is None:
        return f"nothing is known of {name}"
    if better is Better.LOWER:
        low, high = -high, -low
    if low > 0:
        return f"gains on {name}"
    if high < 0:
        return f"loses on {name}"
    return f"no change is proven on {name}"
