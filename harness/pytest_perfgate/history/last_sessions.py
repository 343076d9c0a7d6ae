"""Each budget's line of the last sessions, and since when its verdict is what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from pytest_perfgate.history.rows import of_session
from pytest_perfgate.history.store import History
from pytest_perfgate.metric import Metric
from pytest_perfgate.records.session import LastSessions, SessionRecord
from pytest_perfgate.records.verdict import Status

SESSIONS = 30
"""At most, this one included: what fits into a line of a table's cell."""

_LAST = """
    WITH aged AS (
        SELECT suite, recipe, metric, started, status, compared, through, row_number() OVER (
            PARTITION BY suite, recipe, metric ORDER BY started DESC, session DESC) AS age
        FROM line_rows WHERE machine = ? AND status IS NOT NULL AND status <> 'UNAFFECTED'
            AND session <> ?
    )
    SELECT suite, recipe, metric, strftime(started, '%Y-%m-%d'), status, compared, through
    FROM aged WHERE age < ? ORDER BY age DESC
"""


@dataclass(frozen=True)
class _Point:
    """One session: its day, the verdict, and what is compared through what."""

    day: str
    status: str
    compared: float | None
    through: str


_Place = tuple[str, str, str]


def with_last_sessions(
    record: SessionRecord, metrics: Mapping[str, Metric], store: History
) -> SessionRecord:
    """The session with the line of each of its budgets that was judged on its machine before.

    Raises:
        HistoryError: the folder's files cannot be read.
    """
    recalled = {
        suite.title: suite
        for part in record.by_machine()
        for suite in _of_machine(part, metrics, store).suites
    }
    suites = tuple(recalled.get(suite.title, suite) for suite in record.suites)
    return record.model_copy(update={"suites": suites})


def _of_machine(
    record: SessionRecord, metrics: Mapping[str, Metric], store: History
) -> SessionRecord:
    """The suites of one machine with their lines."""
    lines = _stored(record, store)
    if not lines:
        return record
    for row in of_session(record, metrics):
        place = row.get("suite", ""), row.get("recipe", ""), row.get("metric", "")
        if row.get("status") not in {None, Status.UNAFFECTED.value} and place in lines:
            lines[place].append(_point(record.started[:10], row))
    suites = []
    for suite in record.suites:
        judged: dict[str, dict[str, LastSessions]] = {}
        for verdict in suite.verdicts:
            points = lines.get((suite.title, verdict.recipe, verdict.metric), [])
            if points and verdict.status is not Status.UNAFFECTED:
                judged.setdefault(verdict.recipe, {})[verdict.metric] = _line(points)
        suites.append(suite.model_copy(update={"last_sessions": judged}))
    return record.model_copy(update={"suites": tuple(suites)})


def _stored(record: SessionRecord, store: History) -> dict[_Place, list[_Point]]:
    lines: dict[_Place, list[_Point]] = {}
    if store.view("line_rows"):
        values = [record.machine.id, record.id, SESSIONS]
        for suite, recipe, metric, *point in store.query(_LAST, values).fetchall():
            lines.setdefault((suite, recipe, metric), []).append(_Point(*point))
    return lines


def _point(day: str, row: Mapping[str, Any]) -> _Point:
    return _Point(day, row["status"], row.get("compared"), row.get("through", ""))


def _line(points: Sequence[_Point]) -> LastSessions:
    now = points[-1]
    alike = list(takewhile(lambda point: point.status == now.status, reversed(points)))
    return LastSessions(
        values=tuple(point.compared if point.through == now.through else None for point in points),
        since=alike[-1].day,
        alike=len(alike),
    )
