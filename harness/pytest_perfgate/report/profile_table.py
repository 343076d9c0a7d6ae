"""Where an inference's time goes, laid out for the page: a recipe beside what it is held to."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.units import Unit, show
from pytest_perfgate.verdicts import slowdown

_ROWS = 10  # operators in a table


@dataclass(frozen=True)
class Line:
    """One operator: times as text, and how long its bar is, -100 to 100 percent."""

    name: str
    kind: str
    ours: str
    other: str
    moved: str
    bar: float


@dataclass(frozen=True)
class Table:
    """One recipe: `other` is what it is laid beside, "" for nothing."""

    recipe: str
    other: str
    lines: tuple[Line, ...]
    more: int
    words: tuple[str, ...]
    notes: tuple[str, ...]
    broken: bool


def tables(suite: SuiteRecord) -> list[Table]:
    """The recipes that were profiled on purpose: those that break a budget on time first."""
    records = {record.name: record for record in suite.recipes}
    base = {record.name: record for record in suite.base.recipes} if suite.base else {}
    broken = {verdict.recipe for verdict in suite.verdicts if verdict.slower}
    tables = []
    for record in suite.recipes:
        if record.profile is None:
            continue
        other, name = base.get(record.name), suite.base.name if suite.base else ""
        if other is None or other.profile is None:
            other, name = records.get(record.reference), f"the reference {record.reference}"
        if other is None or other.profile is None or other is record:
            other = None
        if other is None and broken and record.name not in broken:
            continue  # it was profiled for others to be laid beside
        tables.append(_table(record, other, name, record.name in broken))
    return sorted(tables, key=lambda table: not table.broken)


def _table_alone(record: RecipeRecord, broken: bool) -> Table:
    """The operators of a recipe that has nothing to be compared with."""
    operators = record.profile.operators if record.profile else ()
    lines = [
        Line(operator.name, operator.kind, show(operator.seconds, Unit.SECONDS), "", "", 0.0)
        for operator in operators
    ]
    more = max(0, len(lines) - _ROWS)
    return Table(record.name, "", tuple(lines[:_ROWS]), more, slowdown.alone(record), (), broken)


def _table(record: RecipeRecord, other: RecipeRecord | None, name: str, broken: bool) -> Table:
    profile = record.profile
    assert profile is not None  # noqa: S101 - `tables` leaves those out
    notes = []
    if profile.operators:
        notes.append(
            f"{profile.tool}, {profile.inferences} inferences in a process of its own after the "
            f"measuring; without the profiler one took {show(profile.seconds, Unit.SECONDS)}"
        )
    if other is None:
        return _table_alone(record, broken)
    slower = slowdown.beside(record, other, name)
    rows = sorted(slower.rows, key=lambda row: -abs(row.seconds))
    longest = max((abs(row.seconds) for row in rows), default=0.0) or 1.0
    lines = [
        Line(
            name=row.name,
            kind=row.kind,
            ours=_time(row.ours),
            other=_time(row.other),
            moved=slowdown.signed(row.seconds),
            bar=round(100 * row.seconds / longest, 1),
        )
        for row in rows
    ]
    if slower.by == "kind" and rows:
        notes.append(
            "the two runtimes name their operators differently: compared by what they compute"
        )
    if slower.graph:
        notes.append(f"number of operators: {', '.join(slower.graph)}")
    notes.append(
        f"properties that the runtimes report and that differ: {', '.join(slower.facts)}"
        if slower.facts
        else "the runtimes report the same versions, threads and other properties"
    )
    return Table(
        recipe=record.name,
        other=name,
        lines=tuple(lines[:_ROWS]),
        more=max(0, len(lines) - _ROWS),
        words=slower.lines(),
        notes=tuple(notes),
        broken=broken,
    )


def clock(suite: SuiteRecord) -> str:
    """What is known of the clock while the recipes were measured."""
    means = [
        condition.frequency_mean
        for condition in suite.conditions
        if condition.frequency_mean is not None
    ]
    if not means:
        return "the clock of the cores was not measured: this machine does not report it"
    low, high = (f"{mean / 1e9:.2f}" for mean in (min(means), max(means)))
    return (
        f"the cores ran at {low} to {high} GHz (means of launches); arms of a launch share them, "
        "so that a clock explains no difference between two arms"
    )


def _time(seconds: float | None) -> str:
    return "not there" if seconds is None else show(seconds, Unit.SECONDS)
