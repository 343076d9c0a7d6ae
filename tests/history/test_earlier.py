"""What a history says of recipes that a change cannot touch, and what it does not count."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pytest
from pytest_perfgate.history.earlier import StoredHistory, finder
from pytest_perfgate.history.engine import quoted
from pytest_perfgate.history.last_sessions import with_last_sessions
from pytest_perfgate.history.nights import read
from pytest_perfgate.history.shared import HistoryPlace
from pytest_perfgate.history.silence import silences
from pytest_perfgate.history.store import History
from pytest_perfgate.history.uncompared import with_gaps
from pytest_perfgate.records.earlier import suites_of
from pytest_perfgate.records.inputs import RecipeInputs, SuiteInputs, Unaffected
from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.records.settings import for_command
from pytest_perfgate.records.verdict import Earlier, Status
from pytest_perfgate.report import publish

from tests.history.nights import Night, session
from tests.report.sessions import METRICS

COMMIT, OTHER = "a" * 40, "b" * 40


def measured(number: int = 0) -> SessionRecord:
    """A night whose recipes say what they rest on."""
    record = session(number, Night())
    (suite,) = record.suites
    inputs = SuiteInputs(program="0.1", machine=record.machine.id, environment=record.environment)
    recipes = tuple(
        recipe.model_copy(
            update={"inputs": RecipeInputs(declared=recipe.name, files={"m.py": "1"})}
        )
        for recipe in suite.recipes
    )
    suite = suite.model_copy(update={"inputs": inputs, "recipes": recipes})
    return record.model_copy(update={"commit": COMMIT, "dirty": False, "suites": (suite,)})


def unaffected(number: int, origin: SessionRecord) -> SessionRecord:
    """A later night in which no recipe was affected."""
    record = session(number, Night())
    (suite,) = measured(number).suites
    earlier = Earlier(session=origin.id, started=origin.started, commit=COMMIT, status=Status.PASS)
    names = dict.fromkeys(verdict.recipe for verdict in suite.verdicts)
    suite = suite.model_copy(
        update={
            "recipes": (),
            "summaries": {},
            "verdicts": tuple(
                verdict.model_copy(
                    update={"status": Status.UNAFFECTED, "value": None, "earlier": earlier}
                )
                for verdict in suite.verdicts
            ),
            "unaffected": tuple(
                Unaffected(
                    recipe=name,
                    reference="fp32",
                    session=origin.id,
                    started=origin.started,
                    commit=COMMIT,
                    key="k",
                )
                for name in names
            ),
        }
    )
    return record.model_copy(update={"commit": OTHER, "dirty": False, "suites": (suite,)})


def stored(folder: Path, *sessions: SessionRecord) -> Path:
    """A history of these sessions."""
    with History(folder) as store:
        for record in sessions:
            store.append(record, METRICS)
    return folder


def test_a_history_says_what_session_files_say(tmp_path: Path) -> None:
    """By commit and by session: the same suites with their inputs, verdicts and origins."""
    first = measured()
    later = unaffected(1, first)
    find = StoredHistory(HistoryPlace(stored(tmp_path / "history", first, later)))
    for record in (first, later):
        (expected,) = suites_of(record)
        for text in (record.commit, record.id):
            (suite,) = find(text)
            assert (suite.unaffected, suite.statuses) == (expected.unaffected, expected.statuses)
            assert (suite.recipes, suite.references) == (expected.recipes, expected.references)
            assert suite.started == expected.started
    assert next(find(COMMIT)).inputs == next(suites_of(first)).inputs
    assert list(find("c" * 40)) == []


@pytest.mark.parametrize("change", [{"dirty": True}, {"complete": False}, {"commit": ""}])
def test_what_measured_other_code_measured_nothing(
    tmp_path: Path, change: dict[str, object]
) -> None:
    """Local changes, a session that was cut short, no commit: in files and in a history."""
    record = measured().model_copy(update=change)
    assert list(suites_of(record)) == []
    find = StoredHistory(HistoryPlace(stored(tmp_path / "history", record)))
    assert list(find(record.id)) == []


def test_a_history_of_before_and_a_broken_one_say_nothing(tmp_path: Path) -> None:
    """Files without the column are read as ever."""
    folder = stored(tmp_path / "history", measured())
    (file,) = folder.glob("month=*/*.parquet")
    old = file.read_bytes()
    duckdb.read_parquet(str(file)).project("* EXCLUDE (inputs)").create_view("old_rows")
    target = quoted(f"{file}.new")
    mark = "KV_METADATA {perfgate_history: '1'}"
    duckdb.sql(f"COPY old_rows TO {target} (FORMAT parquet, {mark})")
    duckdb.sql("DROP VIEW old_rows")
    Path(f"{file}.new").replace(file)
    with History(folder) as store:
        assert len(read(store, 30, 5).nights) == 1
    find = StoredHistory(HistoryPlace(folder))
    assert list(find(COMMIT)) == []
    file.write_bytes(old[: len(old) // 2])
    assert list(find(COMMIT)) == []


def test_session_files_come_first(tmp_path: Path) -> None:
    """Then the history; both are asked."""
    settings = replace(
        for_command(tmp_path, "pytest"), reports=tmp_path / "reports", history=tmp_path / "h"
    )
    first, second = measured(0), measured(1)
    stored(tmp_path / "h", second)
    settings.reports.mkdir()
    publish.store(first, settings.reports)
    (settings.reports / "broken.json").write_text(COMMIT)
    assert [one.session for one in finder(settings)(COMMIT)] == [first.id, second.id]


def test_an_unaffected_night_is_no_measurement_and_no_silence(tmp_path: Path) -> None:
    """Its rows have no value and no place in a budget's last sessions; the recipe is not silent."""
    first = measured()
    later = unaffected(5, first)
    folder = stored(tmp_path / "history", first, later)
    with History(folder) as store:
        past = read(store, 30, 5)
        again = with_last_sessions(measured(6), METRICS, store)
        gaps = with_gaps(later, store)
    int8 = [one for one in past.series if (one.recipe, one.metric) == ("int8", "latency_p50")]
    assert [int(np.isfinite(one.value).sum()) for one in int8] == [1]
    now = datetime.fromisoformat(later.started) + timedelta(hours=1)
    assert silences(past, now.astimezone(UTC), {}, None) == ()
    (suite,) = again.suites
    assert {line.alike for lines in suite.last_sessions.values() for line in lines.values()} == {
        2
    }  # the first and this one
    assert not any("not compared" in note for suite in gaps.suites for note in suite.notes)
