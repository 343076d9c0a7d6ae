"""`bisect`, `confirm` and `alerts` of `pytest-perfgate`: what they refuse before any long work."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.cli.main import main

from tests.conftest import Project
from tests.history import nights
from tests.history.nights import Night
from tests.measure.test_base_checkout import git
from tests.squares import HEAD, PLAIN


@pytest.fixture
def repository(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The tiny project in a repository of two commits."""
    monkeypatch.chdir(project.root)
    project.write(HEAD + PLAIN)
    git(project.root, "init", "--quiet", "--initial-branch", "main")
    git(project.root, "add", "suites")
    git(project.root, "commit", "--quiet", "--message", "first")
    git(project.root, "commit", "--quiet", "--allow-empty", "--message", "second")
    return project


@pytest.mark.usefixtures("repository")
def test_bisect_refuses_what_it_cannot_do(capsys: pytest.CaptureFixture[str]) -> None:
    """A metric, a recipe or a ref that is not there, a metric that commits are not compared by, a
    range without a change: exit code 1 and one message each.
    """
    for words, says in (
        (["plain", "latency_p51"], "plain has no metric 'latency_p51'"),
        (["plain", "loader_throughput"], "plain has no metric 'loader_throughput'"),
        (["nobody", "latency_p50"], "there is no recipe 'nobody'"),
        (["plain", "latency_p50", "--bad", "nowhere"], "there is no commit 'nowhere' here"),
        (["plain", "latency_p50"], "no commit between them changes a file"),
    ):
        bad = [] if "--bad" in words else ["--bad", "main"]
        assert main(["bisect", *words, "--good", "main~1", *bad]) == 1
        assert says in capsys.readouterr().err


def test_alerts_need_a_name_that_is_open_and_somebody_who_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A machine that is silent is closed by its name, without a history from the file alone."""
    monkeypatch.chdir(tmp_path)
    assert main(["confirm"]) == 1
    assert "there is no history here" in capsys.readouterr().err
    assert main(["alerts", "list"]) == 0
    assert capsys.readouterr().out == "no open alerts\n"
    nights.fill(tmp_path / "reports" / "history", [Night()] * 3)
    assert main(["alerts", "list"]) == 0
    listed = capsys.readouterr().out
    assert "no result since 2026-01-03, " in listed
    machine = nights.session(0, Night()).machine.id
    assert main(["alerts", "expect", "nobody", "--reason", "x", "--by", "me"]) == 1
    err = capsys.readouterr().err
    assert "there is no open alert 'nobody'" in err
    assert machine in err
    assert main(["alerts", "expect", machine, "--reason", " ", "--by", "me"]) == 1
    assert "has a reason" in capsys.readouterr().err
    assert main(["alerts", "expect", machine, "--reason", "sold", "--by", "me"]) == 0
    assert "commit it, so that it is reviewed" in capsys.readouterr().out
    assert main(["alerts", "list"]) == 0
    assert capsys.readouterr().out == "no open alerts\n"
    assert main(["alerts", "list", "--all", "--history", "none"]) == 0
    assert "expected: sold (me, " in capsys.readouterr().out
    assert main(["confirm"]) == 0
    assert "no steps to measure again" in capsys.readouterr().out


def test_confirming_without_a_history_is_wrong_usage(project: Project) -> None:
    """`--perf-confirm` takes its steps from the history."""
    result = project.pytest("--perf", "--perf-confirm", "--perf-history=off")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--perf-history is off" in " ".join(result.errlines)
