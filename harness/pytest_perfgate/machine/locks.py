"""Who measures where: locks that every session on this machine respects.

A session holds the whole host, or, when it was given a share of it, that and no more: then others
may measure at the same time, on other cores and GPUs.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from pytest_perfgate.errors import DeviceBusy, PerfgateError
from pytest_perfgate.machine.host_share import Share

_EVERY = 0.5  # seconds between tries
_HOST = "cpu"  # the lock of the whole host; by this name to earlier versions, too


@contextlib.contextmanager
def exclusive(
    share: Share | None,
    wait: float,
    waiting: Callable[[str], None],
    *,
    option: str = "--perf-wait SECONDS",
) -> Iterator[None]:
    """Holds a share of the host, None for all of it, while the block runs; `option` is how a user
    makes it wait.

    Raises:
        DeviceBusy: another session has some of it, and still has after `wait` seconds.
        PerfgateError: the folder of the locks, or a lock, is not this user's own.
    """
    folder = _own_folder()
    deadline = time.monotonic() + wait
    while True:
        with contextlib.ExitStack() as held:
            busy = _hold(folder, share, held)
            if busy is None:
                yield
                return
        if time.monotonic() >= deadline:
            where = f"on {busy[0]} of this machine" if busy[0] else "on this machine"
            raise DeviceBusy(
                f"process {busy[1]} is measuring {where}, and two measurements at once would "
                "disturb each other",
                next_step=f"wait for the other: {option}; give each a share of its own: "
                "--perf-gpus, --perf-cores; with pytest-xdist leave out --dist each, which "
                "measures in every worker",
            )
        waiting(f"waiting for process {busy[1]}, which is measuring")
        time.sleep(_EVERY)


def _own_folder() -> Path:
    """The folder of the locks: made, or found and checked to be ours alone."""
    folder = Path(tempfile.gettempdir()) / f"pytest-perfgate-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    # Others may write into the folder above, and may have come first: with a link to elsewhere, or
    # with a folder in which they can change our locks.
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode):
        raise _foreign(folder, "it is no folder")
    if about.st_uid != os.getuid():
        raise _foreign(folder, f"it belongs to user {about.st_uid}, not to user {os.getuid()}")
    if about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _foreign(folder, f"others may write to it (mode {stat.S_IMODE(about.st_mode):o})")
    return folder


def _foreign(path: Path, problem: str) -> PerfgateError:
    return PerfgateError(
        f"the locks of measurements cannot be kept there: {problem}",
        where=str(path),
        valid="a folder with regular files, of this user, that no other user may write to",
        next_step=f"ls -ld {path}; remove it, or set TMPDIR to a folder of your own",
    )


def _hold(folder: Path, share: Share | None, held: contextlib.ExitStack) -> tuple[str, str] | None:
    """Takes all locks of a share; or returns the resource that is taken and the process that holds
    it.
    """
    if not _lock(folder, _HOST, held, alone=share is None):
        return "", _holder(folder)
    if share is None:
        return None
    names = {f"core-{core[0]}": f"core {core[0]}" for core in share.cores}
    names |= {f"gpu-{gpu.uuid}": f"the GPU {gpu.uuid}" for gpu in share.gpus}
    for file, name in sorted(names.items()):
        if not _lock(folder, file, held):
            return name, _pid_in(folder / f"{file}.lock") or "unknown"
    return None


def _lock(folder: Path, name: str, held: contextlib.ExitStack, *, alone: bool = True) -> bool:
    file = held.enter_context(_opened(folder / f"{name}.lock"))
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError:
        return False
    if alone:
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        held.callback(_forget, file)
    return True


def _opened(path: Path) -> IO[str]:
    """A lock's file, made where there is none; never a link, a device or a pipe."""
    # O_NONBLOCK: the open of a pipe would wait for its other end, before it can be looked at.
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(path, flags, 0o600)
    except OSError as error:
        raise _foreign(path, error.strerror or str(error)) from error
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode) or about.st_uid != os.getuid():
        os.close(handle)
        raise _foreign(path, "it is no regular file of this user")
    return os.fdopen(handle, "a+")


def _forget(file: IO[str]) -> None:
    file.truncate(0)


def _holder(folder: Path) -> str:
    """Whoever keeps the whole host from being held: it, or one that has a share."""
    for path in (folder / f"{_HOST}.lock", *sorted(folder.glob("*-*.lock"))):
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return _pid_in(path) or "unknown"
    return "unknown"


def _pid_in(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
