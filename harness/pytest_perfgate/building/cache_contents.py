"""What lies in a cache: listed, compared with its digests, and removed where nobody uses it.

A running session is known by its folder in `logs/`, which it holds by a lock. Whatever was used
since the earliest of them began stays. An entry is removed with the lock of its key, under which
sessions find entries and note their use: what was found a moment ago is not removed.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_perfgate.building.artifact_cache import ENTRY, Damaged, described, refuse_changed
from pytest_perfgate.locations import cache as fetched_files
from pytest_perfgate.machine.cache_folders import locked, remove
from pytest_perfgate.machine.held_folders import held_since, sweep

EVALUATION = "evaluation"
SEARCH = "search"
FETCHED = "fetched"
_UNREADABLE = "earlier version"


@dataclass(frozen=True)
class Item:
    """Something in the cache that can be removed by itself.

    Attributes:
        kind: of an artifact, "evaluation", "training", "compiled", "step cache", "digests",
            "search", "crash", "fetched", "link", or "unfinished".
        paths: files and folders; the first names it.
        about: what it is, "" for unknown.
        files: the project's files that it rests on.
        size: bytes on the disk.
        used: seconds since the epoch, of its last use.
        key: whose lock guards it, "" for what several keys share.
    """

    kind: str
    paths: tuple[Path, ...]
    about: str
    files: tuple[str, ...]
    size: int
    used: float
    key: str


@dataclass(frozen=True)
class Damage:
    """An item that is not as it was stored, and the file that shows it."""

    item: Item
    file: str


def items(root: Path) -> list[Item]:
    """Everything in a cache but logs and checkouts, which go with their session; the item that was
    not used for the longest time first.
    """
    listed = [*_entries(root), *_others(root)]
    return sorted(listed, key=lambda item: (item.used, item.paths))


@dataclass(frozen=True)
class Verified:
    """What `verify` compared: `compared` and `uncompared` together are all that `items` lists.

    Attributes:
        compared: entries whose files were compared with their digests.
        damages: those of them that are not as they were stored.
        uncompared: kind to the number of entries that have no digests.
    """

    compared: int
    damages: tuple[Damage, ...]
    uncompared: Counter[str]


def verify(root: Path) -> Verified:
    """Compares every entry that has digests with them."""
    compared, damages, uncompared = 0, list[Damage](), Counter[str]()
    for item in items(root):
        if item.kind != FETCHED and item.paths[0].parent.parent != root / "artifacts":
            uncompared[item.kind] += 1
            continue
        with locked(root, item.key, wait=True):
            if not item.paths[0].exists():  # removed meanwhile
                continue
            try:
                if not _compare(item):
                    uncompared[item.kind] += 1
                    continue
            except Damaged as damage:
                damages.append(Damage(item, damage.name))
            compared += 1
    return Verified(compared, tuple(damages), uncompared)


def _compare(item: Item) -> bool:
    """Compares an entry with its digests; False where it has none: an earlier program stored it.

    Raises:
        Damaged: it is not as it was stored.
    """
    if item.kind == FETCHED:
        changed = fetched_files.damage(item.paths[0])
        if changed:
            raise Damaged(changed)
        return True
    entry = described(item.paths[0])
    if entry is None:
        return False
    refuse_changed(entry)
    return True


def removable(
    root: Path, *, older: float | None = None, largest: float | None = None
) -> tuple[list[Item], list[Item]]:
    """What can be removed, and what stays because a running session may use it. Results of searches
    are never among them.

    Args:
        root: the cache.
        older: seconds since its last use.
        largest: bytes that may stay; what was not used for the longest time goes first.
    """
    now, running = time.time(), held_since(root / "logs")
    candidates = [item for item in items(root) if item.kind != SEARCH]
    excess = 0.0 if largest is None else sum(item.size for item in candidates) - largest
    going, held = [], []
    for item in candidates:
        if excess <= 0 and (older is None or now - item.used <= older):
            continue
        if _is_held(item, running):
            held.append(item)
        else:
            going.append(item)
            excess -= item.size
    return going, held


def collect(root: Path, going: list[Item]) -> list[Item]:
    """Removes items, and what killed sessions left in `logs/` and `base/`; returns the items that
    stay because they were used meanwhile.
    """
    stayed = []
    for item in going:
        with _guarded(root, item) as ours:
            # Under the lock nobody finds the entry; who found it a moment ago has touched it.
            was_used = _used(item.paths) > item.used
            if not ours or was_used or _is_held(item, held_since(root / "logs")):
                stayed.append(item)
                continue
            for path in item.paths:
                with contextlib.suppress(FileNotFoundError):
                    remove(path)
    for name in ("logs", "base"):
        sweep(root / name)
    return stayed


def _is_held(item: Item, running: list[float]) -> bool:
    """Whether one of the sessions that began at these times may use an item."""
    return bool(running) and (not item.key or item.used >= min(running))


@contextlib.contextmanager
def _guarded(root: Path, item: Item) -> Iterator[bool]:
    """Holds the lock of an item's key, where it has one; False where another process has it."""
    if not item.key:
        yield True
        return
    with locked(root, item.key, wait=False) as ours:
        yield ours


def _entries(root: Path) -> Iterator[Item]:
    """Artifacts and evaluations; with an evaluation goes what its runtime compiled."""
    for folder in _folders(root / "artifacts"):
        if folder.is_symlink():
            yield _item("link", (folder,), f"to {folder.readlink()}", "")
            continue
        if folder.name.startswith("."):
            yield _item("unfinished", (folder,), "of a session that was killed", "")
            continue
        for variant in _folders(folder):
            kind, about, files = _UNREADABLE, "", tuple[str, ...]()
            with contextlib.suppress(Damaged, OSError):
                entry = described(variant)
                if entry is not None:
                    stored = entry.stored
                    kind, about, files = stored.kind, stored.about, tuple(stored.files)
            compiled = root / "runtime" / folder.name[:16]
            more = (compiled,) if kind == EVALUATION and compiled.is_dir() else ()
            yield _item(kind, (variant, *more), about, folder.name, files)


def _others(root: Path) -> Iterator[Item]:
    """What is not found by its content."""
    for folder in _folders(root / "training"):
        yield _item("training", (folder,), "checkpoints of a training", folder.name)
    keys = {folder.name[:16]: folder.name for folder in _folders(root / "artifacts")}
    for folder in _folders(root / "runtime"):
        if folder.name not in keys:
            yield _item("compiled", (folder,), "code of a runtime", "")
    for folder in _folders(root / "caches"):
        yield _item("step cache", (folder,), f"what speeds up {folder.name}", "")
    for folder in _folders(root / "digests"):
        yield _item("digests", (folder,), "digests of image files", "")
    for folder in _folders(root / "searches"):
        yield _item(SEARCH, (folder,), "values that were chosen", "")
    for folder in _folders(root / fetched_files.FOLDER):
        if folder.name.startswith("."):
            digest = folder.name.removeprefix(fetched_files.PART)
            yield _item("unfinished", (folder,), "of a fetch", fetched_files.key_of(digest))
            continue
        holds = None if folder.is_symlink() else fetched_files.described(folder)
        about = holds.url if holds else ""
        yield _item(FETCHED, (folder,), about, fetched_files.key_of(folder.name))
    for file in sorted((root / "crashes").glob("*.txt")):
        yield _item("crash", (file,), "the traceback of a session", "")


def _folders(above: Path) -> list[Path]:
    if not above.is_dir():
        return []
    return sorted(path for path in above.iterdir() if path.is_symlink() or path.is_dir())


def _item(
    kind: str, paths: tuple[Path, ...], about: str, key: str, files: tuple[str, ...] = ()
) -> Item:
    size = 0
    for file in (file for path in paths for file in _files(path)):
        with contextlib.suppress(OSError):  # gone meanwhile
            size += file.lstat().st_size
    return Item(kind, paths, about, files, size, _used(paths), key)


def _used(paths: tuple[Path, ...]) -> float:
    """When something was used last: an entry's description is touched, other files are written."""
    entry = paths[0] / ENTRY
    times = [0.0]
    for path in (entry,) if entry.is_file() else (paths[0], *_files(paths[0])):
        with contextlib.suppress(OSError):  # gone meanwhile
            times.append(path.lstat().st_mtime)
    return max(times)


def _files(path: Path) -> Iterator[Path]:
    if path.is_symlink() or path.is_file():
        yield path
        return
    for inner in path.rglob("*"):
        if inner.is_symlink() or inner.is_file():
            yield inner
