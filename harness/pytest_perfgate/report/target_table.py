"""The budgets of a suite beside each other on all targets of a session, the worst first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pytest_perfgate.records.session import SessionRecord, SuiteRecord
from pytest_perfgate.records.verdict import Status, Verdict


@dataclass(frozen=True)
class TargetColumn:
    """One target.

    Attributes:
        machine: its fingerprint's name; "" where it has no machine, or was not reached.
        cpu: of that machine, "" where it is not known.
        worst: of its verdicts.
    """

    name: str
    machine: str
    cpu: str
    worst: Status


@dataclass(frozen=True)
class TargetRow:
    """One budget.

    Attributes:
        cells: its verdict by target; None where the session did not select it.
    """

    name: str
    cells: tuple[Verdict | None, ...]


@dataclass(frozen=True)
class TargetTable:
    """One suite: columns and rows begin with what has the worst verdicts."""

    suite: str
    columns: tuple[TargetColumn, ...]
    rows: tuple[TargetRow, ...]


def target_tables(session: SessionRecord) -> tuple[TargetTable, ...]:
    """A table for each suite that the session has several targets of; that with the worst verdicts
    is first.
    """
    suites: dict[str, list[SuiteRecord]] = {}
    for suite in session.suites:
        if suite.target and suite.verdicts:
            suites.setdefault(suite.folder, []).append(suite)
    several = [parts for parts in suites.values() if len(parts) > 1]
    return tuple(_table(parts) for parts in sorted(several, key=_badness_of))


def _badness_of(parts: list[SuiteRecord]) -> tuple[int, ...]:
    return _badness(verdict for suite in parts for verdict in suite.verdicts)


def _badness(verdicts: Iterable[Verdict | None]) -> tuple[int, ...]:
    """What comes first has the lowest: the worst verdicts, and of two the one with more of them."""
    return tuple(sorted(verdict.status.rank for verdict in verdicts if verdict is not None))


def _table(parts: list[SuiteRecord]) -> TargetTable:
    parts = sorted(parts, key=lambda suite: _badness(suite.verdicts))
    verdicts = [{(one.recipe, one.metric): one for one in suite.verdicts} for suite in parts]
    names = dict.fromkeys(name for own in verdicts for name in own)
    rows = [
        TargetRow(" ".join(name).strip(), tuple(own.get(name) for own in verdicts))
        for name in names
    ]
    rows.sort(key=lambda row: _badness(row.cells))
    return TargetTable(parts[0].name, tuple(map(_column, parts)), tuple(rows))


def _column(suite: SuiteRecord) -> TargetColumn:
    return TargetColumn(
        name=suite.target,
        machine=suite.machine.id if suite.machine else "",
        cpu=suite.machine.cpu if suite.machine else "",
        worst=min((verdict.status for verdict in suite.verdicts), key=lambda one: one.rank),
    )


def machines(session: SessionRecord) -> list[tuple[list[str], SessionRecord]]:
    """The machines that suites were measured on, each with its targets; the session's own comes
    first, and has none where no target is meant by it.
    """
    machines: dict[tuple[str, str], tuple[list[str], SessionRecord]] = {}
    for targets, part in [([], session)] + [
        ([suite.target], part) for suite in session.suites if (part := session.at(suite))
    ]:
        key = part.machine.id, part.environment.model_dump_json()
        names = machines.setdefault(key, ([], part))[0]
        names += [name for name in targets if name and name not in names]
    return list(machines.values())
