"""Where else a session goes: Markdown, a job's summary, OpenMetrics, JUnit."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.conftest import Project
from tests.squares import RECIPES


def test_one_session_is_told_everywhere(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file says the same verdict and where the report is."""
    summary = project.root / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    result = project.run(
        *("-k", "plain-artifact", "--junitxml", "junit.xml"),
        "--perf-markdown=out/comment.md",
        "--perf-openmetrics=out/perfgate.prom",
        "--perf-ctrf=out/ctrf.json",
        page=True,
    )
    result.assert_outcomes(passed=1)
    written = ["markdown: out/comment.md", "openmetrics: out/perfgate.prom", "ctrf: out/ctrf.json"]
    result.stdout.fnmatch_lines(written)
    (page,) = (project.root / "reports").glob("[0-9]*.html")
    for file in (summary, project.root / "out" / "comment.md"):
        text = file.read_text(encoding="utf-8")
        assert "### perfgate: PASS" in text
        assert f"`reports/{page.name}`" in text
    metrics = (project.root / "out" / "perfgate.prom").read_text(encoding="utf-8")
    assert 'recipe="plain",metric="artifact_size",verdict="PASS"} 1' in metrics
    (test,) = json.loads((project.root / "out" / "ctrf.json").read_bytes())["results"]["tests"]
    assert (test["name"], test["status"]) == ("plain-artifact_size", "passed")
    cases = ElementTree.parse(project.root / "junit.xml").findall(".//property")  # noqa: S314 - own
    reported = {case.get("name"): case.get("value") for case in cases}
    assert reported["verdict"] == "PASS"
    assert reported["limit.max"] == "1 MB"
    assert reported["unit"] == "B"
    assert float(str(reported["value"])) == float(str(reported["limit.max.estimate"])) > 0
    assert reported["report"] == f"reports/{page.name}"
    assert 'href="' + page.name in (page.parent / "index.html").read_text(encoding="utf-8")


def test_the_summary_can_be_left_alone(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--perf-step-summary never` writes nothing; a summary that cannot be written is no red."""
    summary = project.root / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    project.run("-k", "plain-artifact", "--perf-step-summary", "never")
    assert not summary.exists()
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.root / "none" / "summary.md"))
    result = project.run("-k", "plain-artifact")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*summary cannot be written*"])


@pytest.mark.parametrize("option", ["--perf-markdown", "--perf-openmetrics", "--perf-ctrf"])
def test_a_file_that_cannot_be_written_is_refused_before_measuring(
    project: Project, option: str
) -> None:
    """A folder, and a path through a file, are usage errors that name option and path."""
    (project.root / "file").write_text("")
    for path in ("suites", "file/x"):
        result = project.pytest("--perf", f"{option}={path}")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"*{option} {path}: *"])
    assert not Path(project.root / "reports").exists()


def test_a_password_in_the_uri_of_mlflow_is_refused(project: Project) -> None:
    """The command is kept in the report, so no secret may be in it; nothing is measured."""
    pytest.importorskip("mlflow", reason="python -m pip install 'pytest-perfgate[mlflow]'")
    uri = "https://me:secret@tracking.example"
    result = project.pytest("--perf", f"--perf-mlflow={uri}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*MLFLOW_TRACKING_PASSWORD*"])
    assert "secret" not in result.stderr.str()


def test_a_broken_budget_is_an_annotation_of_the_job(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On GitHub alone, and `--perf-annotations never` prints none."""
    project.write(RECIPES.replace('max = "1 MB"', 'max = "1 B"'))
    options = "-k", "plain-artifact"
    assert "::error" not in project.run(*options).stdout.str()
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    result = project.run(*options)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["::error file=*recipes.toml,title=FAIL *%3A plain artifact_size::*next: *"]
    )
    assert "::error" not in project.run(*options, "--perf-annotations", "never").stdout.str()
