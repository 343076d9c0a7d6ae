"""Temporary folders that a process holds by a lock while it works, and that others sweep when it is
gone.

A process id is no identity: it comes again, in containers even at once, and two containers that
share a folder have the same ones.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_LOCK = ".held"
_NEW = 10.0  # seconds in which the maker of a folder has locked it
_OLD = 24 * 3600.0  # seconds after which a folder without a lock file is nobody's


@contextlib.contextmanager
def held_folder(parent: Path, name: str = "") -> Iterator[Path]:
    """An empty folder below `parent` that no other process has, gone afterwards; what killed
    processes left there is removed first.

    Raises:
        OSError: it cannot be made.
    """
    # Others who may write to `parent` could put a folder of their own in place of ours.
    parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-" if name else "", dir=parent))
    try:
        with (folder / _LOCK).open("w") as lock:
            # The kernel lets go of it when this process ends, however that ends.
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Removes folders below `parent`, which need not be there, that nobody holds."""
    for folder in _folders(parent):
        if _abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)


def held_since(parent: Path) -> list[float]:
    """Since when each folder below `parent` is held, in seconds since the epoch."""
    times = []
    for folder in _folders(parent):
        if not _abandoned(folder):
            with contextlib.suppress(OSError):  # gone meanwhile
                lock = folder / _LOCK  # written once, when the folder was made
                times.append((lock if lock.exists() else folder).stat().st_mtime)
    return times


def _folders(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return [path for path in parent.iterdir() if path.is_dir() and not path.is_symlink()]


def _abandoned(folder: Path) -> bool:
    """Whether the process that made a folder is gone."""
    age = 0.0
    try:
        age = time.time() - folder.stat().st_mtime
        # Another process may be making it at this moment: without a lock file yet, or with one that
        # it has not locked yet.
        if age < _NEW:
            return False
        with (folder / _LOCK).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except FileNotFoundError:
        return age > _OLD
    except OSError:  # held, or not ours
        return False
