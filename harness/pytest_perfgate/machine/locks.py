"""Who measures where: locks that every session on this machine respects.

A session holds the whole host, or, when it was given a share of it, that and no more: then others
may measure at the same time, on other cores and GPUs.

The locks are those of one user, in a folder that no other can write to. Where the owner of the
machine has made the folder `SHARED`, they are those of all its users.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pytest_perfgate.errors import DeviceBusy, PerfgateError
from pytest_perfgate.machine.host_share import Share

SHARED = Path("/var/lib/pytest-perfgate")
"""The folder of the locks of all users: only root can make it, so that whoever follows it follows
the owner of the machine."""

MAKE_SHARED = f"sudo install -d -m 1777 {SHARED}"
"""How it is made. With the sticky bit nobody can take away another's lock."""

_ROOT = 0  # the user that owns the shared folder
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
        PerfgateError: the folder of the locks, or a lock, is not this user's own, or the shared
            folder is not root's.
    """
    folder = _folder_of_locks()
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


@dataclass(frozen=True)
class _Folder:
    """The folder of the locks; `shared`: those of all users of the machine."""

    path: Path
    shared: bool

    def foreign(self, path: Path, problem: str) -> PerfgateError:
        """Why a lock cannot be kept there."""
        if self.shared:
            valid = "a folder of root with mode 1777, and regular files in it"
            step = f"ask the owner of this machine: {MAKE_SHARED}; or to remove {SHARED}"
        else:
            valid = "a folder with regular files, of this user, that no other user may write to"
            step = f"ls -ld {path}; remove it, or set TMPDIR to a folder of your own"
        return PerfgateError(
            f"this folder cannot hold the locks of measurements: {problem}",
            where=str(path),
            valid=valid,
            next_step=step,
        )


def _folder_of_locks() -> _Folder:
    """The shared folder where there is one, else this user's own; checked that nobody can take
    away or replace a lock in it.
    """
    if SHARED.is_symlink() or SHARED.exists():
        folder = _Folder(SHARED, shared=True)
    else:
        folder = _Folder(Path(tempfile.gettempdir()) / f"pytest-perfgate-{os.getuid()}", False)
        with contextlib.suppress(FileExistsError):
            folder.path.mkdir(mode=0o700)
    # Others may write into the folder above, and may have come first: with a link to elsewhere, or
    # with a folder in which they can change our locks.
    about = folder.path.lstat()
    owner, kind = (_ROOT, "root") if folder.shared else (os.getuid(), f"user {os.getuid()}")
    if not stat.S_ISDIR(about.st_mode):
        raise folder.foreign(folder.path, "it is not a folder")
    if about.st_uid != owner:
        problem = f"it belongs to user {about.st_uid}, not to {kind}"
        raise folder.foreign(folder.path, problem)
    by_others = about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if by_others and not (folder.shared and about.st_mode & stat.S_ISVTX):
        mode = f"mode {stat.S_IMODE(about.st_mode):o}"
        raise folder.foreign(folder.path, f"others may write to it ({mode})")
    return folder


def _hold(
    folder: _Folder, share: Share | None, held: contextlib.ExitStack
) -> tuple[str, str] | None:
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
            return name, _pid_in(folder.path / f"{file}.lock") or "unknown"
    return None


def _lock(folder: _Folder, name: str, held: contextlib.ExitStack, *, alone: bool = True) -> bool:
    file = held.enter_context(_opened(folder, name))
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


def _opened(folder: _Folder, name: str) -> IO[str]:
    """A lock's file, made where there is none; never a link, a device or a pipe."""
    path = folder.path / f"{name}.lock"
    try:
        handle = _handle(path, shared=folder.shared)
    except OSError as error:
        raise folder.foreign(path, error.strerror or str(error)) from error
    about = os.fstat(handle)
    # Another name of a file that is no lock: its contents would be cut off.
    alone = stat.S_ISREG(about.st_mode) and about.st_nlink == 1
    if not alone or (about.st_uid != os.getuid() and not folder.shared):
        os.close(handle)
        kind = "of its own" if folder.shared else "of this user"
        raise folder.foreign(path, f"it is not a regular file {kind}")
    return os.fdopen(handle, "a+")


def _handle(path: Path, *, shared: bool) -> int:
    # O_NONBLOCK: the open of a pipe would wait for its other end, before it can be looked at.
    flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    if not shared:
        return os.open(path, flags | os.O_CREAT, 0o600)
    # In a sticky folder the kernel refuses O_CREAT for a file of another user
    # (fs.protected_regular), so it is opened first, and made where there is none.
    while True:
        with contextlib.suppress(FileNotFoundError):
            return os.open(path, flags)
        with contextlib.suppress(FileExistsError):  # another session was faster
            handle = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
            os.fchmod(handle, 0o666)  # whatever the umask: others write who holds it
            return handle


def _forget(file: IO[str]) -> None:
    file.truncate(0)


def _holder(folder: _Folder) -> str:
    """Whoever keeps the whole host from being held: it, or one that has a share."""
    for path in (folder.path / f"{_HOST}.lock", *sorted(folder.path.glob("*-*.lock"))):
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
