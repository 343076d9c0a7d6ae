"""Each budget of a session has its line of the last sessions, and since when it is as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pytest_perfgate.history.last_sessions import SESSIONS
from pytest_perfgate.history.recall import recalled
from pytest_perfgate.records.session import LastSessions, SessionRecord
from pytest_perfgate.records.settings import for_command
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.report.page import render
from pytest_perfgate.report.session_line import since, svg
from pytest_perfgate.suite.metrics import metrics_of_session

from tests.history.nights import Night, fill, session

pytest.importorskip("duckdb", reason="python -m pip install 'pytest-perfgate[history]'")

KEPT, BROKEN = Night(status=Status.PASS), Night(status=Status.FAIL)


def after(folder: Path, before: list[Night], now: Night) -> SessionRecord:
    """A session whose store holds those before it."""
    fill(folder, before)
    record = session(len(before), now)
    settings = replace(for_command(folder, "pytest"), history=folder)
    return recalled(record, metrics_of_session(record), settings)


def test_a_red_budget_says_since_when(tmp_path: Path) -> None:
    """Four sessions, the last two red: the day of the first red one is said."""
    record = after(tmp_path, [KEPT, KEPT, BROKEN], BROKEN)
    line = record.suites[0].last_sessions["int8"]["latency_p50"]
    assert (len(line.values), line.alike) == (4, 2)
    assert None not in line.values
    assert line.since == session(2, BROKEN).started[:10]
    page = render(record, metrics_of_session(record))
    assert f"FAIL since {line.since} (2 sessions)" in page
    assert '<svg class="nights FAIL"' in page
    assert SessionRecord.model_validate_json(record.model_dump_json()) == record


def test_the_line_is_of_the_last_sessions_alone(tmp_path: Path) -> None:
    """However long the history is, a line fits into its cell."""
    record = after(tmp_path, [BROKEN] + [KEPT] * (SESSIONS + 2), KEPT)
    line = record.suites[0].last_sessions["int8"]["latency_p50"]
    assert (len(line.values), line.alike) == (SESSIONS, SESSIONS)
    assert since(line, Status.PASS) == f"PASS in all of the last {SESSIONS} sessions"


def test_the_first_session_has_no_line(tmp_path: Path) -> None:
    """Nothing was before it, on this machine."""
    assert after(tmp_path, [], KEPT).suites[0].last_sessions == {}


@pytest.mark.parametrize(
    ("values", "lines", "dots"),
    [
        ((1.0, 1.1, 1.2), 1, 1),
        ((1.0, 1.1, None, 1.2, 1.3), 2, 1),
        ((1.0, 1.1, None), 1, 0),
        ((2.0, 2.0), 1, 1),
        ((None, 1.0), 0, 0),
    ],
)
def test_a_session_without_a_value_is_a_gap(
    values: tuple[float | None, ...], lines: int, dots: int
) -> None:
    """One value alone is no line."""
    drawn = svg(LastSessions(values=values, since="2026-11-01", alike=1), Status.PASS)
    assert (drawn.count("<polyline"), drawn.count("<circle")) == (lines, dots)
