"""Brings a location's files into the cache: once, whole, and with the content of the lock file."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pytest_perfgate.errors import FetchError
from pytest_perfgate.files import digest_of
from pytest_perfgate.locations import archives, cache
from pytest_perfgate.locations.client import EVERY, Place, Progress, bytes_in, carried_out
from pytest_perfgate.locations.lock_file import is_inside
from pytest_perfgate.locations.transfer import Order
from pytest_perfgate.locations.url import Location
from pytest_perfgate.machine.cache_folders import locked as holding
from pytest_perfgate.machine.cache_folders import own_folder, remove
from pytest_perfgate.plain_text import without_secrets
from pytest_perfgate.records.location import Fetched, Locked, LockedFile
from pytest_perfgate.units import Unit, show


def fetched(location: Location, locked: Locked, place: Place) -> Fetched:
    """The files of a location, from the cache or else from its store.

    Raises:
        FetchError: they cannot be fetched, or have other content than the lock file says.
    """
    root = place.cache
    cache.make_folders(root)
    with _alone(root, locked.digest, location, place.progress):
        folder = cache.find(root, locked)
        if folder is None:
            folder = _fetch(location, locked, place)
        return Fetched(_inner(location, locked, folder), folder, locked)


def lock(location: Location, place: Place, beside: Callable[[Path], Sequence[str]]) -> Locked:
    """Fetches what a location holds now, and returns what a lock file must say of it; the files are
    in the cache then. `beside` names the files that belong to a file, relative to its folder.

    Raises:
        FetchError: they cannot be fetched.
    """
    root = place.cache
    digest = digest_of([location.url])
    parts = cache.make_folders(root) / f"{cache.PART}{digest[:32]}"
    with _alone(root, digest, location, place.progress):
        # Parts are continued by their ETag; what is whole may have changed since.
        for file in (parts / cache.CONTENT).rglob("*"):
            if file.is_file() and file.suffix not in {".part", ".etag"}:
                file.unlink()
        order = _order(location, parts, place)
        first = carried_out(order, None, place)
        names = (first.files[0], *beside(parts / cache.CONTENT / first.files[0]))
        for name in names:
            if not is_inside(name):
                raise FetchError(
                    f"{names[0]} names the file {name!r}, which is not below its folder",
                    where=location.url,
                    next_step="save both as one file: onnx.save(onnx.load(FILE), FILE)",
                )
        if len(names) > 1:
            carried_out(replace(order, files=names, version=first.version), None, place)
        files = [parts / cache.CONTENT / name for name in names]
        entry = Locked(
            location.url,
            tuple(
                LockedFile(name, file.stat().st_size, cache.sha256_of(file))
                for name, file in zip(names, files, strict=True)
            ),
            first.version,
        )
        _tidy(parts, entry)
        with holding(root, cache.key_of(entry.digest), wait=True):
            cache.publish(root, entry, parts)
    return entry


@contextlib.contextmanager
def _alone(root: Path, digest: str, location: Location, progress: Progress) -> Iterator[None]:
    """One process at a time fetches an entry; the others wait, and then find it."""
    key = cache.key_of(digest)
    while True:
        with holding(root, key, wait=False) as ours:
            if ours:
                yield
                return
        progress(f"waiting for another process, which fetches {without_secrets(location.url)}")
        time.sleep(EVERY)


def _order(location: Location, parts: Path, place: Place) -> Order:
    own_folder(parts)
    return Order(
        location.text,
        own_folder(parts / cache.CONTENT),
        repository=place.repository,
        revision=place.revision,
    )


def _fetch(location: Location, locked: Locked, place: Place) -> Path:
    root = place.cache
    parts = root / cache.FOLDER / f"{cache.PART}{locked.digest[:32]}"
    order = replace(
        _order(location, parts, place),
        files=tuple(file.path for file in locked.files),
        sizes={file.path: file.size for file in locked.files},
        version=locked.version,
    )
    missing = locked.size - bytes_in(order.folder)
    if missing > (free := cache.free_space(root)):
        raise FetchError(
            f"{location.url} needs {show(missing, Unit.BYTES)}, and the disk has "
            f"{show(free, Unit.BYTES)} left",
            where=str(root),
            next_step="pytest-perfgate cache gc, or a cache on another disk: --perf-cache=DIR",
        )
    carried_out(order, locked, place)
    try:
        cache.compare(order.folder, locked)
    except cache.Changed as changed:
        remove(parts)  # the next try begins anew
        raise cache.other_content(locked, changed, place.suite) from changed
    _tidy(parts, locked)
    return cache.publish(root, locked, parts)


def _tidy(parts: Path, locked: Locked) -> None:
    """Removes what a client has left beside the files."""
    content = parts / cache.CONTENT
    names = {file.path for file in locked.files}
    for path in sorted(content.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):  # not empty
                path.rmdir()
        elif path.relative_to(content).as_posix() not in names:
            path.unlink()


def _inner(location: Location, locked: Locked, folder: Path) -> Path:
    """What the suite names of a location: its first file, or a path in an archive."""
    main = folder / locked.files[0].path
    if not archives.is_archive(main.name):
        if location.inner:
            raise FetchError(
                f"{location.text} names a part of a file that is no archive",
                valid=", ".join(archives.SUFFIXES),
            )
        return main
    tree = _unpacked(main, folder.parent)
    inner = tree / location.inner
    if not inner.exists():
        there = (
            sorted(path.name for path in inner.parent.iterdir()) if inner.parent.is_dir() else []
        )
        raise FetchError(
            f"the archive {main.name} has no {location.inner!r}", valid=", ".join(there[:20])
        )
    return inner


def _unpacked(archive: Path, entry: Path) -> Path:
    """The folder of what an archive holds, compared with what was unpacked."""
    place = entry / cache.UNPACKED
    if place.is_symlink() or (place.exists() and not cache.unpacked_is_whole(place)):
        remove(place)
    if not place.exists():
        scratch = own_folder(entry / ".new-unpacked")
        remove(scratch)
        tree = own_folder(own_folder(scratch) / "tree")
        archives.unpack(archive, tree)
        cache.seal(scratch)
        scratch.replace(place)
    return place / "tree"
