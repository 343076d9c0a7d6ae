"""The store: whole or not at all, once each, merged by copying, foreign files named."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_perfgate.errors import HistoryError
from pytest_perfgate.history import store as history_store
from pytest_perfgate.history.nights import read
from pytest_perfgate.history.rows import COLUMNS, YARDSTICK
from pytest_perfgate.history.store import History
from pytest_perfgate.metric import PERFORMANCE
from pytest_perfgate.records.inputs import RecipeInputs, SuiteInputs
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import SessionRecord, SuiteRecord
from pytest_perfgate.records.verdict import MetricSummary

from tests.history import nights
from tests.history.nights import Night
from tests.report import sessions
from tests.report.sessions import METRICS


def stored(folder: Path, what: str = "count(*)") -> list[tuple[object, ...]]:
    """What a query of all rows gives."""
    with History(folder) as store:
        store.view("history")
        return store.query(f"SELECT {what} FROM history").fetchall()  # noqa: S608 - of these tests


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30)
VALUES = st.floats(1e-9, 1e12)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=TEXTS,
    suite=TEXTS,
    identity=TEXTS,
    metric=st.sampled_from(sorted(PERFORMANCE)),
    value=VALUES,
    low=st.none() | VALUES,
    dirty=st.booleans(),
)
def test_what_is_written_is_read(
    tmp_path: Path,
    name: str,
    suite: str,
    identity: str,
    metric: str,
    value: float,
    low: float | None,
    dirty: bool,
) -> None:
    """Any names and numbers come back as they were; what was not measured comes back as NULL."""
    folder = tmp_path / "store"
    shutil.rmtree(folder, ignore_errors=True)
    record = SessionRecord(
        id=identity,
        started="2026-03-04T05:06:07+02:00",
        seconds=1.5,
        command=name,
        commit="abc",
        dirty=dirty,
        machine=sessions.healthy().machine,
        environment=sessions.healthy().environment,
        suites=(
            SuiteRecord(
                name=suite,
                folder="f",
                task="detection",
                model="m",
                recipes=(RecipeRecord(name=name, reference=name),),
                summaries={name: (MetricSummary(metric=metric, value=value, low=low),)},
            ),
        ),
    )
    with History(folder) as store:
        assert store.append(record, METRICS) is not None
    (row,) = stored(
        folder, "session, started, command, dirty, suite, recipe, metric, value, low, high, status"
    )
    when = datetime(2026, 3, 4, 3, 6, 7)  # in UTC
    assert row == (identity, when, name, dirty, suite, name, metric, value, low, None, None)


def test_every_column_of_a_real_session_is_filled(tmp_path: Path) -> None:
    """A broken session has all of it: measured, not measured, judged, with limits and phases."""
    record = sessions.broken()
    (suite, *others) = record.suites
    around = SuiteInputs(program="0", machine="m", environment=record.environment)
    (recipe, *more) = suite.recipes
    recipe = recipe.model_copy(update={"inputs": RecipeInputs(declared="d")})
    suite = suite.model_copy(update={"inputs": around, "recipes": (recipe, *more)})
    record = record.model_copy(update={"suites": (suite, *others)})
    with History(tmp_path) as store:
        store.append(record, METRICS)
    filled = stored(tmp_path, ", ".join(f'count("{name}")' for name in COLUMNS))[0]
    assert all(filled), dict(zip(COLUMNS, filled, strict=True))
    errors = stored(
        tmp_path, "recipe, value, compared, failure FROM history WHERE status='ERROR' --"
    )
    assert errors == [("int8", None, None, "the worker ended by signal 9")]


def test_a_session_that_measured_nothing_is_a_night_too(tmp_path: Path) -> None:
    """Its row has no suite; the page's nights count it."""
    record = sessions.healthy().model_copy(update={"suites": ()})
    with History(tmp_path) as store:
        store.append(record, METRICS)
        assert len(read(store, 366, 30).nights) == 1
    assert stored(tmp_path, "suite, metric, value") == [(None, None, None)]


def test_times_compare_through_the_reference_and_its_own_through_the_yardstick(
    tmp_path: Path,
) -> None:
    """A machine that is twice as slow changes times, not what nights are compared by."""
    nights.fill(tmp_path, [Night(), Night(machine=2.0)])
    rows = stored(
        tmp_path,
        "recipe, through, value, compared FROM history WHERE metric = 'latency_p50' "
        "ORDER BY recipe, started --",
    )
    (_, through, before, ratio), (_, _, after, same) = rows[:2]
    assert through == YARDSTICK
    assert after == pytest.approx(2 * before, rel=0.03)
    assert same == pytest.approx(ratio, rel=0.03)
    assert rows[2][1] == "fp32"
    assert rows[2][3] == pytest.approx(1 / 3, rel=0.03)
    memory = stored(
        tmp_path, "DISTINCT through, compared FROM history WHERE metric='peak_memory' --"
    )
    assert memory == [("", pytest.approx(1e8))]


def test_a_session_counts_once_however_often_it_is_added(tmp_path: Path) -> None:
    """The second time nothing is written, and the file stays as it is."""
    record = nights.session(0, Night())
    with History(tmp_path) as store:
        file = store.append(record, METRICS)
        assert file is not None
        before = file.read_bytes()
        assert store.append(record, METRICS) is None
    assert file.read_bytes() == before
    assert stored(tmp_path, "count(DISTINCT session), count(*)") == [(1, 6)]


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    """Signs of a pattern are part of the name, for every way of reading."""
    folder = tmp_path / "nights [of] '26* ?"
    with History(folder) as store:
        assert store.append(sessions.healthy(), sessions.METRICS)
        assert store.append(sessions.healthy(), sessions.METRICS) is None
        assert store.view("history") == 1
        (count,) = store.query("SELECT count(DISTINCT session) FROM history").fetchone() or (0,)
    assert count == 1
    assert store.unread == []


def test_stores_are_merged_by_copying_files(tmp_path: Path) -> None:
    """Two folders with a session in common, one of them compacted, are the sessions of both."""
    one, two = tmp_path / "one", tmp_path / "two"
    nights.fill(one, [Night(), Night(), Night()])
    nights.fill(two, [Night(), Night(), Night(), Night()])
    with History(two) as store:
        assert store.compact(datetime(2026, 6, 1, tzinfo=UTC))[0].sessions == 4
    shutil.copytree(one, two, dirs_exist_ok=True)
    assert stored(two, "count(DISTINCT session), count(*)") == [(4, 24)]
    with History(two) as store:
        done = store.compact(datetime(2026, 6, 1, tzinfo=UTC))
        assert [(each.files, each.sessions) for each in done] == [(4, 4)]
    assert len(list(two.rglob("*.parquet"))) == 1
    assert stored(two, "count(DISTINCT session), count(*)") == [(4, 24)]


def test_compacting_keeps_every_value_and_leaves_the_running_month(tmp_path: Path) -> None:
    """Months that are over become one file each; a session of theirs is not added again."""
    nights.fill(tmp_path, [Night()] * 40)  # January and the first days of February
    every = stored(tmp_path, "* FROM history ORDER BY ALL --")
    with History(tmp_path) as store:
        (done,) = store.compact(datetime(2026, 2, 20, tzinfo=UTC))
        assert (done.month, done.files, done.sessions) == ("2026-01", 31, 31)
        assert store.append(nights.session(0, Night()), METRICS) is None
        assert store.compact(datetime(2026, 2, 20, tzinfo=UTC)) == []
    assert stored(tmp_path, "* FROM history ORDER BY ALL --") == every
    assert len(list((tmp_path / "month=2026-02").iterdir())) == 9


@pytest.mark.parametrize("content", [b"", b"PAR1 cut short", b"no parquet at all" * 9])
def test_a_broken_file_is_named_and_the_rest_is_read(tmp_path: Path, content: bytes) -> None:
    """What is truncated or something else does not take the others with it."""
    nights.fill(tmp_path, [Night(), Night()])
    broken = tmp_path / "month=2026-01" / "broken.parquet"
    broken.write_bytes(content)
    with History(tmp_path) as store:
        past = read(store, 366, 30)
    assert len(past.nights) == 2
    assert [each.file for each in past.unread] == [broken]
    assert "cannot be read" in past.unread[0].problem


@pytest.mark.parametrize("noise", [b"\xff", b"\x00", b"\xdc\x07"])
def test_a_file_that_is_damaged_inside_is_named_and_the_rest_is_read(
    tmp_path: Path, noise: bytes
) -> None:
    """Its end, which describes it, is whole: the damage is met when a column is read. It is left
    out of a compaction, which deletes what it has read.
    """
    nights.fill(tmp_path, [Night(), Night(), Night()])
    broken, *whole = sorted((tmp_path / "month=2026-01").glob("*.parquet"))
    content = bytearray(broken.read_bytes())
    half = len(content) // 2
    content[8:half] = (noise * half)[: half - 8]
    broken.write_bytes(content)
    with History(tmp_path) as store:
        past = read(store, 366, 30)
        assert [unread.file for unread in past.unread] == [broken]
        assert "cannot be read" in past.unread[0].problem
        (done,) = store.compact(datetime(2026, 2, 10, tzinfo=UTC))
    assert len(past.nights) == done.sessions == len(whole) == 2
    assert broken.read_bytes() == content


def test_foreign_parquet_and_newer_versions_are_named(tmp_path: Path) -> None:
    """A Parquet file of someone else, and one of a later program, are left alone."""
    nights.fill(tmp_path, [Night()])
    month = tmp_path / "month=2026-01"
    with History(tmp_path) as store:
        store.query(f"COPY (SELECT 1 AS x) TO '{month / 'a.parquet'}' (FORMAT parquet)")
        store.query(
            f"COPY (SELECT 1 AS x) TO '{month / 'b.parquet'}' "
            "(FORMAT parquet, KV_METADATA {perfgate_history: '99'})"
        )
        past = read(store, 366, 30)
    assert len(past.nights) == 1
    assert [each.problem for each in past.unread] == [
        "not a file of pytest-perfgate's history",
        "it is of version 99, and this program reads 1",
    ]


def test_a_file_of_no_believable_size_is_named_and_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some kB that hold one value again and again."""
    monkeypatch.setattr(history_store, "_LARGEST", 10_000_000)
    with History(tmp_path) as store:
        good = store.append(nights.session(0, Night()), METRICS)
        assert good is not None
        columns = ", ".join(
            f"'x'::VARCHAR AS {name}" if name in {"session", "machine"} else f"NULL AS {name}"
            for name in COLUMNS
        )
        bomb = good.with_name("bomb.parquet")
        rows = f"SELECT {columns} FROM range(100_000)"  # noqa: S608 - names of columns
        store.export(rows, [], bomb)
        assert bomb.stat().st_size < 100_000
        assert store.files() == [good]
        assert store.view("history") == 1
        (unread,) = store.unread
    assert unread.file == bomb
    assert "it unpacks to" in unread.problem


def test_a_column_that_older_files_lack_is_null_in_them(tmp_path: Path) -> None:
    """Files of before a column was added stay readable beside newer ones."""
    nights.fill(tmp_path, [Night(), Night()])
    first, _ = sorted(tmp_path.rglob("*.parquet"))
    with History(tmp_path) as store:
        older = ", ".join(f'"{name}"' for name in COLUMNS if name != "samples")
        rows = f"SELECT {older} FROM read_parquet('{first}')"  # noqa: S608 - a path of this test
        mark = "KV_METADATA {perfgate_history: '1'}"
        store.query(f"COPY ({rows}) TO '{first}.new' (FORMAT parquet, {mark})")
    Path(f"{first}.new").replace(first)
    assert stored(tmp_path, "count(*), count(samples)") == [(12, 6)]


def test_an_unwritable_folder_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    """The error names the folder and the option."""
    (tmp_path / "file").write_text("no folder")
    with History(tmp_path / "file") as store, pytest.raises(HistoryError) as caught:
        store.append(nights.session(0, Night()), METRICS)
    assert "--perf-history=DIR" in str(caught.value)


def test_a_name_does_not_leave_the_folder(tmp_path: Path) -> None:
    """A session's id with a path in it becomes a plain file name."""
    record = nights.session(0, Night()).model_copy(update={"id": "../../../evil"})
    with History(tmp_path / "store") as store:
        file = store.append(record, METRICS)
    assert file is not None
    assert file.resolve().is_relative_to(tmp_path / "store")
    assert json.dumps(stored(tmp_path / "store", "DISTINCT session")) == '[["../../../evil"]]'
