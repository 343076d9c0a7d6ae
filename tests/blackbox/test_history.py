"""`--perf-history`: each session is added, and nothing of that turns it red."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pytest_perfgate.baselines.store import Store

from tests.baselines.test_store import baseline
from tests.conftest import Project, said
from tests.squares import RECIPES


def test_sessions_are_added_and_the_nightly_page_shows_them(project: Project) -> None:
    """Without an option, into reports/history; the page is made from there. A budget without a
    baseline says where one is, and for how many sessions it has not been compared.
    """
    project.write(RECIPES.replace('{ max = "1 MB" }', '{ max = "1 MB", regression = "5%" }'))
    other = baseline("plain").model_copy(update={"suite": "tiny"})
    Store(project.root / "baselines").write(other)
    for _ in range(2):
        result = project.run("-k", "plain-artifact", history=True)
        assert project.verdicts() == {"plain-artifact_size": "NO BASELINE"}
        result.stdout.fnmatch_lines(["history: pytest-perfgate report --history shows the nights"])
        said(result, f"the nearest baseline is of {other.machine.id}", "CPU Test CPU ->")
    said(result, "never compared in 2 sessions: plain artifact_size")
    assert len(list((project.root / "reports" / "history").glob("month=*/*.parquet"))) == 2
    done = subprocess.run(
        [sys.executable, "-m", "pytest_perfgate.cli.main", "report", "--history"],
        cwd=project.root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "report: reports/nightly.html\n"
    page = (project.root / "reports" / "nightly.html").read_text()
    assert "2 sessions" in page
    assert "plain" in page
    assert "artifact_size" in page


def test_an_unwritable_history_is_a_warning(project: Project) -> None:
    """The session stays green, the message names the folder and the option."""
    (project.root / "taken").write_text("a file where a folder should be")
    result = project.run("-k", "plain-artifact", "--perf-history=taken", history=True)
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["warning: */taken*: the history cannot be written*"])


@pytest.mark.parametrize("missing", ["duckdb", ""])
def test_off_and_not_installed(project: Project, missing: str) -> None:
    """`off` keeps no history and says nothing; without duckdb one line says how to get it."""
    if missing:
        (project.root / "conftest.py").write_text(f"import sys\nsys.modules[{missing!r}] = None\n")
        result = project.run("-k", "plain-artifact", history=True)
        result.stdout.fnmatch_lines(["history: not kept, duckdb is not installed*[[]history[]]*"])
    else:
        result = project.run("-k", "plain-artifact", "--perf-history", "off", history=True)
        result.stdout.no_fnmatch_line("*history:*")
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    assert not (project.root / "reports" / "history").exists()
