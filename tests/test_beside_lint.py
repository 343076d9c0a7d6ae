"""Lint beside the tests: each of the two can turn the command red, and lint ends it early."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from tests import beside_lint

PASSES = [sys.executable, "-c", ""]
FAILS = [sys.executable, "-c", "print('a.py:1: wrong'); raise SystemExit(3)"]
WAITS = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_lint_that_fails_ends_the_tests_and_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    """Its command and its words are the last of the output; commands after it do not run."""
    began = time.monotonic()
    assert beside_lint.main(WAITS, [PASSES, FAILS, WAITS]) == 1
    assert time.monotonic() - began < 30
    assert capfd.readouterr().out.rstrip().endswith("a.py:1: wrong")


@pytest.mark.parametrize(("command", "code"), [(PASSES, 0), (FAILS, 3)])
def test_where_lint_passes_the_tests_decide(command: list[str], code: int) -> None:
    """Their exit code is that of the whole."""
    assert beside_lint.main(command, [PASSES]) == code


def test_the_commands_are_those_of_the_lint_environment() -> None:
    """Each line of tox.ini is one."""
    commands = beside_lint.lint_commands(beside_lint.TOX)
    assert ["mypy"] in commands
    assert ["ruff", "check", "."] in commands


def test_a_cache_that_cannot_be_made_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Types are checked where the home is not there or is another user's, too."""
    monkeypatch.setenv(beside_lint.CACHE, str(tmp_path / "new" / "mypy"))
    assert beside_lint.environment()[beside_lint.CACHE] == str(tmp_path / "new" / "mypy")
    (tmp_path / "file").touch()
    monkeypatch.setenv(beside_lint.CACHE, str(tmp_path / "file" / "mypy"))
    assert beside_lint.CACHE not in beside_lint.environment()
    monkeypatch.delenv(beside_lint.CACHE)
    assert beside_lint.CACHE not in beside_lint.environment()
