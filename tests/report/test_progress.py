"""Progress: a line that is written over on a terminal, one a minute that stays in a log."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import cast

import pytest
from pytest_perfgate.plugin.progress import Progress
from pytest_perfgate.report import progress
from pytest_perfgate.report.progress import ProgressLine


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        """Always."""
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The clock of progress, stopped at `clock.now` seconds."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_a_log_has_one_line_a_minute(
    clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first comes after a minute without one; each has the time since the beginning."""
    monkeypatch.setattr(sys, "__stderr__", log := io.StringIO())
    line = ProgressLine()
    for _ in range(250):
        clock.now += 1
        line(f"building: step {clock.now:.0f}\x1b[2J")
    line.end()
    steps = ["[1:00] building: step 160", "[2:00] building: step 220"]
    steps += ["[3:00] building: step 280", "[4:00] building: step 340"]
    assert [text.partition("\\x1b")[0] for text in log.getvalue().splitlines()] == steps
    assert "\x1b" not in log.getvalue()


def test_a_terminal_has_one_line_that_is_wiped(
    clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the work takes, nothing of it stays there."""
    monkeypatch.setattr(sys, "__stderr__", terminal := Terminal())
    line = ProgressLine()
    for number in range(3):
        clock.now += 70
        line(f"step {number}")
    line.end()
    assert terminal.getvalue() == "\rstep 0\rstep 1\rstep 2\r      \r"


def test_a_session_writes_it_by_pytests_reporter(
    clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it begins a line of its own, and `-q` has none."""
    monkeypatch.setattr(sys, "__stderr__", io.StringIO())
    written: list[str] = []
    reporter = SimpleNamespace(
        ensure_newline=lambda: written.append("\n"),
        write_line=lambda text, **_: written.append(text),
    )
    plugins = SimpleNamespace(get_plugin={"terminalreporter": reporter}.get)
    for verbosity in (0, -1):
        config = SimpleNamespace(pluginmanager=plugins, get_verbosity=lambda it=verbosity: it)
        shown = Progress(cast(pytest.Config, config))
        clock.now += 61
        shown.show("training distil")
    assert written == ["\n", "[1:01] training distil"]
