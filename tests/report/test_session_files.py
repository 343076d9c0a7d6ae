"""The report's files: whole or not there, and read back only when they are what they say."""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pytest_perfgate.errors import ReportError
from pytest_perfgate.files import put
from pytest_perfgate.records.session import SESSION_VERSION
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.report import compare_sessions, session_files
from pytest_perfgate.report.page import render
from pytest_perfgate.report.publish import claimed, draw, release, store, write
from pytest_perfgate.report.session_files import read, read_verdicts
from pytest_perfgate.suite.metrics import metrics_of_session

from tests.report import sessions
from tests.report.sessions import METRICS


def test_a_session_comes_back_as_it_was(tmp_path: Path) -> None:
    """The JSON file holds everything, also unicode and markup."""
    session = sessions.broken(sessions.HOSTILE[7] + sessions.HOSTILE[0])
    assert read(store(session, tmp_path / "new" / "reports")) == session


def test_a_session_has_its_data_its_page_and_its_line_in_the_list(tmp_path: Path) -> None:
    """The page is drawn in a process of its own, from the data."""
    session = sessions.session()
    page = write(session, tmp_path)
    written = sorted(file.name for file in tmp_path.iterdir())
    assert written == [f"{session.id}.html", f"{session.id}.json", "index.html"]
    expected = render(session, metrics_of_session(session))
    assert page.read_text(encoding="utf-8") == expected


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ("import os; os.abort()", "was ended by signal 6"),
        ("raise MemoryError('no room')", "MemoryError: no room"),
        ("import time; time.sleep(60)", "longer than 1 s"),
    ],
)
def test_a_drawing_library_that_dies_takes_nothing_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, words: str
) -> None:
    """The data is there, this process too, and the error names the command that draws again."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "vl_convert.py").write_text(f"{ending}\n")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    session = sessions.session()
    file = store(session, tmp_path)
    with pytest.raises(ReportError) as caught:
        draw(file, seconds=1.0 if "sleep" in ending else 60.0)
    assert words in caught.value.problem
    assert f"pytest-perfgate report {file}" in caught.value.next_step
    assert read(file) == session
    assert not file.with_suffix(".html").exists()


def test_a_page_that_takes_too_much_memory_ends_its_own_process(tmp_path: Path) -> None:
    """The machine is not asked for it: the next to be killed could be pytest."""
    file = store(sessions.session(), tmp_path)
    with pytest.raises(ReportError, match="it may use 400 MB of memory"):
        draw(file, memory=400_000_000)
    assert not file.with_suffix(".html").exists()


def test_a_limited_address_space_is_named(tmp_path: Path) -> None:
    """The drawing library cannot work under `ulimit -v`; the data is there all the same."""
    file = store(sessions.session(), tmp_path)
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from pytest_perfgate.report.publish import draw\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4_000_000_000,) * 2)\n"
        "draw(Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", code, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "its address space is limited to 4.00 GB (ulimit -v)" in done.stderr
    assert read(file) == sessions.session()


def test_two_sessions_of_one_second_have_names_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named after the second, in folders of their own too: they may share a history. A name that is
    taken is drawn again, and one that was never used is free again.
    """
    started = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
    names = {claimed(folder, started) for folder in (tmp_path / "a", tmp_path / "b", None)}
    assert len(names) == 3
    assert all(re.fullmatch("20261129-120000-[0-9a-f]{6}", name) for name in names)
    drawn = iter(["aaaaaa", "aaaaaa", "bbbbbb", "bbbbbb"])
    monkeypatch.setattr("secrets.token_hex", lambda _: next(drawn))
    first, second = claimed(tmp_path, started), claimed(tmp_path, started)
    assert [first, second] == ["20261129-120000-aaaaaa", "20261129-120000-bbbbbb"]
    release(tmp_path, second)
    assert claimed(tmp_path, started) == second
    monkeypatch.undo()
    stored = store(sessions.session().model_copy(update={"id": first}), tmp_path)
    release(tmp_path, first)
    assert stored.exists()


def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No part stays behind, an older file keeps its text, and the error names the folder."""
    session = sessions.session()
    older = tmp_path / f"{session.id}.json"
    older.write_text("older")

    def full(_file: Path, _target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ReportError, match="No space left") as caught:
        write(session, tmp_path)
    assert str(tmp_path) in caught.value.where
    assert "--perf-reports" in caught.value.next_step
    assert [file.name for file in tmp_path.iterdir()] == [older.name]
    assert older.read_text() == "older"


def test_a_folder_that_is_a_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    """A place that cannot be a folder is a ReportError, not a traceback."""
    place = tmp_path / "reports"
    place.write_text("")
    with pytest.raises(ReportError) as caught:
        write(sessions.session(), place)
    assert caught.value.where == str(place)


def test_a_page_that_cannot_be_made_whole_leaves_the_older_one(tmp_path: Path) -> None:
    """An interruption while writing keeps what was there."""
    file = tmp_path / "page.html"
    file.write_text("older")
    with pytest.raises(UnicodeEncodeError):
        put(file, "half \udc80")
    assert file.read_text() == "older"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cut short"),
        ('{"version": 1, "suites": [', "cut short"),
        ("[1, 2]", "not a session"),
        ('{"version": 1}', "not a session"),
        ('{"version": "1", "suites": []}', "not a session"),
        ('{"version": 1, "suites": [], "id": "x"}', "started"),
        ('{"version": 99, "suites": []}', "version 99"),
        ('{"version": 0, "suites": []}', "version 0"),
    ],
)
def test_a_file_that_is_no_session_is_refused_by_name(tmp_path: Path, text: str, says: str) -> None:
    """Truncated, foreign, incomplete and newer files each say what they are."""
    file = tmp_path / "some.json"
    file.write_text(text)
    with pytest.raises(ReportError, match=says) as caught:
        read(file)
    assert caught.value.where == str(file)


def test_bytes_that_are_no_text_and_files_that_are_not_there(tmp_path: Path) -> None:
    """Neither is a traceback."""
    file = tmp_path / "some.json"
    with pytest.raises(ReportError, match="cannot be read"):
        read(file)
    file.write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(ReportError, match="not JSON"):
        read(file)
    with pytest.raises(ReportError, match="cannot be read"):
        read(tmp_path)


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9, 0.999])
def test_a_session_cut_short_anywhere_is_refused(tmp_path: Path, cut: float) -> None:
    """A file that lost its end is never read as a smaller session."""
    text = sessions.broken().model_dump_json()
    file = tmp_path / "cut.json"
    file.write_text(text[: int(len(text) * cut)])
    with pytest.raises(ReportError, match="cut short"):
        read(file)


def test_an_unknown_key_or_a_number_that_is_none_is_refused(tmp_path: Path) -> None:
    """A foreign key, NaN, a time of day that is none, an endless scatter: named by their place."""
    data = json.loads(sessions.healthy().model_dump_json())
    file = tmp_path / "some.json"
    file.write_text(json.dumps({**data, "extra": 1}))
    with pytest.raises(ReportError, match="extra"):
        read(file)
    file.write_text(json.dumps({**data, "seconds": float("nan")}))
    with pytest.raises(ReportError, match="seconds"):
        read(file)
    file.write_text(json.dumps({**data, "started": "1.31.1"}))
    with pytest.raises(ReportError, match=r"started: .*isoformat"):
        read(file)
    spread = {"within": 1e4, "between": 0.1, "launch": 0.1, "samples": 9, "launches": 4}
    data["suites"][0]["spreads"] = {"int8": spread}
    file.write_text(json.dumps(data))
    with pytest.raises(ReportError, match=r"spreads\.int8\.within"):
        read(file)


def test_an_older_version_is_carried_up_step_by_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each migration makes the next version; all of them run, in order."""
    data = json.loads(sessions.healthy().model_dump_json())
    old = {**data, "version": -1, "took": data["seconds"]}
    del old["seconds"]
    seen = []

    def first(session: dict[str, object]) -> dict[str, object]:
        seen.append(-1)
        return {**session, "version": 0, "seconds_taken": session.pop("took")}

    def second(session: dict[str, object]) -> dict[str, object]:
        seen.append(0)
        session = dict(session, version=SESSION_VERSION, seconds=session["seconds_taken"])
        del session["seconds_taken"]
        session.pop("took", None)
        return session

    monkeypatch.setattr(session_files, "_MIGRATIONS", {-1: first, 0: second})
    file = tmp_path / "old.json"
    file.write_text(json.dumps(old))
    assert read(file) == sessions.healthy()
    assert seen == [-1, 0]


STORED = sorted((Path(__file__).parent / "stored").glob("*.json"))
"""Sessions of a tiny suite, each written by the program of the commit that it is named after."""


def test_there_are_sessions_of_every_version() -> None:
    """Each version that this program says it reads has a file that was truly written by it."""
    versions = {json.loads(file.read_text())["version"] for file in STORED}
    assert versions == set(range(1, SESSION_VERSION + 1))


@pytest.mark.parametrize("file", STORED, ids=lambda file: file.stem)
def test_a_report_is_made_of_what_earlier_programs_wrote(file: Path) -> None:
    """The page holds its recipes and verdicts; the light reading has the same verdicts."""
    session = read(file)
    assert session.version == SESSION_VERSION
    (suite,) = session.suites
    page = render(session, METRICS)
    for verdict in suite.verdicts:
        assert verdict.metric in page
    assert {verdict.status for verdict in suite.verdicts} >= {Status.PASS, Status.NO_BASELINE}
    (light,) = read_verdicts(file).suites
    assert light.verdicts == suite.verdicts
    assert not light.recipes


@pytest.mark.parametrize("file", STORED, ids=lambda file: file.stem)
def test_sessions_of_different_versions_compare(file: Path) -> None:
    """The recipe's predictions were the same all along, so its score is the same exactly."""
    found = compare_sessions.sessions(read(file), read(STORED[-1]))
    (row,) = [row for row in found.rows if row.metric.name == "map"]
    assert row.moved is not None
    assert (row.moved.estimate, row.moved.method) == (0.0, "exact")


@pytest.mark.parametrize("broken", ["hits", "suites", "launches"])
def test_an_old_session_that_is_damaged_is_refused_by_its_place(
    tmp_path: Path, broken: str
) -> None:
    """What a migration cannot make sense of is left to be named, without a traceback."""
    data = json.loads(STORED[1].read_text())
    recipe = data["suites"][0]["recipes"][0]
    if broken == "hits":
        recipe["accuracy"]["matches"].pop("ignored", None)
        recipe["accuracy"]["matches"]["hits"]["data"] = "!"
    elif broken == "suites":
        data["suites"] = {"a": 1}
    else:
        recipe["launches"] = ["a"]
    data["version"] = 1
    file = tmp_path / "old.json"
    file.write_text(json.dumps(data))
    with pytest.raises(ReportError, match=broken if broken != "hits" else "ignored") as caught:
        read(file)
    assert caught.value.where == str(file)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("data", "not base64"),
        ("data", "abc"),
        ("dtype", ""),
        ("dtype", "<U3"),
        ("shape", [1]),
    ],
)
def test_matches_that_do_not_unpack_are_refused_by_their_place(
    tmp_path: Path, column: str, value: object
) -> None:
    """The page draws the scores of all detections; a damaged column ends there with its name."""
    data = sessions.session().model_dump(mode="json")
    record = data["suites"][0]["recipes"][0]
    record["accuracy"]["matches"]["score"][column] = value
    file = tmp_path / "session.json"
    file.write_text(json.dumps(data))
    with pytest.raises(ReportError, match=f"{record['name']}: accuracy.matches: "):
        read(file)
