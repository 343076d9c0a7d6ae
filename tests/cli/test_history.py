"""`pytest-perfgate history` and `pytest-perfgate report --history`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pytest_perfgate.cli.main import main

from tests.history import nights
from tests.history.nights import Night


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the session files of three nights."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports").mkdir()
    nights.write(tmp_path / "reports", [Night(), Night(), Night()])
    return tmp_path


def test_import_fills_the_history_and_names_what_it_cannot_read(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A truncated and a foreign file are named; the rest is imported; twice adds nothing."""
    (project / "reports" / "cut.json").write_text('{"version": 1, ')
    (project / "reports" / "other.json").write_text('{"a": 1}')
    files = [str(file) for file in sorted((project / "reports").glob("*.json"))]
    assert main(["history", "import", *files]) == 1
    said = capsys.readouterr()
    assert "3 added to reports/history, 0 there already, 2 not read" in said.out
    assert "cut.json: it is not JSON" in said.err
    assert "other.json: it is not a session" in said.err
    assert main(["history", "import", *files[:3]]) == 0
    assert "0 added" in capsys.readouterr().out


def test_list_and_compact(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every session is a line; a month that is over becomes one file."""
    main(["history", "import", *map(str, (project / "reports").glob("*.json"))])
    capsys.readouterr()
    assert main(["history", "list"]) == 0
    assert capsys.readouterr().out.count("2026-01-0") == 3
    assert main(["history", "compact"]) == 0
    assert "2026-01: 3 sessions of 3 files in one" in capsys.readouterr().out
    assert len(list((project / "reports" / "history").rglob("*.parquet"))) == 1
    assert main(["history", "compact"]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_a_spoiled_file_makes_list_red(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named, and the sessions are listed all the same."""
    main(["history", "import", *map(str, (project / "reports").glob("*.json"))])
    (project / "reports" / "history" / "month=2026-01" / "x.parquet").write_text("x")
    capsys.readouterr()
    assert main(["history", "list"]) == 1
    said = capsys.readouterr()
    assert said.out.count("2026-01-0") == 3
    assert "x.parquet: it cannot be read" in said.err


def test_the_page_is_written_beside_the_store(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """reports/nightly.html, or where -o says."""
    main(["history", "import", *map(str, (project / "reports").glob("*.json"))])
    assert main(["report", "--history"]) == 0
    assert "report: reports/nightly.html" in capsys.readouterr().out
    assert "3 sessions" in (project / "reports" / "nightly.html").read_text()
    assert main(["report", "--history", "reports/history", "-o", "here.html"]) == 0
    assert (project / "here.html").exists()
    assert main(["report", "--history", "-o", "no/such/folder.html"]) == 1
    assert "name a file in a folder that exists" in capsys.readouterr().err


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    "words", [["report", "--history"], ["history", "list"], ["history", "compact"]]
)
def test_no_history_says_how_to_get_one(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder, and both ways to fill it."""
    assert main(words) == 1
    error = capsys.readouterr().err
    assert "there is no history here" in error
    assert "pytest-perfgate history import" in error


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("words", [[], ["a.json", "--history"]])
def test_report_takes_a_file_or_the_history(words: list[str]) -> None:
    """Neither or both is wrong usage."""
    with pytest.raises(SystemExit) as caught:
        main(["report", *words])
    assert caught.value.code == 2


def test_without_duckdb_the_command_to_install_it_is_said(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, no traceback."""
    (project / "reports" / "history").mkdir()
    monkeypatch.setitem(sys.modules, "duckdb", None)
    assert main(["report", "--history"]) == 1
    assert "pip install 'pytest-perfgate[history]'" in capsys.readouterr().err


def test_sql_answers_what_no_page_shows(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table for people, or CSV; values that are not there are a dash."""
    main(["history", "import", *map(str, (project / "reports").glob("*.json"))])
    capsys.readouterr()
    query = "SELECT recipe, count(*) AS n, NULL AS none FROM history GROUP BY recipe ORDER BY ALL"
    assert main(["history", "sql", query]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["recipe", "n", "none"]
    assert rows
    assert all(row.split()[2] == "-" and int(row.split()[1]) % 3 == 0 for row in rows)
    assert main(["history", "sql", "--csv", query]) == 0
    assert capsys.readouterr().out.startswith("recipe,n,none\n")
    assert main(["history", "sql", "DESCRIBE history"]) == 0
    assert "compared_low" in capsys.readouterr().out


@pytest.mark.parametrize(
    "query",
    [
        "SELEC 1",
        "SELECT nothing FROM history",
        "SELECT 1; SELECT 2",
        "COPY history TO 'stolen.csv'",
        "DROP VIEW history",
    ],
)
def test_sql_answers_one_select_alone(
    project: Path, capsys: pytest.CaptureFixture[str], query: str
) -> None:
    """A wrong query is told from a history that cannot be read; nothing is written."""
    main(["history", "import", *map(str, (project / "reports").glob("*.json"))])
    before = sorted(project.rglob("*"))
    assert main(["history", "sql", query]) == 2
    said = capsys.readouterr().err
    assert said.startswith("the query is wrong: ")
    assert "DESCRIBE history" in said
    assert sorted(project.rglob("*")) == before
