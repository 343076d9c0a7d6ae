"""Archives of data: unpacked into a folder, and nowhere else."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from pytest_perfgate.errors import FetchError
from pytest_perfgate.files import ZIP_ERRORS
from pytest_perfgate.locations.cache import free_space

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")


def is_archive(name: str) -> bool:
    """Whether a file of this name is an archive."""
    return name.lower().endswith(SUFFIXES)


def unpack(archive: Path, into: Path) -> None:
    """Writes every file of an archive below `into`, which is there. Permissions, owners and times
    are left out.

    Raises:
        FetchError: it is broken, or has an entry that is a link, a device or outside of `into`, or
            the disk has too little space for it.
    """
    try:
        if archive.name.lower().endswith(".zip"):
            with zipfile.ZipFile(archive) as packed:
                _refuse_large(archive, sum(info.file_size for info in packed.infolist()), into)
                for info in packed.infolist():
                    # The upper half of the attributes is the mode of a Unix file system.
                    is_link = (info.external_attr >> 28) == 0o12
                    with _target(archive, info.filename, into, special=is_link) as target:
                        if not info.is_dir():
                            with packed.open(info) as source:
                                _write(source, target)
            return
        with tarfile.open(archive) as tar:
            _refuse_large(archive, sum(info.size for info in tar), into)
            for entry in tar:
                special = not (entry.isfile() or entry.isdir())
                with _target(archive, entry.name, into, special=special) as target:
                    content = tar.extractfile(entry) if entry.isfile() else None
                    if content is not None:
                        _write(content, target)
    except (*ZIP_ERRORS, tarfile.TarError) as e:
        raise FetchError(
            f"the archive is broken: {e}", where=archive.name, valid=", ".join(SUFFIXES)
        ) from e


def _refuse_large(archive: Path, size: int, into: Path) -> None:
    free = free_space(into)
    if size > free:
        raise FetchError(
            f"unpacked it has {size:,} bytes, and the disk has {free:,} left",
            where=archive.name,
            next_step="pytest-perfgate cache gc, or a cache on another disk: --perf-cache=DIR",
        )


@contextmanager
def _target(archive: Path, name: str, into: Path, *, special: bool) -> Iterator[Path]:
    """The place of an entry; its folder is there."""
    path = PurePosixPath(name.replace("\\", "/"))
    if special or path.is_absolute() or ".." in path.parts:
        raise FetchError(
            f"its entry {name!r} is {'a link or a device' if special else 'outside of it'}",
            where=archive.name,
            valid="files and folders below the archive's top",
            next_step="pack it again: tar --dereference, or zip without --symlinks",
        )
    target = into.joinpath(*path.parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    yield target


def _write(source: IO[bytes], target: Path) -> None:
    with target.open("xb") as out:  # a second entry of the same name would replace the first
        shutil.copyfileobj(source, out, 1 << 20)
