"""The store of artifacts: content-addressed, shared by all sessions of a project.

A key says what was asked for: the model, the steps with their options, the versions of the
frameworks. Under a key lie variants, one for each state of the project's files that the build
read (see `building.project_code.Watch`). An entry appears whole or not at all, and each of its
files is compared with its digest before it is used.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pytest_perfgate.building.artifact_handle import Structure
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.files import digest_files, digest_of, short_path

_ENTRY = "link.json"


class Stored(BaseModel):
    """What the store keeps of one link.

    Attributes:
        kind: of the artifact.
        file: the artifact's main file, relative to the entry's folder; "" when the model's own
            source is all there is.
        files: the project files that the build read, with their digests.
        model: what names the torch module that is built, "" for the suite's own.
        made: of a torch module whose weights are loaded, what its source makes it again from; see
            `sources.SourceModel`.
        contents: the files of the entry's folder, relative to it, with their digests.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    file: str
    effect: dict[str, Any]
    structures: tuple[Structure, ...]
    seconds: float
    files: dict[str, str]
    model: str = ""
    made: Any = None
    contents: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A link in the store: its folder and what is kept there."""

    folder: Path
    stored: Stored

    @property
    def path(self) -> Path | None:
        """The artifact's main file."""
        return self.folder / self.stored.file if self.stored.file else None


class ArtifactStore:
    """Links, and evaluations of what they end on, by key, below `root`.

    Attributes:
        damaged: a line for each entry that was found changed since it was stored.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.damaged: list[str] = []
        (root / "artifacts").mkdir(parents=True, exist_ok=True)
        (root / "locks").mkdir(exist_ok=True)

    @contextlib.contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Only one process at a time builds what `key` names; the others wait and then find it."""
        with (self.root / "locks" / f"{key}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def find(self, key: str, watch: Watch) -> Entry | None:
        """The entry of `key` whose build read the project's files as they are now; None for an
        entry whose own files are not those that were stored: it is built anew.
        """
        folder = self.root / "artifacts" / key
        if not folder.is_dir():
            return None
        for variant in sorted(folder.iterdir()):
            try:
                stored = Stored.model_validate_json((variant / _ENTRY).read_bytes())
            except (OSError, ValidationError):
                continue  # of another version, or not an entry: it is built anew
            entry = Entry(variant, stored)
            if not watch.unchanged(stored.files):
                continue
            changed = _changed(entry)
            if changed is None:
                return entry
            where = short_path(variant / changed, self.root)
            self.damaged.append(f"the cached file {where} was changed or cut: built anew")
        return None

    def training(self, key: str) -> Path:
        """The folder of an unfinished training of the link `key`; it need not exist."""
        return self.root / "training" / key

    def cache(self, step: str) -> Path:
        """The folder in which builds by a step keep what makes the next one faster."""
        folder = self.root / "caches" / step
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty folder on the store's file system, gone afterwards unless it was added."""
        folder = Path(tempfile.mkdtemp(prefix=".new-", dir=self.root / "artifacts"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def add(self, key: str, scratch: Path, stored: Stored) -> Entry:
        """Moves `scratch` into its place as an entry of `key`."""
        stored = stored.model_copy(update={"contents": _contents(scratch)})
        text = stored.model_dump_json(indent=1)
        (scratch / _ENTRY).write_text(text, encoding="utf-8")
        place = self.root / "artifacts" / key / digest_of(stored.files)[:16]
        place.parent.mkdir(exist_ok=True)
        shutil.rmtree(place, ignore_errors=True)
        scratch.replace(place)
        return Entry(place, stored)


def _contents(folder: Path) -> dict[str, str]:
    """The digest of each file below `folder` but for the entry's own description."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return {name: digest_files(folder, [name])[0] for name in sorted(names) if name != _ENTRY}


def _changed(entry: Entry) -> str | None:
    """The first file of an entry that is not as it was stored, None when all are."""
    contents = entry.stored.contents
    if entry.stored.file and entry.stored.file not in contents:
        return entry.stored.file  # of an earlier program, which kept no digests
    for name, digest in contents.items():
        file = entry.folder / name
        # A link could lead to a file that is changed after this look.
        if file.is_symlink() or not file.is_file():
            return name
        if digest_files(entry.folder, [name])[0] != digest:
            return name
    return None
