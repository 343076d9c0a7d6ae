"""SIGTERM and SIGHUP end a session as Ctrl-C does, and none of them is lost.

Each test is a process of its own: signals belong to a whole process, and this one has loaded
frameworks that take some of them.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest
from pytest_perfgate.plugin.signals import Interrupts

from tests.conftest import Project
from tests.conftest import said as said_by

BOTH = (signal.SIGTERM, signal.SIGHUP)


def said(program: str) -> str:
    """What a program prints that has the function and the modules."""
    head = "import os, signal\nfrom pytest_perfgate.plugin.signals import Interrupts\n"
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
    with Interrupts().heard():
        signal.raise_signal({number:d})
except KeyboardInterrupt as error:
    print(error, signal.getsignal({number:d}) is signal.SIG_DFL)
"""
    assert said(program) == f"{number.name} True\n"


def test_one_that_python_drops_is_raised_again() -> None:
    """In a destructor an exception is printed and dropped, and the session would go on. While the
    first one is on its way, what is cleaned up is not disturbed by a second.
    """
    program = """
signal.signal(signal.SIGINT, signal.default_int_handler)
class Closed:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
interrupts = Interrupts()
with interrupts.heard():
    interrupts.raise_lost()
    one = Closed()
    del one
    print("dropped")
    try:
        interrupts.raise_lost()
    except KeyboardInterrupt as error:
        print(error, "again")
        interrupts.raise_lost()
        print("cleaned up")
interrupts.raise_lost()
print("and over")
"""
    assert said(program) == "dropped\nSIGINT again\ncleaned up\nand over\n"


def test_a_session_that_lost_one_ends_where_it_shows_progress(project: Project) -> None:
    """Whatever takes long shows it. The suite that was measured half is in no report."""
    (project.root / "conftest.py").write_text(
        "import signal\n"
        "class Closed:\n"
        "    def __del__(self):\n"
        "        signal.raise_signal(signal.SIGTERM)\n"
        "def pytest_runtest_setup():\n"
        "    one = Closed()\n"
        "    del one\n"
    )
    result = project.run("-k", "artifact", "-p", "no:unraisableexception", process=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    said_by(result, "KeyboardInterrupt")


def test_what_nohup_ignores_stays_ignored_and_handlers_of_others_stay() -> None:
    """They were set on purpose."""
    program = """
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.signal(signal.SIGTERM, lambda number, _: print(signal.Signals(number).name))
with Interrupts().heard():
    for number in (signal.SIGHUP, signal.SIGTERM):
        os.kill(os.getpid(), number)
"""
    assert said(program) == "SIGTERM\n"


def test_in_another_thread_nothing_is_changed() -> None:
    """Python handles signals in the main thread only."""
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def run() -> None:
        with Interrupts().heard():
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
