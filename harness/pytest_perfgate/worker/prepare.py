"""The "prepare" job: builds one recipe and evaluates its accuracy, in a worker of its own."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from pytest_perfgate.building import runtime_check, tflite_check
from pytest_perfgate.building.artifact_cache import ArtifactStore, Stored
from pytest_perfgate.building.artifact_handle import ArtifactHandle
from pytest_perfgate.building.builder import BuildRequest, Built, build
from pytest_perfgate.building.keys import counts_key, data_keys, evaluation_key, trial_key
from pytest_perfgate.building.near_duplicates import Likeness
from pytest_perfgate.building.opening import context_of, open_session
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.building.source_link import first_links
from pytest_perfgate.building.suite_data import DigestProgress, SuiteData, splits_used
from pytest_perfgate.files import replacing
from pytest_perfgate.records.accuracy import Accuracy, Doubt
from pytest_perfgate.records.recipe import VALIDATION, Recipe, Suite, split_of
from pytest_perfgate.runtimes import InferenceSession
from pytest_perfgate.suite.preloads import preloads
from pytest_perfgate.worker import counting
from pytest_perfgate.worker.corrupted_evaluation import CleanEvaluation, with_corrupted
from pytest_perfgate.worker.failures import failure
from pytest_perfgate.worker.folds import cross_validated
from pytest_perfgate.worker.input_statistics import InputStatistics
from pytest_perfgate.worker.loading import preload
from pytest_perfgate.worker.protocol import Prepared, PrepareJob, Send
from pytest_perfgate.worker.reference_check import below_minimum, doubt_by_trial, doubt_of
from pytest_perfgate.worker.reference_trial import Trial
from pytest_perfgate.worker.scoring import point_of, refuse_missing, refuse_void
from pytest_perfgate.worker.set_evaluation import evaluated_sets, slicings, with_scopes
from pytest_perfgate.worker.sparse_progress import SparseProgress
from pytest_perfgate.worker.stored_counts import Place, stored_counts
from pytest_perfgate.workloads.evaluated_outputs import (
    EvaluatedOutputs,
    OutputRecorder,
    digest_predictions,
)
from pytest_perfgate.workloads.frame_order import FrameRun, starts_of
from pytest_perfgate.workloads.varied_images import VariedImages

_FEWEST_IMAGES, _MOST_IMAGES = 24, 64
"""Validation images that every arm cycles through: a change that slows down one image in twenty has
one among 64 in 96 of 100 suites, and among 24 in 71."""
_IMAGE_BYTES = 96 << 20  # of them, beyond the fewest: every launch reads them
_FRAMES, _STRETCH = 36, 12  # frames that every arm cycles through, and those of one sequence
_EVALUATION = "evaluation.json"
_TRIAL = "trial.json"
_TRYING = "trying other options of input and output"
_PREDICTIONS = "predictions.npz"
_OUTPUTS = "outputs.npz"
_VARIATION = 682  # the one that is tried: it flips half of the rows that are ever flipped
_REPEATS = 3  # images that are inferred again, and varied, to learn how outputs repeat


def prepare(job: PrepareJob, send: Send) -> None:
    """Builds and evaluates a recipe; sends `WorkProgress`, then `Prepared`, or `Failed` with the
    stage that failed.
    """
    suite = job.suite
    recipe = suite.recipes[job.recipe]
    progress = SparseProgress(send)
    stage = "build"
    try:
        watch, store = Watch(suite.root, job.cache, progress), ArtifactStore(job.cache)
        first = first_links(suite, recipe, store, watch)
        near = []
        with watch.reading_data():
            data = SuiteData(suite, progress)
            for split in splits_used(recipe):
                progress(0, 0, f"comparing {split} with validation images")
                data.refuse_leak(split)
                likeness = Likeness(suite, data, store, watch, progress)
                near += [
                    likeness.compare(split, judged) for judged in map(split_of, ("", *suite.sets))
                ]
            data.refuse_other_classes()
            slices = slicings(suite, store, watch, data, progress)
        built = build(BuildRequest(suite, recipe, store, watch, data, progress, first))
        stage = "evaluate"
        evaluated = _evaluation(suite, recipe, built, store, watch, data, progress)
        evaluated = _tried(suite, recipe, evaluated, store, watch, data, progress)
        clean = CleanEvaluation(
            suite, recipe, evaluated.artifact, evaluated.evaluation.accuracy, evaluated.key
        )
        accuracy = with_corrupted(clean, store, watch, data, progress)
        folds = cross_validated(
            BuildRequest(suite, recipe, store, watch, data, progress),
            built,
            lambda model, fold, note: (
                _evaluation(suite, recipe, model, store, watch, fold, note).evaluation.accuracy
            ),
        )
        sets = evaluated_sets(
            suite, recipe, evaluated.artifact, built.info.digest, store, watch, data, progress
        )
        key = counts_key(evaluated.key, counting.tools(heap=job.allocations))
        counts = stored_counts(
            Place(store, key, watch, f"{suite.name}: {recipe.name}, counts"),
            lambda: _opened(suite, recipe, evaluated.artifact),
            data,
            heap=job.allocations,
        )
        _write_images(data, job.images)
        data_digests = data_keys(suite, splits_used(recipe), data)
        files = watch.files()
    except Exception as error:  # noqa: BLE001 - whatever a step raises ends this recipe only
        send(failure(error, stage))
        return
    send(
        Prepared(
            artifact=evaluated.artifact,
            info=built.info,
            lineage=built.lineage,
            accuracy=with_scopes(accuracy, sets, slices, suite.slices),
            facts=evaluated.evaluation.facts,
            load_time_cold=evaluated.evaluation.load_time_cold,
            predictions=evaluated.predictions,
            outputs=evaluated.outputs,
            files={**built.files, **files},
            read=None if store.read is None else {**store.read, **watch.beside(), **files},
            data=data_digests,
            counts=counts,
            notes=tuple(store.damaged),
            near_duplicates=tuple(near),
            folds=folds,
            set_predictions={name: one.predictions for name, one in sets.items()},
        )
    )


class _Evaluation(BaseModel):
    """What the store keeps of an evaluation: it is the same as long as all that it read is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    accuracy: Accuracy
    facts: dict[str, Any]
    load_time_cold: float
    tried: bool  # whether other options of a reference's input and output were tried


@dataclass(frozen=True)
class _Evaluated:
    """An evaluation, its key and folder, and the artifact that an arm will open."""

    evaluation: _Evaluation
    key: str
    folder: Path
    artifact: ArtifactHandle

    @property
    def predictions(self) -> Path:
        """The file with the predictions."""
        return self.folder / _PREDICTIONS

    @property
    def outputs(self) -> Path:
        """The file with outputs of the images that arms cycle through."""
        return self.folder / _OUTPUTS


def _evaluation(
    suite: Suite,
    recipe: Recipe,
    built: Built,
    store: ArtifactStore,
    watch: Watch,
    data: SuiteData,
    progress: DigestProgress,
) -> _Evaluated:
    """Accuracy from the store, or from all validation images when anything it rests on changed."""
    key = evaluation_key(suite, recipe, built.artifact, built.info.digest, data)
    # What the runtime compiles during the evaluation is there for the arms of the same artifact.
    artifact = replace(built.artifact, compiled=store.compiled(key))
    with store.lock(key):
        entry = store.find(key, watch)
        if entry is not None and entry.path is not None:
            known = _Evaluation.model_validate_json(entry.path.read_bytes())
            return _Evaluated(known, key, entry.folder, artifact)
        start = time.perf_counter()
        evaluation, packed, outputs = _evaluate(suite, recipe, artifact, data, progress)
        with store.scratch() as folder:
            np.savez(folder / _PREDICTIONS, **packed)
            outputs.write(folder / _OUTPUTS)
            (folder / _EVALUATION).write_text(evaluation.model_dump_json(), encoding="utf-8")
            stored = Stored(
                kind="evaluation",
                file=_EVALUATION,
                effect={},
                structures=(),
                seconds=time.perf_counter() - start,
                files=watch.files(),
            )
            entry = store.add(key, folder, stored, about=f"{suite.name}: {recipe.name}")
        return _Evaluated(evaluation, key, entry.folder, artifact)


class _Trial(BaseModel):
    """What the store keeps of a trial of other options."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    doubt: Doubt | None


def _tried(
    suite: Suite,
    recipe: Recipe,
    evaluated: _Evaluated,
    store: ArtifactStore,
    watch: Watch,
    data: SuiteData,
    progress: DigestProgress,
) -> _Evaluated:
    """The evaluation of a reference below a limit of its own, with the doubt from a trial of other
    options. It is stored by itself: a changed limit evaluates nothing anew.
    """
    evaluation = evaluated.evaluation
    if not recipe.is_reference or evaluation.tried or evaluation.accuracy.doubt is not None:
        return evaluated
    if not below_minimum(data, recipe, evaluation.accuracy):
        return evaluated
    key = trial_key(evaluated.key)
    with store.lock(key):
        entry = store.find(key, watch)
        if entry is None or entry.path is None:
            start = time.perf_counter()
            session = _opened(suite, recipe, evaluated.artifact)
            try:
                images = evaluation.accuracy.images
                trial = Trial(data, session, images, lambda: progress(0, 0, _TRYING))
                result = _Trial(doubt=doubt_by_trial(trial))
            finally:
                session.close()
            with store.scratch() as folder:
                (folder / _TRIAL).write_text(result.model_dump_json(), encoding="utf-8")
                stored = Stored(
                    kind="trial",
                    file=_TRIAL,
                    effect={},
                    structures=(),
                    seconds=time.perf_counter() - start,
                    files=watch.files(),
                )
                about = f"{suite.name}: {recipe.name}, other options"
                entry = store.add(key, folder, stored, about=about)
        result = _Trial.model_validate_json((entry.folder / _TRIAL).read_bytes())
    accuracy = evaluation.accuracy.model_copy(update={"doubt": result.doubt})
    return replace(evaluated, evaluation=evaluation.model_copy(update={"accuracy": accuracy}))


def _write_images(data: SuiteData, file: Path) -> None:
    """Some decoded validation images, for arms to cycle through: whole, or not at all."""
    if file.exists():
        return
    with replacing(file) as part, part.open("xb") as out:
        np.savez(out, *data.images(VALIDATION, _chosen(data)))


def _chosen(data: SuiteData) -> list[int]:
    """The validation images that arms cycle through, by their indices; of a task of sequences the
    first frames of some of them.
    """
    validation = data.split(VALIDATION)
    total, drawn = len(validation.images), random.Random(0)  # noqa: S311 - no secret
    if not data.task.in_order:
        size = max(1, np.array(validation.images[0]).nbytes)
        count = min(_MOST_IMAGES, max(_FEWEST_IMAGES, _IMAGE_BYTES // size), total)
        return sorted(drawn.sample(range(total), count))
    length = _length(data)
    starts = sorted(starts_of(data.task, validation))
    long = [
        start
        for start, frames in zip(starts, validation.sequences, strict=True)
        if frames >= length
    ]
    chosen = sorted(drawn.sample(long, min(max(1, _FRAMES // length), len(long))))
    return [start + frame for start in chosen for frame in range(length)]


def _length(data: SuiteData) -> int:
    """Frames of each of the sequences that arms cycle through; 0: images stand alone."""
    if not data.task.in_order:
        return 0
    longest: int = max(data.split(VALIDATION).sequences)
    return min(_STRETCH, longest)


def _evaluate(
    suite: Suite,
    recipe: Recipe,
    artifact: ArtifactHandle,
    data: SuiteData,
    progress: DigestProgress,
) -> tuple[_Evaluation, dict[str, Any], EvaluatedOutputs]:
    session, cold = _open_cold(suite, recipe, artifact, data)
    start = time.perf_counter()
    try:
        progress(0, 0, "comparing with another runtime")
        terms = context_of(suite, artifact)
        compared = {
            runtime_check.FACT: runtime_check.check_runtime(recipe, artifact, session, terms, data),
            tflite_check.FACT: tflite_check.check_tflite(recipe, artifact, session, terms, data),
        }
        validation = data.split(VALIDATION)
        predictions: list[Any] = []
        recorder, chosen = OutputRecorder(_length(data)), _chosen(data)
        inputs = InputStatistics()
        run, starts = FrameRun(data.pipeline, session), starts_of(data.task, validation)
        total = len(validation.images)
        for index in range(total):
            image = np.array(validation.images[index])
            inputs.add(image)
            turn = run.step([image], begins=int(index in starts))
            refuse_void(turn.outputs, index)
            if index in chosen:
                packed = data.task.pack(turn.predictions)
                recorder.add(index, turn.outputs, digest_predictions(packed))
            predictions += turn.predictions
            progress(index + 1, total, "accuracy")
        _repeat(data, session, recorder, chosen)
        facts = session.facts | {name: fact for name, fact in compared.items() if fact is not None}
        accuracy = data.task.evaluate(validation, predictions).with_ratios(
            data.task.score_at(validation, predictions, data.output), point_of(data.output)
        )
        tried = False
        if recipe.is_reference:
            doubt, tried = doubt_of(
                data, session, predictions, accuracy, lambda: progress(0, 0, _TRYING)
            )
            accuracy = accuracy.model_copy(update={"doubt": doubt})
    finally:
        session.close()
    refuse_missing(data, accuracy)
    seconds = round(time.perf_counter() - start, 3)
    accuracy = accuracy.model_copy(update={"seconds": seconds, "inputs": inputs.sketches()})
    evaluation = _Evaluation(accuracy=accuracy, facts=facts, load_time_cold=cold, tried=tried)
    return evaluation, data.task.pack(predictions), recorder.finish()


def _repeat(
    data: SuiteData, session: InferenceSession, recorder: OutputRecorder, chosen: Sequence[int]
) -> None:
    """Infers some images again, and variations of them: how far outputs differ then is how far
    timed ones may. All of the images, where the first ones differ.
    """
    spread = 0.0
    starts = starts_of(data.task, data.split(VALIDATION))
    plain, varied = (FrameRun(data.pipeline, session) for _ in range(2))
    for number, index in enumerate(chosen):
        if number >= _REPEATS and not spread:
            return
        images = VariedImages(data.images(VALIDATION, [index]))
        if index in starts:
            plain.begin()
            varied.begin()
        inputs, _ = plain.prepare([images.varied(0, 0)])
        spread = max(spread, recorder.repeat(number, plain.infer(inputs)))
        if number < _REPEATS:
            inputs, _ = varied.prepare([images.varied(0, _VARIATION)])
            recorder.vary(number, varied.infer(inputs))


def _open_cold(
    suite: Suite, recipe: Recipe, artifact: ArtifactHandle, data: SuiteData
) -> tuple[InferenceSession, float]:
    """A session after its first inference, and the seconds from nothing to there."""
    preload(preloads(suite, recipe))
    inputs = data.example(1)
    if artifact.compiled is not None:
        # What an earlier evaluation has compiled would make a cold load look warm.
        shutil.rmtree(artifact.compiled, ignore_errors=True)
    start = time.perf_counter()
    session = open_session(suite, recipe, artifact)
    try:
        session.run(inputs)
    except BaseException:
        session.close()
        raise
    return session, float(f"{time.perf_counter() - start:.6g}")


def _opened(suite: Suite, recipe: Recipe, artifact: ArtifactHandle) -> InferenceSession:
    preload(preloads(suite, recipe))
    return open_session(suite, recipe, artifact)
