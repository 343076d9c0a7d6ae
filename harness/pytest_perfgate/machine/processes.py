"""Child processes of this one: forked, waited for, and how they ended in words."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.machine.parent_death import die_with

SHARED = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory is
"""Memory that processes share: a file system of its own size, 64 MB in Docker by default."""

MORE_SHARED = "docker run --shm-size=1g (Kubernetes: an emptyDir with medium: Memory at /dev/shm)"
"""How a container gets more of it."""

_LAST_WORDS = 2000  # characters of a log that are quoted


class Forked:
    """A child that runs `body` and exits; used as `subprocess.Popen` is.

    Args:
        body: what the child does. An exception in it ends the child with exit code 1.
        close: file descriptors of the parent that the child must not keep. An end of a pipe that a
            child keeps open hides the end of that pipe from the other side.
    """

    def __init__(self, body: Callable[[], None], close: Iterable[int]) -> None:
        # What is buffered now would be written twice, by the parent and by the child.
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid:
            return
        status = 1
        try:
            die_with(parent)
            for fd in close:
                os.close(fd)
            body()
            status = 0
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            # Not sys.exit: the parent's `finally` blocks and exit handlers are not the child's.
            os._exit(status)

    def wait(self) -> int:
        """Waits for its end; the exit code, or minus the number of the signal that ended it."""
        # Waited for once: after that its id may be another process's.
        if self.returncode is None:
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def kill(self) -> None:
        """Sends SIGKILL, unless it has been waited for."""
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)  # a child that was not waited for keeps its id


def free_shared_memory() -> int | None:
    """Bytes that processes can still share; None where this system does not tell."""
    try:
        about = os.statvfs(SHARED)
    except OSError:
        return None
    return about.f_bavail * about.f_frsize


def last_words(log: Path) -> str:
    """The end of what a process wrote into its log, "" when it wrote nothing."""
    with contextlib.suppress(OSError):
        text = log.read_text(errors="replace").strip()
        return text if len(text) <= _LAST_WORDS else "… " + text[-_LAST_WORDS:]
    return ""


def obituary(code: int) -> tuple[str, str]:
    """How a process ended and what to do about it; `code` is as `Popen.returncode` has it."""
    if code >= 0:
        return f"it ended with exit code {code}", ""
    number = -code
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    if number == signal.SIGKILL:
        return (
            f"it was killed ({name}), usually by the kernel, out of memory",
            "free memory, or make the recipe smaller; `dmesg | grep -i oom` shows more",
        )
    if number == signal.SIGBUS:
        return (
            f"it used memory that could not be had ({name}), most often a full /dev/shm",
            f"df -h {SHARED}; in a container: {MORE_SHARED}",
        )
    if number in {signal.SIGSEGV, signal.SIGILL, signal.SIGFPE, signal.SIGABRT}:
        return (
            f"it crashed in native code ({name})",
            "see the last output; check the versions of the frameworks first",
        )
    return f"it was ended by {name}", ""


def is_of_the_machine(error: BaseException) -> bool:
    """Whether an error says all that there is to know: a full disk, a folder of another user. Its
    traceback would look for the cause in the code.
    """
    return isinstance(error, OSError) and error.errno in _MACHINE


_MACHINE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO),
    *(errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM),
}


def problem_of(error: BaseException) -> tuple[str, str]:
    """An exception in the words of a user, and what to do: a `PerfgateError` in its own."""
    if isinstance(error, PerfgateError):
        problem = f"{error.where}: {error.problem}" if error.where else error.problem
        return problem + (f" (valid: {error.valid})" if error.valid else ""), error.next_step
    if isinstance(error, MemoryError):
        return "it ran out of memory", "free memory, or make the recipe smaller"
    if isinstance(error, OSError) and is_of_the_machine(error):
        place = (
            f": {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
        )
        remedy = "free the disk, raise the limit, or make the folder writable"
        return f"{error.strerror}{place}", remedy
    return f"it raised {type(error).__name__}: {error}", "the last words show where"
