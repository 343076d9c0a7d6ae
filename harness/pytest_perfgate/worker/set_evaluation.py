"""The scores of a recipe on further validation sets, and the slices of their images."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pytest_perfgate.building.artifact_cache import ArtifactStore, Stored
from pytest_perfgate.building.artifact_handle import ArtifactHandle
from pytest_perfgate.building.keys import evaluation_key, slicing_key
from pytest_perfgate.building.opening import open_session
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.building.suite_data import DigestProgress, SuiteData
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.files import short_path
from pytest_perfgate.records.accuracy import Accuracy, Slicing
from pytest_perfgate.records.recipe import Recipe, SliceSpec, Suite, split_of
from pytest_perfgate.runtimes import InferenceSession
from pytest_perfgate.suite.fence import fence_of
from pytest_perfgate.suite.preloads import preloads
from pytest_perfgate.tasks import attributes
from pytest_perfgate.worker.loading import preload
from pytest_perfgate.worker.scoring import point_of, refuse_missing, refuse_void
from pytest_perfgate.workloads.frame_order import FrameRun, starts_of

_ACCURACY = "accuracy.json"
_PREDICTIONS = "predictions.npz"
_SLICES = "slices.json"


@dataclass(frozen=True)
class EvaluatedSet:
    """The scores on a set, and the file with the predictions."""

    accuracy: Accuracy
    predictions: Path


def evaluated_sets(
    suite: Suite,
    recipe: Recipe,
    artifact: ArtifactHandle,
    digest: str,
    store: ArtifactStore,
    watch: Watch,
    data: SuiteData,
    progress: DigestProgress,
) -> dict[str, EvaluatedSet]:
    """The scores of an artifact, whose files have a digest, on each set: from the store or from its
    images. Each set is stored by itself, so
    that one more evaluates no other anew. The session is opened once, for the first that needs it.
    """
    session: InferenceSession | None = None
    sets = {}
    try:
        for name in suite.sets:
            split = split_of(name)
            key = evaluation_key(suite, recipe, artifact, digest, data, split)
            with store.lock(key):
                entry = store.find(key, watch)
                if entry is None or entry.path is None:
                    if session is None:
                        preload(preloads(suite, recipe))
                        session = open_session(suite, recipe, artifact)
                    start = time.perf_counter()
                    accuracy, packed = _evaluate(data, session, name, progress)
                    with store.scratch() as folder:
                        np.savez(folder / _PREDICTIONS, **packed)
                        (folder / _ACCURACY).write_text(
                            accuracy.model_dump_json(), encoding="utf-8"
                        )
                        stored = Stored(
                            kind="set",
                            file=_ACCURACY,
                            effect={},
                            structures=(),
                            seconds=time.perf_counter() - start,
                            files=watch.files(),
                        )
                        about = f"{suite.name}: {recipe.name} on {name}"
                        entry = store.add(key, folder, stored, about=about)
            text = (entry.folder / _ACCURACY).read_bytes()
            accuracy = Accuracy.model_validate_json(text)
            sets[name] = EvaluatedSet(accuracy, entry.folder / _PREDICTIONS)
    finally:
        if session is not None:
            session.close()
    return sets


def _evaluate(
    data: SuiteData, session: InferenceSession, name: str, progress: DigestProgress
) -> tuple[Accuracy, dict[str, Any]]:
    """Scores on a set and its predictions as arrays."""
    images = data.split(split_of(name))
    start = time.perf_counter()
    run, starts = FrameRun(data.pipeline, session), starts_of(data.task, images)
    predictions: list[Any] = []
    total = len(images.images)
    for index in range(total):
        turn = run.step([np.array(images.images[index])], begins=int(index in starts))
        refuse_void(turn.outputs, index, name)
        predictions += turn.predictions
        progress(index + 1, total, f"accuracy on {name}")
    accuracy = data.task.evaluate(images, predictions).with_ratios(
        data.task.score_at(images, predictions, data.output), point_of(data.output)
    )
    refuse_missing(data, accuracy)
    seconds = round(time.perf_counter() - start, 3)
    return accuracy.model_copy(update={"seconds": seconds}), data.task.pack(predictions)


def slicings(
    suite: Suite, store: ArtifactStore, watch: Watch, data: SuiteData, progress: DigestProgress
) -> dict[str, Slicing]:
    """The slices of each name, from the store or from the images: the same for all recipes.

    Raises:
        DataError: an attribute or a column does not exist, or does not fit the images.
    """
    slices = {}
    for name, spec in suite.slices.items():
        where = f"{short_path(suite.file, suite.root)}: suite.slices.{name}"
        try:
            slices[name] = _slicing(suite, spec, store, watch, data, progress)
        except PerfgateError as error:
            raise error.at(where) from None
    return slices


def _slicing(
    suite: Suite,
    spec: SliceSpec,
    store: ArtifactStore,
    watch: Watch,
    data: SuiteData,
    progress: DigestProgress,
) -> Slicing:
    images = data.split(split_of(spec.sliced))
    file = fence_of(suite).place(spec.file) if spec.file else None
    if file is not None:
        return attributes.sliced(attributes.column(images, spec.by, file), spec)
    key = slicing_key(spec, images)
    with store.lock(key):
        entry = store.find(key, watch)
        if entry is None or entry.path is None:
            progress(0, 0, f"reading {spec.by} of images")
            start = time.perf_counter()
            slicing = attributes.sliced(attributes.attribute(images, spec.by), spec)
            with store.scratch() as folder:
                (folder / _SLICES).write_text(slicing.model_dump_json(), encoding="utf-8")
                stored = Stored(
                    kind="slices",
                    file=_SLICES,
                    effect={},
                    structures=(),
                    seconds=time.perf_counter() - start,
                    files=watch.files(),
                )
                entry = store.add(key, folder, stored, about=f"{suite.name}: slices by {spec.by}")
        return Slicing.model_validate_json((entry.folder / _SLICES).read_bytes())


def with_scopes(
    accuracy: Accuracy,
    sets: Mapping[str, EvaluatedSet],
    slices: Mapping[str, Slicing],
    specs: Mapping[str, SliceSpec],
) -> Accuracy:
    """The evaluation of the validation images with those of the sets, and the slices of each."""
    evaluations = {"": accuracy, **{name: one.accuracy for name, one in sets.items()}}
    for name, slicing in slices.items():
        place = specs[name].sliced
        whole = evaluations[place]
        evaluations[place] = whole.model_copy(update={"slices": {**whole.slices, name: slicing}})
    own = evaluations.pop("")
    return own.model_copy(update={"sets": evaluations})
