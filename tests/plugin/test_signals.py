"""SIGTERM and SIGHUP end a session as Ctrl-C does.

Each test is a process of its own: signals belong to a whole process, and this one has loaded
frameworks that take some of them.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest
from pytest_perfgate.plugin.signals import as_interrupt

from tests.conftest import Project
from tests.conftest import said as said_by

BOTH = (signal.SIGTERM, signal.SIGHUP)


def said(program: str) -> str:
    """What a program prints that has the function and the modules."""
    head = "import os, signal\nfrom pytest_perfgate.plugin.signals import as_interrupt\n"
    done = subprocess.run(
        [sys.executable, "-c", head + program], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_is_an_interrupt_that_names_it(number: signal.Signals) -> None:
    """A closed terminal, an ended CI job; afterwards the default is back."""
    program = f"""
signal.signal({number:d}, signal.SIG_DFL)  # these tests may run under nohup themselves
try:
    with as_interrupt():
        signal.raise_signal({number:d})
except KeyboardInterrupt as error:
    print(error, signal.getsignal({number:d}) is signal.SIG_DFL)
"""
    assert said(program) == f"{number.name} True\n"


def test_what_nohup_ignores_stays_ignored_and_handlers_of_others_stay() -> None:
    """They were set on purpose."""
    program = """
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.signal(signal.SIGTERM, lambda number, _: print(signal.Signals(number).name))
with as_interrupt():
    for number in (signal.SIGHUP, signal.SIGTERM):
        os.kill(os.getpid(), number)
"""
    assert said(program) == "SIGTERM\n"


def test_in_another_thread_nothing_is_changed() -> None:
    """Python handles signals in the main thread only."""
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def run() -> None:
        with as_interrupt():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [before]


def test_an_interrupt_before_the_first_suite_says_that_there_is_no_report(
    project: Project,
) -> None:
    """And what the next session finds."""
    hook = "def pytest_runtest_setup():\n    raise KeyboardInterrupt\n"
    (project.root / "conftest.py").write_text(hook)
    result = project.pytest("--perf", "--perf-history=off", process=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    said_by(result, "interrupted before a suite was measured: there is no report")
    assert not project.sessions()
