"""A session: a suite that fails as a whole fails once, with the place of its traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.records.settings import for_command
from pytest_perfgate.session import session as module
from pytest_perfgate.session.session import Session

from tests.session.test_arms import SUITE


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ZeroDivisionError("of a step"), "unexpected ZeroDivisionError: of a step"),
        (PerfgateError("the baseline is damaged"), "the baseline is damaged"),
    ],
)
def test_a_suite_that_fails_as_a_whole_is_measured_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    """Each of its budgets gets the same error; an unexpected one leaves a crash file."""
    calls = []

    def fails(*_: Any, **__: Any) -> None:
        calls.append(1)
        raise error

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(module, "resolve_ranges", fails)
    file = tmp_path / "suites" / "tiny" / "recipes.toml"
    file.parent.mkdir(parents=True)
    file.write_text(SUITE)
    session = Session(for_command(tmp_path, "test"), lambda _: None, lambda _: None)
    cases = session.cases(file)
    session.select(cases)
    for case in cases:
        with pytest.raises(PerfgateError) as caught:
            session.verdict(case)
        assert caught.value.problem.startswith(words)
    session.close()
    assert len(calls) == 1
    crashes = list((session.settings.cache / "crashes").glob("*.txt"))
    assert len(crashes) == (0 if isinstance(error, PerfgateError) else 1)
    assert all("in fails" in crash.read_text(encoding="utf-8") for crash in crashes)
    assert not list(session.settings.reports.glob("*.json"))
