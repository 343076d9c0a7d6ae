"""Digests of image files, kept in the cache by the files' identity and read again every night.

A file is the one that was read before when path, inode, size, and the times of its last changes of
content and of attributes are the same. As in git's index, a file that was changed shortly before it
was read is not kept: a later change could have the same time. What was read more than `TRUSTED`
seconds ago is read again, whatever its identity, so that each night compares content.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pytest_perfgate.files import put
from pytest_perfgate.machine.cache_folders import own_folder

TRUSTED = 20 * 3600
"""Seconds for which an identity stands for a content: less than from one night to the next."""

FOLDER = "digests"
"""In the cache."""

_RACY = 2 * 10**9  # nanoseconds: times of some file systems have whole seconds, FAT's two
_CHUNK = 256  # files whose digests are stored together
_ONE_DECODER = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""Endings of pictures that Pillow itself decodes: of another package no version is in the key."""

CHANGED = "have other pixels than before under the same size, times and inode"


@dataclass(frozen=True)
class Known:
    """What was read of an image: the digest of its pixels, their shape, and how it was read."""

    digest: str
    shape: tuple[int, ...]
    remarks: tuple[str, ...]


def known_of(
    files: Sequence[Path],
    read: Callable[[int], Known],
    cache: Path,
    decoder: str,
    heard: Callable[[int, int], None],
) -> list[Known]:
    """What is known of each file: from earlier sessions in `cache`, else by `read(index)`.

    `decoder` is a text for all that pixels depend on besides the files; `heard(done, total)` is
    called after each. Processes that start together begin at different files, and take from each
    other what is read already.
    """
    folder = _folder(files, cache, decoder)
    result: dict[int, Known] = {}
    for rows in _chunks(len(files)):
        place = folder / f"{rows.start // _CHUNK}.json"
        stored, fresh = _stored(place), {}
        for index in rows:
            name = str(index)
            known, entry = _one(files[index], stored.get(name), partial(read, index))
            result[index] = known
            if entry is not None:
                fresh[name] = entry
            heard(len(result), len(files))
        if fresh != stored:
            with suppress(OSError):  # the next session reads them again
                _store(place, fresh)
    return [result[index] for index in range(len(files))]


def forget(files: Sequence[Path], cache: Path, decoder: str, index: int) -> None:
    """Deletes what `known_of` keeps of a file, and of those beside it in `files`."""
    with suppress(OSError):
        (_folder(files, cache, decoder) / f"{index // _CHUNK}.json").unlink(missing_ok=True)


def _folder(files: Sequence[Path], cache: Path, decoder: str) -> Path:
    key = hashlib.sha256("\0".join([decoder, *map(os.fspath, files)]).encode("utf-8", "replace"))
    return own_folder(own_folder(cache / FOLDER) / key.hexdigest()[:32])


def _chunks(total: int) -> Iterator[range]:
    starts = range(0, total, _CHUNK)
    # Numbers of processes that follow each other are far apart by the golden ratio.
    first = int(os.getpid() * 0.6180339887 % 1 * len(starts))
    for start in (*starts[first:], *starts[:first]):
        yield range(start, min(start + _CHUNK, total))


def _one(file: Path, stored: Any, read: Callable[[], Known]) -> tuple[Known, dict[str, Any] | None]:
    """What is known of a file, and its entry, None where it cannot be kept."""
    start = time.time_ns()
    before = _identity(file)
    known = None
    if isinstance(stored, dict) and before is not None and stored["identity"] == before:
        known = _from(stored["known"])
        if 0 <= start - stored["read"] < TRUSTED * 10**9:
            return known, stored
    result = read()
    remarks = result.remarks
    if known is not None and known.digest != result.digest:
        remarks = (*remarks, CHANGED)
    told = replace(result, remarks=remarks)
    if before is None or file.suffix.lower() not in _ONE_DECODER:
        return told, None
    if before != _identity(file) or max(before[2:]) > start - _RACY:
        return told, None
    # Without the remark: people are told once.
    return told, {"identity": before, "read": start, "known": _plain(result)}


def _identity(file: Path) -> list[int] | None:
    """Inode, size, and the two times in nanoseconds; None: it cannot be told."""
    try:
        status = file.stat()
    except OSError:
        return None
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _plain(known: Known) -> dict[str, Any]:
    """As JSON has it, so that what is read again is equal."""
    return {**asdict(known), "shape": list(known.shape), "remarks": list(known.remarks)}


def _from(known: Mapping[str, Any]) -> Known:
    return Known(known["digest"], tuple(known["shape"]), tuple(known["remarks"]))


def _store(place: Path, entries: Mapping[str, Any]) -> None:
    text = json.dumps(entries)
    put(place, f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")


def _stored(place: Path) -> dict[str, Any]:
    """The entries of a file; none where it is not there or not as it was written."""
    try:
        seal, _, text = place.read_text(encoding="utf-8").partition("\n")
    except (OSError, ValueError):
        return {}
    if place.is_symlink() or hashlib.sha256(text.encode()).hexdigest() != seal:
        return {}
    entries: dict[str, Any] = json.loads(text)
    return entries
