"""Who measures where: locks that every session on this machine respects.

A session holds the whole host, or, when it was given a share of it, that and no more: then others
may measure at the same time, on other cores and GPUs.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from pytest_perfgate.errors import DeviceBusy
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
    """
    folder = Path(tempfile.gettempdir()) / f"pytest-perfgate-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
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
                next_step="run it alone (with xdist: --dist loadgroup keeps perf tests on one "
                f"worker), wait for the other: {option}, or give each a share of its own: "
                "--perf-gpus, --perf-cores",
            )
        waiting(f"waiting for process {busy[1]}, which is measuring")
        time.sleep(_EVERY)


def _hold(folder: Path, share: Share | None, held: contextlib.ExitStack) -> tuple[str, str] | None:
    """Takes all locks of a share, or tells what is in whose hands: a name, and a process."""
    if not _lock(folder, _HOST, held, alone=share is None):
        return "", _holder(folder)
    if share is None:
        return None
    names = {f"core-{core[0]}": f"core {core[0]}" for core in share.cores}
    names |= {f"gpu-{each.uuid}": f"the GPU {each.uuid}" for each in share.gpus}
    for file, name in sorted(names.items()):
        if not _lock(folder, file, held):
            return name, _told(folder / f"{file}.lock") or "unknown"
    return None


def _lock(folder: Path, name: str, held: contextlib.ExitStack, *, alone: bool = True) -> bool:
    file = held.enter_context((folder / f"{name}.lock").open("a+"))
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


def _forget(file: IO[str]) -> None:
    file.truncate(0)


def _holder(folder: Path) -> str:
    """Whoever keeps the whole host from being held: it, or one that has a share."""
    for path in (folder / f"{_HOST}.lock", *sorted(folder.glob("*-*.lock"))):
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return _told(path) or "unknown"
    return "unknown"


def _told(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
