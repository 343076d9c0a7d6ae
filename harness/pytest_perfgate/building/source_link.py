"""The first link of a chain: the suite's model, as its source gives it, in the store.

It is made before any data is read, so that what this process has imported and opened by then is
what the model rests on.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_perfgate.artifact import ONNX, TORCH
from pytest_perfgate.building.artifact_cache import ArtifactStore, Entry, Stored
from pytest_perfgate.building.keys import source_key
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.building.source_model import MODEL, asked_of, make
from pytest_perfgate.errors import BuildError
from pytest_perfgate.files import digest_of
from pytest_perfgate.records.recipe import Recipe, StepSpec, Suite
from pytest_perfgate.records.recipe_record import Link
from pytest_perfgate.suite.fence import fence_of

WEIGHTS = "weights.safetensors"
_FILES_STAY = "files that stay as they are until the session ends"


@dataclass(frozen=True)
class Chain:
    """Where the links of a suite's chains are kept.

    Attributes:
        suite: the suite.
        store: the cache of built links.
        watch: notes the project's files that are read meanwhile.
    """

    suite: Suite
    store: ArtifactStore
    watch: Watch

    def link(
        self, key: str, name: str, options: dict[str, Any], make: Callable[[Path], Stored]
    ) -> tuple[Entry, Link]:
        """The link of `key`; `make` writes it into a folder where it is not in the store."""
        with self.store.lock(key):
            entry = self.store.find(key, self.watch)
            cached = entry is not None
            if entry is None:
                with self.store.scratch() as folder:
                    about = f"{self.suite.name}: {StepSpec(name, options)}"
                    entry = self.store.add(key, folder, make(folder), about=about)
        stored = entry.stored
        link = Link(
            step=name,
            options=options,
            effect=stored.effect,
            seconds=round(stored.seconds, 3),
            cached=cached,
            key=key,
            digest=digest_of(stored.contents),
        )
        return entry, link


@dataclass(frozen=True)
class FirstLinks:
    """What a chain begins with: the last entry of its first links, those, and the live torch
    module where this process has just made it, which a step may change.
    """

    entry: Entry
    lineage: tuple[Link, ...]
    module: Any


def first_links(suite: Suite, recipe: Recipe, store: ArtifactStore, watch: Watch) -> FirstLinks:
    """The links of a recipe that another machine has built, or the model of its suite.

    Raises:
        BuildError: as `source_link`, or what was sent is not as it was.
    """
    built = recipe.built
    if built is None:
        return source_link(suite, store, watch)
    return FirstLinks(store.brought(built.entry, built.seal), built.lineage, None)


def source_link(suite: Suite, store: ArtifactStore, watch: Watch) -> FirstLinks:
    """The model of a suite, from the store or made now.

    Raises:
        BuildError: a file of the model is gone, or has changed meanwhile.
    """
    key = _key(suite)
    model = _Model(suite, watch)
    entry, link = Chain(suite, store, watch).link(key, "model", {}, lambda at: model.make(key, at))
    return FirstLinks(entry, (link,), model.module)


def save(module: Any, folder: Path) -> None:
    """Writes the weights of a torch module."""
    from safetensors.torch import save_model

    save_model(module, str(folder / WEIGHTS), force_contiguous=True)


def _key(suite: Suite) -> str:
    """Of the model, by its files.

    Raises:
        BuildError: one of them is gone.
    """
    try:
        return source_key(suite)
    except FileNotFoundError as error:
        raise BuildError(
            "this file of the model was deleted or moved while the session ran",
            where=str(error.filename),
            valid=_FILES_STAY,
            next_step="put the file back, and run the session again",
        ) from error


class _Model:
    """The model that is made, and its live module once it is."""

    def __init__(self, suite: Suite, watch: Watch) -> None:
        self._suite, self._watch = suite, watch
        self.module: Any = None

    def make(self, key: str, folder: Path) -> Stored:
        """The model, stored under a `key` that rests on its files.

        Raises:
            BuildError: they are no longer those of the key, or are gone.
        """
        start = time.perf_counter()
        try:
            stored = self._read(folder)
        except FileNotFoundError:
            _key(self._suite)  # says so in words, where it is a file of the model
            raise
        if _key(self._suite) != key:
            raise BuildError(
                f"a file of the model {self._suite.model} changed while the session read it",
                where=MODEL,
                valid=_FILES_STAY,
                next_step="run the session again, when nothing writes the file any more",
            )
        return stored.model_copy(update={"seconds": time.perf_counter() - start})

    def _read(self, folder: Path) -> Stored:
        model = make(self._suite.model, fence_of(self._suite), MODEL, folder)
        effect = {"source": str(self._suite.model), **model.effect}
        stored = Stored(
            kind=TORCH, file=WEIGHTS, effect=effect, structures=(), seconds=0.0, files={}
        )
        if model.artifact.path is not None:
            name = self._copied(model.artifact.kind, model.artifact.path, folder)
            return stored.model_copy(update={"kind": model.artifact.kind, "file": name})
        self.module = model.artifact.module
        save(self.module, folder)
        effect["parameters"] = sum(p.numel() for p in self.module.parameters())
        files = self._watch.files()
        return stored.model_copy(update={"files": files, "made": model.structure})

    def _copied(self, kind: str, path: Path, folder: Path) -> str:
        """The name in `folder` of a model that is a file, with the files beside it."""
        if path.parent == folder:  # it was converted
            return path.name
        # A graph of ONNX names its side files; of the others they have the file's own name.
        name = f"model{path.suffix}" if kind == ONNX else path.name
        shutil.copyfile(path, folder / name)
        source, model, options = asked_of(self._suite.model)
        _, *beside = source.files(model, options, fence_of(self._suite))
        for file in beside:  # the graph names them relative to itself
            copy = folder / file.relative_to(path.parent)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        return name
