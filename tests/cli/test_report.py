"""`pytest-perfgate report`: pages again, comparisons, and the list of sessions."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.cli.main import main
from pytest_perfgate.records.session import SessionRecord

from tests.report import sessions
from tests.report.pairs import calm, moved


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's reports/, with the project as the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports").mkdir()
    return tmp_path / "reports"


def stored(folder: Path, session: SessionRecord, name: str) -> str:
    """The path of a session's file."""
    file = folder / f"{name}.json"
    file.write_text(session.model_dump_json(), encoding="utf-8")
    return str(file)


def test_two_files_are_compared(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What moved is in the terminal and on a page beside the second file."""
    one = stored(folder, calm(), "one")
    two = stored(folder, moved(calm(), {"int8": 1.3}), "two")
    assert main(["report", one, two]) == 0
    out = capsys.readouterr().out
    assert "WORSE         digits int8 latency_p50" in out
    page = (folder / "one-to-two.html").read_text(encoding="utf-8")
    assert "digits int8 latency_p50" in page
    assert "<script" not in page
    assert not (folder / "one.html").exists()


def test_the_rest_is_reported_when_a_file_is_cut_short(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The truncated and the foreign file are named, the others are compared, the code is 1."""
    one = stored(folder, calm(), "one")
    two = stored(folder, moved(calm(), {"int8": 1.3}), "two")
    cut = folder / "cut.json"
    cut.write_text(Path(one).read_text(encoding="utf-8")[:5000], encoding="utf-8")
    foreign = folder / "foreign.json"
    foreign.write_text('{"name": "package"}', encoding="utf-8")
    assert main(["report", one, str(cut), str(foreign), two]) == 1
    out, err = capsys.readouterr()
    assert "cut.json: it is not JSON, perhaps cut short" in err
    assert "foreign.json: it is not a session" in err
    assert (folder / "one-to-two.html").is_file()
    assert "WORSE" in out


def test_of_two_files_the_one_that_can_be_read_gets_its_page(folder: Path) -> None:
    """With nothing to compare it with, a session's own page is made."""
    one = stored(folder, calm(), "one")
    assert main(["report", one, str(folder / "none.json")]) == 1
    assert (folder / "one.html").is_file()


def test_a_stored_session_goes_where_a_new_one_goes(folder: Path) -> None:
    """Markdown and OpenMetrics of an old session, for a job that only has its file."""
    one = stored(folder, sessions.broken(), "one")
    assert main(["report", one, "--markdown", "a.md", "--openmetrics", "a.prom"]) == 0
    assert "reports/one.html" in Path("a.md").read_text(encoding="utf-8")
    assert Path("a.prom").read_text(encoding="utf-8").endswith("# EOF\n")


def test_the_list_links_pages_and_names_what_cannot_be_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The newest first, with answer, counts and commit; a truncated file is listed as such."""
    stored(folder, sessions.healthy(), "20261123-150131")
    (folder / "20261123-150131.html").write_text("a page")
    newer = sessions.broken().model_copy(update={"started": "2026-11-24T10:00:00+00:00"})
    stored(folder, newer, "20261124-100000")
    (folder / "cut.json").write_text('{"version": 1, "suites": [')
    assert main(["report", "--index"]) == 1
    out, err = capsys.readouterr()
    assert "cut.json" in err
    assert "sessions: reports/index.html" in out
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert '<a href="20261123-150131.html">' in page
    assert '<a href="20261124-100000.json">JSON</a> · page not found' in page
    assert page.index("2026-11-24 10:00:00 UTC") < page.index("2026-11-23 15:01:31 UTC")
    assert "All 6 budgets are kept." in page
    assert "The newest of 2: 4 of 6 budgets were measured. 1 budget is broken of 6" in page
    assert "perhaps cut short" in page


def test_the_list_escapes_what_it_shows(folder: Path) -> None:
    """A hostile command, commit and file name are text."""
    hostile = sessions.broken(sessions.HOSTILE[0])
    (folder / "'><b>.json").write_text(hostile.model_dump_json(), encoding="utf-8")
    assert main(["report", "--index"]) == 0
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "'><b>" not in page


@pytest.mark.parametrize(
    "words",
    [
        ["report"],
        ["report", "a", "b", "c", "-o", "x.html"],
        ["report", "--index", "-o", "x"],
        ["report", "a", "b", "--markdown", "c"],
    ],
)
def test_wrong_usage_is_two(words: list[str]) -> None:
    """No file at all, and one page for many comparisons."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2


def test_a_folder_that_is_not_there_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--index` of nowhere names the folder and the option."""
    assert folder.is_dir()
    assert main(["report", "--index", "--reports", "nowhere"]) == 1
    assert "nowhere: this folder does not exist" in capsys.readouterr().err
