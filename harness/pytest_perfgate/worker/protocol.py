"""What the two sides of the wall say to each other; all else of this package is the workers'."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from typing import Any

from pytest_perfgate.errors import PerfgateError

Send = Callable[[dict[str, Any]], None]


def failure(error: BaseException) -> dict[str, Any]:
    """An error as a message: a `PerfgateError` in its own words, anything else with its trace."""
    if isinstance(error, PerfgateError):
        problem = f"{error.where}: {error.problem}" if error.where else error.problem
        if error.valid:
            problem += f" (valid: {error.valid})"
        return {
            "type": "failed",
            "problem": problem,
            "next_step": error.next_step,
            "last_words": "",
        }
    if isinstance(error, MemoryError):
        return {
            "type": "failed",
            "problem": "it ran out of memory",
            "next_step": "free memory, or make the recipe smaller",
            "last_words": traceback.format_exc(limit=-4),
        }
    return {
        "type": "failed",
        "problem": f"it raised {type(error).__name__}: {error}",
        "next_step": "the last words show where",
        "last_words": traceback.format_exc(limit=-6),
    }


def worker_command(python: str, job_fd: int, message_fd: int) -> list[str]:
    """The command line of a worker of this process."""
    fds = [str(job_fd), str(message_fd), str(os.getpid())]
    return [python, "-P", "-m", "pytest_perfgate.worker", *fds]


def describe_signal(number: int) -> tuple[str, str]:
    """What a signal means for a worker that it ended, and what to do about it."""
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    if number == signal.SIGKILL:
        return (
            f"it was killed ({name}), most often by the kernel for want of memory",
            "free memory, or make the recipe smaller; `dmesg | grep -i oom` tells more",
        )
    if number in {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT}:
        return (
            f"it crashed in native code ({name})",
            "the last words show where; the versions of the frameworks are the first suspect",
        )
    return f"it was ended by {name}", ""


YARDSTICK = "yardstick"
"""The arm's name in a suite's launches."""


YARDSTICK_KIND = "yardstick"
"""What an arm of any name says to run this workload."""
