"""The store of artifacts: content-addressed, shared by all sessions of a project.

A key says what was asked for: the model, the steps with their options, the versions of the
frameworks. Under a key lie variants, one for each state of the project's files that the build
read (see `building.project_code.Watch`). An entry appears whole or not at all, and each of its
files is compared with its digest before it is used. No part of an entry is a link: what a link
leads to could change after it was compared.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pytest_perfgate.building.artifact_handle import Structure
from pytest_perfgate.building.imported_packages import unchanged
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.errors import BuildError
from pytest_perfgate.files import digest_files, digest_of
from pytest_perfgate.machine.cache_folders import FOLDER_MODE, locked, no_link, own_folder, remove

ENTRY, _SEAL = "link.json", "link.sha256"
DESCRIPTION = frozenset({ENTRY, _SEAL})
"""Files of an entry that describe it, and are no part of the artifact."""


class Stored(BaseModel):
    """What the store keeps of one link.

    Attributes:
        kind: of the artifact.
        file: the artifact's main file, relative to the entry's folder; "" when the model's own
            source is all there is.
        files: the project files that the build read, with their digests.
        packages: installed packages that the project's code ran, with their versions.
        beside: what else it read, whose change does not make it anew (`Watch.beside`); None: not
            known, of an entry of before.
        model: what names the torch module that is built, "" for the suite's own.
        made: of a torch module whose weights are loaded, what its source makes it again from; see
            `sources.SourceModel`.
        contents: the files of the entry's folder, relative to it, with their digests.
        about: what it is, for people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    file: str
    effect: dict[str, Any]
    structures: tuple[Structure, ...]
    seconds: float
    files: dict[str, str]
    packages: dict[str, str] = Field(default_factory=dict)
    beside: dict[str, str] | None = None
    model: str = ""
    made: Any = None
    contents: dict[str, str] = Field(default_factory=dict)
    about: str = ""


@dataclass(frozen=True)
class Entry:
    """A link in the store: its folder and what is kept there."""

    folder: Path
    stored: Stored

    @property
    def path(self) -> Path | None:
        """The artifact's main file."""
        return self.folder / self.stored.file if self.stored.file else None

    @property
    def seal(self) -> str:
        """The digest of its description, which has the digest of each of its files."""
        return (self.folder / _SEAL).read_text(encoding="ascii")


class ArtifactStore:
    """Links, and evaluations of what they end on, by key, below `root`.

    Attributes:
        damaged: a line for each entry that was found changed since it was stored.
        read: what the builds of all entries that were found or added have read, with digests; None
            where one of them does not say.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.damaged: list[str] = []
        self.read: dict[str, str] | None = {}
        self._watch: Watch | None = None
        root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        for name in ("artifacts", "locks", "caches", "training", "runtime"):
            _refuse_link(root / name)
            (root / name).mkdir(mode=FOLDER_MODE, exist_ok=True)

    @contextlib.contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Only one process at a time builds what `key` names; the others wait and then find it."""
        with locked(self.root, key, wait=True):
            yield

    def find(self, key: str, watch: Watch) -> Entry | None:
        """The entry of `key` whose build read the project's files as they are now; None for an
        entry whose own files are not those that were stored: it is built anew.

        Called with the lock of `key`: its use is noted, so that nobody removes it meanwhile.
        """
        self._watch = watch
        folder = self.artifacts / key
        if folder.is_symlink():
            self._drop(folder, "")
        if not folder.is_dir():
            watch.listen()
            return None
        for variant in sorted(folder.iterdir()):
            try:
                entry = described(variant)
                if entry is None or not watch.unchanged(entry.stored.files):
                    continue
                if not unchanged(entry.stored.packages):
                    continue
                refuse_changed(entry)
            except Damaged as damage:
                self._drop(variant, damage.name)
                continue
            with contextlib.suppress(OSError):  # of another user, and then not ours to remove
                os.utime(variant / ENTRY)
            self._note(entry.stored)
            return entry
        watch.listen()
        return None

    def brought(self, folder: Path, seal: str) -> Entry:
        """An entry that another machine has built and sent; `seal` is the one that it has there.

        Raises:
            BuildError: it is not as it was sent.
        """
        problem = "its description is another"
        try:
            entry = described(folder)
            if entry is not None and entry.seal == seal:
                refuse_changed(entry)
                self._note(entry.stored)
                return entry
        except Damaged as damage:
            problem = f"its file {damage.name} has changed"
        except OSError as error:
            problem = f"{error.filename}: {error.strerror}"
        raise BuildError(
            f"the artifact {folder.parent.name[:16]} is not the one that was sent: {problem}",
            where=str(folder),
            valid=f"the artifact with the seal {seal[:16]}",
            next_step="run the session again, which sends it anew",
        )

    def _note(self, stored: Stored) -> None:
        """Adds what the build of an entry has read."""
        if self.read is not None:
            beside = stored.beside
            self.read = None if beside is None else {**self.read, **stored.files, **beside}

    def _drop(self, folder: Path, changed: str) -> None:
        """Removes an entry that cannot be used, so that the next session does not say it again."""
        where = (folder / changed).relative_to(self.root).as_posix()
        self.damaged.append(f"the cached file {where} was damaged; it was built again")
        remove(folder)

    @property
    def artifacts(self) -> Path:
        """The folder of all entries, each below its key's."""
        return self.root / "artifacts"

    def training(self, key: str) -> Path:
        """The folder of an unfinished training of the link `key`; it need not exist."""
        return no_link(self.root / "training" / key)

    def compiled(self, key: str) -> Path:
        """The folder of what a runtime compiles in the evaluation `key`; it need not exist."""
        return no_link(self.root / "runtime" / key[:16])

    def cache(self, step: str) -> Path:
        """The folder in which builds by a step keep what makes the next one faster."""
        return own_folder(self.root / "caches" / step)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty folder on the store's file system, gone afterwards unless it was added."""
        folder = Path(tempfile.mkdtemp(prefix=".new-", dir=self.artifacts))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def add(self, key: str, scratch: Path, stored: Stored, *, about: str = "") -> Entry:
        """Moves `scratch` into its place as an entry of `key`."""
        found = {"contents": _contents(scratch), "about": about}
        if self._watch is not None:
            found["beside"] = self._watch.beside()
            if stored.files:  # elsewhere the key has all of it
                found["packages"] = {**stored.packages, **self._watch.packages()}
        stored = stored.model_copy(update=found)
        self._note(stored)
        text = stored.model_dump_json(indent=1).encode()
        (scratch / ENTRY).write_bytes(text)
        (scratch / _SEAL).write_text(hashlib.sha256(text).hexdigest(), encoding="ascii")
        place = own_folder(self.artifacts / key) / _variant(stored)
        if place.is_symlink() or place.exists():
            remove(place)
        scratch.replace(place)
        return Entry(place, stored)


def _variant(stored: Stored) -> str:
    """The folder of an entry below its key's."""
    return digest_of([stored.files, stored.packages])[:16]


def _refuse_link(folder: Path) -> None:
    """Check that a folder of the cache is no link, which somebody made on purpose.

    Raises:
        BuildError: it is one.
    """
    if folder.is_symlink():
        raise BuildError(
            "a link inside the cache leads elsewhere",
            where=str(folder),
            valid="a folder; the cache as a whole may be a link",
            next_step=f"rm {folder}, or name the other disk: --perf-cache=DIR",
        )


class Damaged(Exception):
    """An entry is not as it was stored: the name of its first file that is not."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def described(folder: Path) -> Entry | None:
    """The entry in a folder; None: there is none, or one of another version of this program.

    Raises:
        Damaged: its description is not as it was stored.
        OSError: it cannot be read.
    """
    if folder.is_symlink():
        raise Damaged("")
    if not folder.is_dir() or folder.name.startswith("."):
        return None
    for name in DESCRIPTION:
        if (folder / name).is_symlink():
            raise Damaged(name)
    if not (folder / ENTRY).is_file():
        raise Damaged(ENTRY)
    if not (folder / _SEAL).is_file():  # of an earlier program
        return None
    text, seal = (folder / ENTRY).read_bytes(), (folder / _SEAL).read_bytes()
    if hashlib.sha256(text).hexdigest().encode() != seal:
        raise Damaged(ENTRY)
    try:
        return Entry(folder, Stored.model_validate_json(text))
    except ValidationError:
        return None


def refuse_changed(entry: Entry) -> None:
    """Compares every file of an entry with its digest.

    Raises:
        Damaged: one was changed, added, taken away, or replaced by a link.
        OSError: one cannot be read.
    """
    contents = entry.stored.contents
    names = set(_names(entry.folder)) - DESCRIPTION
    main = {entry.stored.file} - {""} - contents.keys()
    for name in sorted(names.symmetric_difference(contents) | main):
        raise Damaged(name)
    for name, digest in contents.items():
        file = entry.folder / name
        if file.is_symlink() or digest_files(entry.folder, [name])[0] != digest:
            raise Damaged(name)


def _contents(folder: Path) -> dict[str, str]:
    """The digest of each file below `folder` but for the entry's own description."""
    return {
        name: digest_files(folder, [name])[0] for name in _names(folder) if name not in DESCRIPTION
    }


def _names(folder: Path) -> list[str]:
    """All files and links below a folder, relative to it."""
    paths = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    return sorted(path.relative_to(folder).as_posix() for path in paths)
