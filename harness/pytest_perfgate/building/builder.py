"""Builds a recipe's artifact link by link, in a worker: each link proven, and cached."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, TORCH, Artifact, OptionsModel
from pytest_perfgate.building.artifact_cache import DESCRIPTION, ArtifactStore, Entry, Stored
from pytest_perfgate.building.artifact_handle import ArtifactHandle, Structure
from pytest_perfgate.building.keys import step_key
from pytest_perfgate.building.link_files import link_files
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.building.source_link import WEIGHTS, Chain, FirstLinks, save, source_link
from pytest_perfgate.building.source_model import MODEL, asked_of
from pytest_perfgate.building.step_context import StepSetting
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.building.training_ranks import RankOrder, started
from pytest_perfgate.errors import BuildError, PerfgateError
from pytest_perfgate.files import digest_files
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.machine.fingerprint import this_machine
from pytest_perfgate.records.build_messages import LinksBuilt
from pytest_perfgate.records.built_links import BuiltLinks
from pytest_perfgate.records.recipe import ModelSpec, Recipe, StepSpec, Suite
from pytest_perfgate.records.recipe_record import ArtifactInfo, Link
from pytest_perfgate.registry import resolve
from pytest_perfgate.steps import Step
from pytest_perfgate.steps.training_checkpoints import Checkpoints
from pytest_perfgate.steps.training_options import TrainingOptions
from pytest_perfgate.steps.training_peers import Peers
from pytest_perfgate.suite.portable_steps import portable_steps

CHECKPOINT_SECONDS = 30.0  # between two of a step whose options do not say it


@dataclass(frozen=True)
class BuildRequest:
    """What a build is of, where it keeps its links, and where it shows progress.

    Attributes:
        suite, recipe: the recipe and the suite that it is in.
        store: the cache of built links.
        watch: notes the project's files that are read meanwhile.
        data: the suite's splits.
        progress: `progress(done, total, note)` shows progress.
        first: what the chain begins with, where it is there already; a build may change its module.
    """

    suite: Suite
    recipe: Recipe
    store: ArtifactStore
    watch: Watch
    data: SuiteData
    progress: Callable[[int, int, str], None]
    first: FirstLinks | None = None


@dataclass(frozen=True)
class Built:
    """A built recipe: where its artifact is, what it is, and how it came about.

    From `artifact`, `load` opens it in any process; `files` are the project's that its links read
    when they were built, with their digests.
    """

    artifact: ArtifactHandle
    info: ArtifactInfo
    lineage: tuple[Link, ...]
    files: Mapping[str, str]


def build(request: BuildRequest) -> Built:
    """The artifact of a recipe; links that the store holds are not built again.

    Raises:
        BuildError: a step could not be applied, or had no effect.
    """
    _refuse_ranges(request.recipe)
    return _Chain(request).build()


def build_portable(request: BuildRequest) -> LinksBuilt:
    """The links of a recipe that are the same on every machine, up to the first that is not.

    Raises:
        BuildError: as `build`.
    """
    _refuse_ranges(request.recipe)
    entry, lineage = _Chain(request).links(portable_steps(request.recipe))
    here = this_machine().id
    return LinksBuilt(
        BuiltLinks(
            lineage=tuple(link.model_copy(update={"machine": here}) for link in lineage),
            kind=entry.stored.kind,
            entry=entry.folder.relative_to(request.store.artifacts),
            seal=entry.seal,
        ),
        dict(entry.stored.files),
        tuple(request.store.damaged),
    )


def _refuse_ranges(recipe: Recipe) -> None:
    if recipe.search is not None:  # its values are the first of each range, no choice
        raise BuildError(
            f"the search for values of {recipe.name!r} is not finished",
            next_step="pytest --perf --perf-search",
        )


def load(artifact: ArtifactHandle) -> Artifact:
    """A built artifact, opened in this process."""
    if artifact.kind != TORCH:
        return Artifact(artifact.kind, path=artifact.path)
    source, name, options = asked_of(artifact.model)
    module = source.restore(name, options, artifact.made or {}, lambda path: resolve(path, MODEL))
    for structure in artifact.structures:
        step: Step = registry.find(registry.STEPS, structure.step)
        step_options = step.Options.model_validate(structure.options)
        module = step.restore(module, structure.data, step_options)
    if (artifact.structures or artifact.made is not None) and artifact.path is not None:
        from safetensors.torch import load_model

        load_model(module, artifact.path)
    return Artifact(TORCH, module=module.eval())


class _Chain:
    """One build: the links so far, and the live module when there is one."""

    def __init__(self, request: BuildRequest) -> None:
        self._suite, self._recipe, self._data = request.suite, request.recipe, request.data
        self._store, self._watch, self._progress = request.store, request.watch, request.progress
        self._chain = Chain(self._suite, self._store, self._watch)
        self._first = request.first or source_link(self._suite, self._store, self._watch)
        # Of the last link, while it is known to be up to date
        self._module: Any = self._first.module

    def build(self) -> Built:
        entry, lineage = self.links(len(self._recipe.chain))
        return Built(self._handle(entry), self._info(entry), tuple(lineage), entry.stored.files)

    def links(self, steps: int) -> tuple[Entry, list[Link]]:
        """The last entry of the first `steps` steps of the chain, and all links up to there."""
        entry, lineage = self._first.entry, list(self._first.lineage)
        link = lineage[-1]
        for spec in self._recipe.chain[len(lineage) - 1 : steps]:
            step: Step = registry.find(registry.STEPS, spec.name)
            options = step.Options.model_validate(dict(spec.options))
            with self._watch.reading_data():
                before, key = entry, step_key(link.key, step, options, self._suite, self._data)
            files = partial(self._files, before)
            checkpoints = (
                self._checkpoints(key, files, options) if step.trains_with(options) else None
            )
            entry, link = self._chain.link(
                key,
                spec.name,
                options.model_dump(mode="json"),
                lambda folder, s=step, o=options, e=before, p=spec, c=checkpoints: self._apply(  # type: ignore[misc]
                    s, o, e, folder, p, c
                ),  # mypy cannot infer a lambda's defaults
            )
            if link.cached:
                self._module = None
            if checkpoints is not None:
                checkpoints.delete()
            step.prove(link.effect, options)
            lineage.append(link)
        return entry, lineage

    def _files(self, before: Entry) -> dict[str, str]:
        """The project's files that a link rests on, with their digests."""
        return {**before.stored.files, **link_files(self._watch, self._suite)}

    def _example(self, count: int) -> Inputs:
        """Of it the step sees the shape, which is in its key, and what networks compute of it."""
        with self._watch.reading_data():
            return self._data.example(count)

    def _checkpoints(
        self, key: str, files: Callable[[], dict[str, str]], options: OptionsModel
    ) -> Checkpoints:
        """Those of the link `key`; a changed file of the project makes them another training's."""
        return Checkpoints(
            folder=self._store.training(key),
            files=files,
            unchanged=self._watch.unchanged,
            every=(
                options.checkpoint_seconds
                if isinstance(options, TrainingOptions)
                else CHECKPOINT_SECONDS
            ),
        )

    def _apply(
        self,
        step: Step,
        options: OptionsModel,
        before: Entry,
        folder: Path,
        spec: StepSpec,
        checkpoints: Checkpoints | None,
    ) -> Stored:
        self._progress(0, 0, f"{spec.name} …")
        start = time.perf_counter()
        setting = StepSetting(self._suite, self._store, self._data, self._progress)
        context = setting.context(step, options, lambda: self._open(before), folder, checkpoints)
        try:
            with self._peers(spec, options, before, checkpoints) as peers:
                context = replace(context, peers=peers, example=self._example)
                applied = step.apply(self._open(before), options, context)
        except PerfgateError:
            raise
        except Exception as error:
            raise BuildError(
                f"step {spec} could not be applied: {type(error).__name__}: {error}"
            ) from error
        effect = dict(applied.effect)
        step.prove(effect, options)
        structures, model = before.stored.structures, before.stored.model
        made = before.stored.made
        if applied.model:
            structures, model, made = (), applied.model, None
        if applied.artifact.kind == TORCH:
            self._module = applied.artifact.module.eval()
            structures += (
                Structure(
                    step=spec.name, options=options.model_dump(mode="json"), data=applied.structure
                ),
            )
            save(self._module, folder)
            name = WEIGHTS
        else:
            self._module = None
            if applied.artifact.path is None or applied.artifact.path.parent != folder:
                raise BuildError(f"step {spec.name!r} wrote no file into its folder")
            name = applied.artifact.path.name
            structures = ()
        files = self._files(before)
        return self._stored(
            applied.artifact.kind, name, effect, structures, start, files, model, made
        ).model_copy(update={"packages": before.stored.packages})

    def _peers(
        self, spec: StepSpec, options: OptionsModel, before: Entry, checkpoints: Checkpoints | None
    ) -> contextlib.AbstractContextManager[Peers | None]:
        """The processes that a step trains with; None for one that trains alone, or not at all."""
        count = options.processes if isinstance(options, TrainingOptions) else 1
        if count == 1 or checkpoints is None:
            return contextlib.nullcontext()
        self._progress(0, 0, f"{spec.name}: starting {count} processes")
        return started(
            RankOrder(
                suite=self._suite,
                step=spec,
                before=self._handle(before),
                cache=self._store.root,
                checkpoints=checkpoints.folder,
                rendezvous=Path(),
                rank=0,
                size=count,
                fold=self._data.fold,
            )
        )

    def _open(self, entry: Entry) -> Artifact:
        if entry.stored.kind == TORCH and self._module is not None:
            return Artifact(TORCH, module=self._module)
        return load(self._handle(entry))

    @staticmethod
    def _stored(
        kind: str,
        file: str,
        effect: dict[str, Any],
        structures: tuple[Structure, ...],
        start: float,
        files: dict[str, str],
        model: str = "",
        made: Any = None,
    ) -> Stored:
        return Stored(
            kind=kind,
            file=file,
            effect=effect,
            structures=structures,
            seconds=time.perf_counter() - start,
            files=files,
            model=model,
            made=made,
        )

    def _handle(self, entry: Entry) -> ArtifactHandle:
        stored = entry.stored
        return ArtifactHandle(
            kind=stored.kind,
            path=entry.path,
            model=ModelSpec(stored.model) if stored.model else self._suite.model,
            made=stored.made,
            structures=stored.structures,
        )

    @staticmethod
    def _info(entry: Entry) -> ArtifactInfo:
        names = list(_deployed(entry))
        digest, sizes = digest_files(entry.folder, names)
        return ArtifactInfo(
            kind=entry.stored.kind, digest=digest, size=sum(sizes.values()), files=sizes
        )


def _deployed(entry: Entry) -> Iterator[str]:
    # Weights of an ONNX graph may be in folders below it; other kinds keep notes there.
    for file in entry.folder.rglob("*") if entry.stored.kind == ONNX else entry.folder.iterdir():
        if file.is_file() and file.name not in DESCRIPTION:
            yield file.relative_to(entry.folder).as_posix()
