"""The end of a run at a failed test: `-x`, `--maxfail`, `--stepwise`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

import pytest


@contextlib.contextmanager
def as_failure(session: pytest.Session, is_interrupted: Callable[[], bool]) -> Iterator[None]:
    """Lets a run that an option ended at a failed test end with the exit code of failed tests.

    pytest does so for `-x` and `--maxfail`. With `--stepwise`, and with any of them under
    pytest-xdist, it ends as if somebody had interrupted it: code 2, whatever was measured.

    Args:
        session: of the run.
        is_interrupted: whether a process of pytest-xdist received Ctrl-C.

    Raises:
        pytest.Session.Failed: in place of the interrupt of pytest or pytest-xdist.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if not isinstance(error, _stops()) or not _wanted(session) or is_interrupted():
            raise
        session.shouldfail = str(error)
        raise session.Failed(str(error)) from None


def _stops() -> tuple[type[BaseException], ...]:
    """What ends a run early, and is no Ctrl-C though it looks like one."""
    xdist = sys.modules.get("xdist.dsession")
    return (pytest.Session.Interrupted, *([xdist.Interrupted] if xdist else []))


def _wanted(session: pytest.Session) -> bool:
    """Whether an option asked for an end at the failures that there were. Other plugins, such as
    one that limits the time of a session, end a run in the same way.
    """
    most: int = session.config.getoption("maxfail")
    stepwise: bool = session.config.getoption("stepwise", False)
    return bool(session.testsfailed) and (stepwise or 0 < most <= session.testsfailed)
