"""No process outlives the one that started it, and none outlives the worker that it belongs to."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def die_with(parent: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Arranges that this process gets a signal when its parent ends, even when that is killed.

    A process that stands still is killed like any other.
    """
    if sys.platform != "linux":
        return
    # The kernel forgets this at exec and at fork: each process asks for itself (prctl(2)).
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it ended before the line above
        os._exit(1)


def fork_under_keeper(parent: int, close: Iterable[int]) -> None:
    """Forks this process: the child returns and does the work; the parent never returns. It is the
    child's keeper: it waits for the end of the child, kills whatever that has left behind, and
    exits as the child did. On SIGTERM, and when `parent` ends, it kills the child first.

    What a child starts may leave its process group and its session (setsid(2)), may be forked twice
    and may hold the pipe to `parent`: the end of the worker must be the end of all of it.

    Args:
        parent: the id of the process that started this one.
        close: file descriptors that the keeper must not hold.
    """
    if sys.platform != "linux":
        return
    # In this order: a signal that comes before there is a handler would end the keeper alone.
    signal.signal(signal.SIGTERM, _end_everything)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # An orphan below becomes a child of the keeper, not of init: none can get out of its sight.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    die_with(parent, signal.SIGTERM)
    keeper = os.getpid()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        die_with(keeper)
        return
    for fd in close:
        os.close(fd)
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == child:  # others are orphans that ended by themselves
            break
    _kill_children()
    _exit_like(status)


def _end_everything(number: int, _frame: object) -> None:
    _kill_children()
    _exit_like(number)


def _kill_children() -> None:
    """Kills all processes below this one, and waits for them."""
    while True:
        for pid in _children():
            # Not waited for yet, so its id is its own.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            # Of each that ends, the children are this process's by then: they are next.
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> list[int]:
    own = os.getpid()
    with contextlib.suppress(OSError):  # only where the kernel has CONFIG_PROC_CHILDREN
        return list(map(int, Path(f"/proc/{own}/task/{own}/children").read_text().split()))
    children = []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if process.name.isdecimal() and int(fields[1]) == own:
                children.append(int(process.name))
    return children


def _exit_like(status: int) -> None:
    """Ends this process as another one ended, whose status of waitpid(2) this is."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        # The child has left its core already, where it was to leave one.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(max(0, code))
