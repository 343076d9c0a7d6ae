"""For how many sessions budgets have not been compared: nothing is green by absence for weeks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_perfgate.history.store import History
from pytest_perfgate.records.session import SessionRecord, SuiteRecord
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.units import count_of

_ABSENT = {Status.NO_BASELINE, Status.NO_MACHINE, Status.INCONCLUSIVE, Status.SKIPPED}
_FEWEST = 2  # sessions: one alone is what its verdict says

_SINCE = """
    WITH judged AS (
        SELECT suite, recipe, metric, session, machine, started, status IN ('PASS', 'FAIL') AS done
        FROM judged_rows WHERE status IS NOT NULL AND status <> 'UNAFFECTED'
    ), latest AS (
        SELECT suite, recipe, metric, max(started) FILTER (done) AS last,
               arg_max(machine, started) FILTER (done) AS machine
        FROM judged GROUP BY ALL
    )
    SELECT suite, recipe, metric, strftime(any_value(last), '%Y-%m-%d'), any_value(latest.machine),
           count(DISTINCT session) FILTER (last IS NULL OR started > last)
    FROM judged JOIN latest USING (suite, recipe, metric)
    GROUP BY suite, recipe, metric
"""
"""Of each budget: the day and the machine of its last PASS or FAIL, and the sessions since."""


@dataclass(frozen=True)
class _Gap:
    """Sessions of the store since the last comparison; `last` and `machine` are "" for never."""

    last: str
    machine: str
    sessions: int


def with_gaps(record: SessionRecord, store: History) -> SessionRecord:
    """The session with a note on budgets that it did not compare, and sessions before it neither.

    Raises:
        HistoryError: the folder's files cannot be read.
    """
    absent = any(verdict.status in _ABSENT for suite in record.suites for verdict in suite.verdicts)
    if not absent:
        return record
    gaps = _gaps(store)
    suites = tuple(
        suite.model_copy(update={"notes": (*suite.notes, *_notes(suite, gaps))})
        for suite in record.suites
    )
    return record.model_copy(update={"suites": suites})


_Gaps = dict[tuple[str, str, str], _Gap]


def _gaps(store: History) -> _Gaps:
    if not store.view("judged_rows"):
        return {}
    return {
        (suite, recipe, metric): _Gap(last or "", machine or "", sessions)
        for suite, recipe, metric, last, machine, sessions in store.query(_SINCE).fetchall()
    }


def _notes(suite: SuiteRecord, gaps: _Gaps) -> Iterator[str]:
    budgets: dict[_Gap, list[str]] = {}
    for verdict in suite.verdicts:
        gap = gaps.get((suite.title, verdict.recipe, verdict.metric))
        if verdict.status in _ABSENT and gap is not None and gap.sessions + 1 >= _FEWEST:
            budgets.setdefault(gap, []).append(f"{verdict.recipe} {verdict.metric}")
    for gap in sorted(budgets, key=lambda gap: -gap.sessions):
        yield f"{_words(gap)}: {_listed(budgets[gap])}"


def _words(gap: _Gap) -> str:
    sessions = count_of(gap.sessions + 1, "session")  # with this one
    if not gap.last:
        return f"never compared in {sessions}"
    return f"not compared for {sessions}, since {gap.last} on {gap.machine}"


def _listed(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
