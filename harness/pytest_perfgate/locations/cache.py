"""Fetched files in the cache, by content: an entry appears whole or not at all.

`fetched/<digest>/` has `files.json`, the files in `content/`, and in `unpacked/` what an archive
holds. The digest is that of the files, so that an entry proves itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pytest_perfgate.errors import FetchError
from pytest_perfgate.locations.lock_file import COMMAND
from pytest_perfgate.machine.cache_folders import FOLDER_MODE, own_folder, remove
from pytest_perfgate.records.location import Fetched, Locked, LockedFile

FOLDER = "fetched"
CONTENT, UNPACKED = "content", "unpacked"
PART = ".part-"
"""What the name of an entry begins with while it is fetched."""
_ABOUT = "files.json"
_LOCKED = TypeAdapter(Locked)


@dataclass(frozen=True)
class Changed(Exception):
    """A file is not as it must be.

    Attributes:
        file: its path relative to its folder, and what it must be.
        size: what it has, None where it is no file.
        sha256: of what it has, "" where its size is another already.
    """

    file: LockedFile
    size: int | None
    sha256: str = ""

    def __str__(self) -> str:
        if self.size is None:
            return f"{self.file.path} is missing"
        if not self.sha256:
            return f"{self.file.path} has {self.size:,} bytes, not {self.file.size:,}"
        return f"{self.file.path} has sha256 {self.sha256}, not {self.file.sha256}"


def key_of(digest: str) -> str:
    """The lock of an entry, or of what is to become one."""
    return f"{FOLDER}-{digest[:32]}"


def make_folders(root: Path) -> Path:
    """The folder of fetched files below the cache `root`."""
    root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    own_folder(root / "locks")
    return own_folder(root / FOLDER)


def find(root: Path, locked: Locked) -> Path | None:
    """The folder of a location's files; None where they are not in the cache. A damaged entry is
    removed. Called with the lock of its key.
    """
    entry = root / FOLDER / locked.digest
    if entry.is_symlink():
        remove(entry)
    if not entry.is_dir():
        return None
    try:
        compare(entry / CONTENT, locked)
    except Changed:
        remove(entry)
        return None
    os.utime(entry)  # its last use
    return entry / CONTENT


def compare(folder: Path, locked: Locked) -> None:
    """Compares the size and the SHA-256 of every file of a location.

    Raises:
        Changed: the first that differs.
    """
    for file in locked.files:
        path = folder / file.path
        if path.is_symlink() or not path.is_file():
            raise Changed(file, None)
        size = path.stat().st_size
        if size != file.size:
            raise Changed(file, size)
        sha256 = sha256_of(path)
        if sha256 != file.sha256:
            raise Changed(file, size, sha256)


def refuse_changed(fetched: Fetched) -> None:
    """Check that files which were fetched are still those of the lock file.

    Raises:
        FetchError: names the first that is not.
    """
    try:
        compare(fetched.folder, fetched.locked)
    except Changed as changed:
        raise FetchError(
            f"a file of {fetched.locked.url} was changed in the cache: {changed}",
            where=str(fetched.folder),
            next_step="run it again: it is fetched again",
        ) from changed


def sha256_of(file: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits."""
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def other_content(locked: Locked, changed: Changed, suite: str) -> FetchError:
    """The error that a location has other content than its lock says."""
    return FetchError(
        f"{locked.url} has other content than the lock file says: {changed}",
        valid=f"sha256 {changed.file.sha256}, {changed.file.size:,} bytes",
        next_step=f"where the new content is right: {COMMAND} {suite} --upgrade; else put the old "
        "file back, or name its version",
    )


def publish(root: Path, locked: Locked, parts: Path) -> Path:
    """Makes `parts`, whose `content` was compared, an entry; the folder of its files."""
    text = json.dumps(asdict(locked), indent=1)
    (parts / _ABOUT).write_text(text, encoding="utf-8")
    entry = root / FOLDER / locked.digest
    if entry.is_symlink() or entry.exists():
        remove(entry)
    parts.replace(entry)
    return entry / CONTENT


def described(entry: Path) -> Locked | None:
    """What an entry says that it holds; None where it says nothing that its name proves."""
    try:
        locked: Locked = _LOCKED.validate_json((entry / _ABOUT).read_bytes())
    except (OSError, ValidationError):
        return None
    return locked if locked.digest == entry.name else None


def damage(entry: Path) -> str | None:
    """The first file of an entry that is not as it was stored, None where all are."""
    locked = described(entry)
    if locked is None:
        return _ABOUT
    try:
        compare(entry / CONTENT, locked)
    except Changed as changed:
        return f"{CONTENT}/{changed.file.path}"
    unpacked = entry / UNPACKED
    if not unpacked.exists():
        return None
    stored = unpacked_files(unpacked)
    present = dict(_digests(unpacked / "tree"))
    names = sorted(
        name for name in stored.keys() | present if stored.get(name) != present.get(name)
    )
    return f"{UNPACKED}/tree/{names[0]}" if names else None


def unpacked_files(unpacked: Path) -> dict[str, str]:
    """Path to SHA-256 of what an archive held, as it was unpacked; nothing where that is lost."""
    try:
        stored = json.loads((unpacked / "tree.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return dict(stored) if isinstance(stored, dict) else {}


def unpacked_is_whole(unpacked: Path) -> bool:
    """Whether an unpacked archive holds all that it held, and nothing else."""
    stored = unpacked_files(unpacked)
    return bool(stored) and stored == dict(_digests(unpacked / "tree"))


def seal(scratch: Path) -> None:
    """Notes the digests of `tree` in a folder that is about to become `unpacked`."""
    digests = dict(_digests(scratch / "tree"))
    (scratch / "tree.json").write_text(json.dumps(digests), encoding="utf-8")


def _digests(folder: Path) -> Iterator[tuple[str, str]]:
    for parent, below, names in os.walk(folder):
        for name in (*names, *(one for one in below if Path(parent, one).is_symlink())):
            path = Path(parent, name)
            digest = "link" if path.is_symlink() else sha256_of(path)
            yield path.relative_to(folder).as_posix(), digest


def free_space(root: Path) -> int:
    """Bytes that the disk of the cache has left."""
    return shutil.disk_usage(root).free
