"""The store of artifacts: content-addressed, shared by all sessions of a project.

A key says what was asked for: the model, the steps with their options, the versions of the
frameworks. Under a key lie variants, one for each state of the project's files that the build
read (see `building.project_code.Watch`). An entry appears whole or not at all.
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

from pydantic import BaseModel, ConfigDict, ValidationError

from pytest_perfgate.building.artifact_handle import Structure
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.files import digest_of

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
            `sources.Made`.
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
    """Links, and evaluations of what they end on, by key, below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "artifacts").mkdir(parents=True, exist_ok=True)
        (root / "locks").mkdir(exist_ok=True)

    @contextlib.contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Only one process at a time builds what `key` names; the others wait and then find it."""
        with (self.root / "locks" / f"{key}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def find(self, key: str, watch: Watch) -> Entry | None:
        """The entry of `key` whose build read the project's files as they are now."""
        folder = self.root / "artifacts" / key
        if not folder.is_dir():
            return None
        for variant in sorted(folder.iterdir()):
            try:
                stored = Stored.model_validate_json((variant / _ENTRY).read_bytes())
            except (OSError, ValidationError):
                continue  # of another version, or not an entry: it is built anew
            entry = Entry(variant, stored)
            if watch.unchanged(stored.files) and (entry.path is None or entry.path.exists()):
                return entry
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
        text = stored.model_dump_json(indent=1)
        (scratch / _ENTRY).write_text(text, encoding="utf-8")
        place = self.root / "artifacts" / key / digest_of(stored.files)[:16]
        place.parent.mkdir(exist_ok=True)
        shutil.rmtree(place, ignore_errors=True)
        scratch.replace(place)
        return Entry(place, stored)
