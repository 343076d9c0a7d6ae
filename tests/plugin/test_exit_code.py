"""Exit codes tell a broken budget from one that could not be measured."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from pytest_perfgate.plugin.exit_code import Failures
from pytest_perfgate.plugin.options import NOT_PROVEN
from pytest_perfgate.report.junit_properties import VERDICT

from tests.conftest import Project, said
from tests.squares import HEAD, PLAIN, RECIPES


def report(verdict: str, outcome: Any = "failed", when: Any = "setup") -> pytest.TestReport:
    """Of a test with that verdict; "" for a test that is no budget's."""
    properties: list[tuple[str, object]] = [(VERDICT, verdict)] if verdict else []
    return pytest.TestReport(
        "test_it", ("test_it.py", 1, "test_it"), {}, outcome, None, when, user_properties=properties
    )


@pytest.mark.parametrize(
    ("failed", "problems", "status", "code"),
    [
        (["ERROR"], 0, 1, NOT_PROVEN),
        (["ERROR", "SKIPPED", "INCONCLUSIVE", "NO BASELINE"], 0, 1, NOT_PROVEN),
        (["FAIL"], 0, 1, 1),
        (["ERROR", "FAIL"], 0, 1, 1),
        (["ERROR", ""], 0, 1, 1),
        (["ERROR", "PASS"], 0, 1, 1),
        (["ERROR"], 0, 2, 2),
        ([], 0, 0, 0),
        ([], 0, 1, 1),
        ([], 1, 0, NOT_PROVEN),
        ([], 1, 5, NOT_PROVEN),
        ([], 0, 5, 5),
        (["FAIL"], 1, 1, 1),
        ([], 1, 2, 2),
    ],
)
def test_what_is_worse_wins_over_what_is_not_known(
    failed: list[str], problems: int, status: int, code: int
) -> None:
    """1 for FAIL, for other tests and for another assertion; 10 only where nothing else failed."""
    failures = Failures()
    for verdict in failed:
        failures.add(report(verdict))
    failures.add(report("INCONCLUSIVE", "skipped", "call"))
    session = cast(pytest.Session, SimpleNamespace(testsfailed=len(failed)))
    assert failures.exit_code(session, status, problems, strict=False) == code


def test_a_broken_budget_whose_test_did_not_run_any_more_is_broken() -> None:
    """With `-x` the first test ends the run, and its suite is measured and judged whole."""
    failures = Failures()
    failures.add(report("NO BASELINE"))
    session = cast(pytest.Session, SimpleNamespace(testsfailed=1))
    assert failures.exit_code(session, 1, 0, strict=True) == NOT_PROVEN
    assert failures.exit_code(session, 1, 0, strict=True, broken=1) == 1


def test_the_teardown_of_a_test_is_another_failure() -> None:
    """The verdict stands on every report of its test."""
    failures = Failures()
    failures.add(report("ERROR", when="teardown"))
    session = cast(pytest.Session, SimpleNamespace(testsfailed=1))
    assert failures.exit_code(session, 1, 0, strict=False) == 1


@pytest.mark.parametrize(
    ("verdict", "outcome", "mark", "strict", "red", "shown", "code"),
    [
        ("FAIL", "passed", "", False, 1, 0, 1),
        ("ERROR", "passed", "", False, 1, 0, NOT_PROVEN),
        ("FAIL", "skipped", "", False, 1, 0, 1),
        ("FAIL", "failed", "", True, 0, 0, 0),
        ("INCONCLUSIVE", "skipped", "", False, 0, 0, 0),
        ("INCONCLUSIVE", "passed", "", True, 1, 0, NOT_PROVEN),
        ("SKIPPED", "skipped", "", True, 0, 0, 0),
        ("FAIL", "skipped", "known", False, 0, 1, 0),
        ("FAIL", "skipped", "known", True, 1, 0, 1),
        ("SKIPPED", "skipped", "known", True, 1, 0, NOT_PROVEN),
        ("PASS", "passed", "known", True, 0, 0, 0),
    ],
)
def test_a_verdict_that_its_test_does_not_heed_is_red(
    verdict: str, outcome: str, mark: str, strict: bool, red: int, shown: int, code: int
) -> None:
    """A test that does not call `check`, or skips itself; with an `xfail` mark under
    `--perf-strict`, else it is said.
    """
    failures = Failures()
    failures.add(report(verdict, "passed"))
    call = report(verdict, outcome, "call")
    if mark:
        call.wasxfail = mark
    failures.add(call)
    parts = failures.unheeded(strict=strict)
    assert tuple(map(len, parts)) == (red, shown)
    assert all(f"test_it ({verdict})" in str(error) for part in parts for error in part)
    session = cast(pytest.Session, SimpleNamespace(testsfailed=0))
    assert failures.exit_code(session, 0, red, strict=strict) == code


def test_a_broken_budget_is_red_whatever_its_test_does(project: Project) -> None:
    """`budget.check` without parentheses passes; pytest would be green."""
    project.write(HEAD + PLAIN.replace('max = "1 MB"', 'max = "1 kB"'))
    (project.root / "suites" / "tiny" / "test_tiny.py").write_text(
        "def test_budget(budget):\n    budget.check\n"
    )
    result = project.run("-k", "artifact")
    said(result, "1 verdict without effect", "plain-artifact_size] (FAIL)", "call budget.check()")
    assert result.ret == 1


def test_the_error_of_a_suite_survives_a_selection_by_name(project: Project) -> None:
    """One ERROR in the terminal, in JSON, on the page, in Markdown and in JUnit, whatever `-k`
    selects; `-m` selects it like a budget.
    """
    project.write(RECIPES.replace('task  = "detection"', 'task  = "detektion"'))
    outputs = ("--junitxml=junit.xml", "--perf-markdown=summary.md", "--perf-history=off")
    result = project.pytest("--perf", "-k", "plain", *outputs)
    result.assert_outcomes(errors=1)
    assert result.ret == NOT_PROVEN
    said(result, "there is no task 'detektion'")
    assert project.verdicts() == {"-recipe": "ERROR"}
    files = ("junit.xml", "summary.md", f"reports/{project.sessions()[0]['id']}.html")
    for name in files:
        assert "detektion" in (project.root / name).read_text(), name
    result = project.pytest("--perf", "-k", "plain", "-m", "not perf", "--perf-history=off")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.assert_outcomes(deselected=1)


def test_the_help_lists_the_exit_codes(pytester: pytest.Pytester) -> None:
    """Above the options of `--perf`."""
    said(pytester.runpytest("--help"), f"{NOT_PROVEN}: no budget is broken, but one could not be")
