"""A session says for how many sessions its undecided budgets have not been compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pytest_perfgate.history.recall import recalled
from pytest_perfgate.records.settings import for_command
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.suite.metrics import metrics_of_session

from tests.history.nights import Night, fill, session

pytest.importorskip("duckdb", reason="python -m pip install 'pytest-perfgate[history]'")

KEPT, BROKEN, NONE, UNSURE, SKIPPED = (
    Night(status=status)
    for status in (
        Status.PASS,
        Status.FAIL,
        Status.NO_BASELINE,
        Status.INCONCLUSIVE,
        Status.SKIPPED,
    )
)


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ([KEPT, NONE, UNSURE], NONE, "not compared for 3 sessions, since "),
        ([KEPT, BROKEN, SKIPPED], UNSURE, "not compared for 2 sessions, since "),
        ([NONE, SKIPPED], NONE, "never compared in 3 sessions: int8 latency_p50"),
        ([KEPT], UNSURE, ""),  # one alone is what its verdict says
        ([KEPT, NONE, NONE], KEPT, ""),
        ([], NONE, ""),
    ],
)
def test_sessions_since_the_last_comparison_are_counted(
    tmp_path: Path, before: list[Night], now: Night, said: str
) -> None:
    """PASS and FAIL compare; the day and the machine of the last are named."""
    fill(tmp_path, before)
    record = session(len(before), now)
    settings = replace(for_command(tmp_path, "pytest"), history=tmp_path)
    (suite,) = recalled(record, metrics_of_session(record), settings).suites
    if not said:
        assert suite.notes == record.suites[0].notes
        return
    (note,) = suite.notes
    assert note.startswith(said)
    assert note.endswith("int8 latency_p50")
    if "since" in said:
        assert record.machine.id in note


def test_a_store_that_cannot_be_read_adds_nothing(tmp_path: Path) -> None:
    """It is reported where the session is added to it; verdicts stand."""
    folder = tmp_path / "month=2026-11"
    folder.mkdir()
    (folder / "a.parquet").write_text("none")
    record = session(1, NONE)
    for history in (tmp_path, tmp_path / "absent", None):
        settings = replace(for_command(tmp_path, "pytest"), history=history)
        assert recalled(record, metrics_of_session(record), settings) == record
