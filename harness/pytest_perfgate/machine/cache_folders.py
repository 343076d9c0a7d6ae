"""Folders of the cache: made, held by a lock, removed; never through a link."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from pytest_perfgate.errors import BuildError

CACHE_VARIABLE = "PERFGATE_CACHE"
"""Names the cache to workers."""
FOLDER_MODE = 0o755
"""Whatever the umask: who may write here can run code as this user."""


def own_folder(folder: Path) -> Path:
    """A folder of the cache, made where there is none; a link to another is removed first."""
    no_link(folder).mkdir(mode=FOLDER_MODE, exist_ok=True)
    return folder


def no_link(folder: Path) -> Path:
    """`folder`; a link of that name is removed."""
    if folder.is_symlink():
        folder.unlink()
    return folder


@contextlib.contextmanager
def locked(root: Path, key: str, *, wait: bool) -> Iterator[bool]:
    """Holds the lock of a key below the cache `root` while the block runs; without `wait`, False
    where another process has it.

    Raises:
        BuildError: the lock is a link, which would be followed to any file of this machine.
    """
    path = root / "locks" / f"{key}.lock"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise BuildError(
            f"the lock cannot be opened: {error.strerror}",
            where=str(path),
            valid="a file of this user",
            next_step=f"rm {path}",
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Removes a folder, or a link and not what it leads to; at once for readers of its place."""
    if path.is_symlink() or path.is_file():
        path.unlink()
        return
    doomed = path.parent / f".gone-{secrets.token_hex(8)}"
    path.replace(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def cache_of_job(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The cache of the session that a worker belongs to; None in any other process."""
    cache = environ.get(CACHE_VARIABLE)
    return Path(cache) if cache else None


def keep_out_of_git(cache: Path) -> None:
    """Makes the cache's folder, and tells git to see nothing in it."""
    cache.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    ignore = cache / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")
