"""A session: a suite that fails as a whole fails once, with the place of its traceback."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.records.settings import for_command
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.report import markdown, page, session_files, terminal
from pytest_perfgate.session import session as module
from pytest_perfgate.session.session import Session
from pytest_perfgate.suite.metrics import metrics_of_session

from tests.session.test_arms import SUITE


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ZeroDivisionError("of a step"), "unexpected ZeroDivisionError: of a step"),
        (PerfgateError("the baseline is damaged"), "the baseline is damaged"),
        (
            OSError(errno.ENOSPC, "No space left on device", "link.json"),
            "No space left on device: link.json",
        ),
        (  # pytest-timeout's way, when its alarm rings
            pytest.fail.Exception("Timeout after 4.0 s"),
            "another plugin interrupted the measurement: Timeout after 4.0 s",
        ),
    ],
    ids=["unexpected", "known", "full disk", "alarm"],
)
def test_a_suite_that_fails_as_a_whole_is_measured_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, words: str
) -> None:
    """Each of its budgets is the same ERROR, on page, in JSON and in Markdown once; an unexpected
    one leaves a crash file.
    """
    calls = []

    def fails(*_: Any, **__: Any) -> None:
        calls.append(1)
        raise error

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)  # the lock is this test's own
    monkeypatch.setattr(module, "resolve_ranges", fails)
    file = tmp_path / "suites" / "tiny" / "recipes.toml"
    file.parent.mkdir(parents=True)
    file.write_text(SUITE)
    session = Session(for_command(tmp_path, "test"), lambda _: None, lambda _: None)
    cases = session.cases(file)
    session.select(cases)
    for case in cases:
        verdict = session.verdict(case)
        assert verdict.status is Status.ERROR
        assert verdict.reason.startswith(words)
    session.close()
    assert len(calls) == 1
    (stored,) = session.settings.reports.glob("*.json")
    record = session_files.read(stored)
    (suite,) = record.suites
    assert suite.failure is not None
    assert {recipe.failure for recipe in suite.recipes} == {suite.failure}
    assert [(verdict.recipe, verdict.metric) for verdict in suite.verdicts] == [
        (case.recipe, case.metric) for case in cases
    ]
    metrics = metrics_of_session(record)
    lines: list[str] = []
    terminal.write(
        record, lambda line, **_: lines.append(line), metrics=metrics, verbosity=0, update=False
    )
    for text in (
        "\n".join(lines),
        markdown.render(record, metrics, report="").partition("<details>")[0],
        page.render(record, metrics),
    ):
        assert text.count(f"suite: {len(cases)} budgets") == 1
        assert text.count(words) == 1
    crashes = list((session.settings.cache / "crashes").glob("*.txt"))
    assert len(crashes) == (1 if isinstance(error, ZeroDivisionError) else 0)
    assert all("in fails" in crash.read_text(encoding="utf-8") for crash in crashes)


def test_two_suites_of_one_name_are_refused(tmp_path: Path) -> None:
    """Their baselines would be each other's; the second says whose name it has."""
    session = Session(for_command(tmp_path, "test"), lambda _: None, lambda _: None)
    files = [tmp_path / name / "tiny" / "recipes.toml" for name in ("a", "b")]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_text(SUITE)
    assert session.read(files[0]).suite is not None
    second = session.read(files[1])
    assert second.suite is None
    (problem,) = second.suite_problems
    assert "that of the suite in a/tiny/recipes.toml" in problem.problem
    assert problem.where == "b/tiny/recipes.toml, suite.name"
    files[1].write_text(SUITE.replace("[suite]", '[suite]\nname = "other"'))
    other = Session(for_command(tmp_path, "test"), lambda _: None, lambda _: None)
    assert all(other.read(file).suite is not None for file in files)
