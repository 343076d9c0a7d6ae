"""The "prepare" job: builds one recipe and evaluates its accuracy, in a worker of its own."""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter

from pytest_perfgate import registry
from pytest_perfgate.building.artifact_cache import ArtifactStore, Stored
from pytest_perfgate.building.builder import Built, build
from pytest_perfgate.building.opening import open_session
from pytest_perfgate.building.package_versions import versions
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.building.suite_data import VALIDATION, SuiteData
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.files import digest_files, digest_of
from pytest_perfgate.machine.fingerprint import this_machine
from pytest_perfgate.metric import Better
from pytest_perfgate.records.accuracy import Accuracy, Packed, Ratio
from pytest_perfgate.records.image_losses import WORSE_MOST, Thumbnail
from pytest_perfgate.records.recipe import Recipe, Suite
from pytest_perfgate.runtimes import InferenceSession, Runtime
from pytest_perfgate.steps import splits_of
from pytest_perfgate.suite.preloads import preloads
from pytest_perfgate.tasks import ShowsImages, Task
from pytest_perfgate.worker.loading import preload
from pytest_perfgate.worker.protocol import Send, failure
from pytest_perfgate.worker.thumbnails import thumbnail

_EVERY = 0.5  # seconds between progress messages
_IMAGES = 24  # validation images that every arm cycles through
_EVALUATION = "evaluation.json"
_PREDICTIONS = "predictions.npz"


def prepare(work: dict[str, Any], send: Send) -> None:
    """Builds and evaluates the recipe `work["recipe"]` of `work["suite"]`.

    Sends "progress" messages, then "prepared", or "failed" with the stage that failed.
    """
    suite = TypeAdapter(Suite).validate_python(work["suite"])
    recipe = suite.recipes[work["recipe"]]
    progress = _Progress(send)
    stage = "build"
    try:
        watch = Watch(suite.root)
        store = ArtifactStore(Path(work["cache"]))
        data = SuiteData(suite)
        for split in _splits_used(recipe):
            progress(0, 0, f"comparing {split} with validation images")
            data.refuse_leak(split)
        built = build(
            suite,
            recipe,
            store=store,
            watch=watch,
            data=data,
            progress=progress,
        )
        stage = "evaluate"
        found, predictions = _evaluation(suite, recipe, built, store, watch, data, progress)
        _write_images(data, Path(work["images"]))
    except Exception as error:  # noqa: BLE001 - whatever a step raises ends this recipe only
        send({**failure(error), "stage": stage})
        return
    send(
        {
            "type": "prepared",
            "reference": built.reference,
            "artifact": built.info.model_dump(mode="json"),
            "lineage": [link.model_dump(mode="json") for link in built.lineage],
            "accuracy": found.accuracy.model_dump(mode="json"),
            "facts": found.facts,
            "load_time_cold": found.load_time_cold,
            "predictions": str(predictions),
            "files": {**built.files, **watch.files()},
        }
    )


def compare(work: dict[str, Any], send: Send) -> None:
    """The "compare" job: recipes' predictions beside their reference's; `work["pairs"]` are label,
    file of predictions, file of the reference's, and `work["suite"]` is the suite.

    Sends "compared" for each: metric name to value and what it is made of. Then, for a task that
    can tell, "worse" for each of `work["shown"]`, with the images that it does worse.
    """
    from pytest_perfgate.stats.ratio import ratio

    suite = TypeAdapter(Suite).validate_python(work["suite"])
    task: Task = registry.find(registry.TASKS, suite.task)
    kept: dict[str, dict[str, Any]] = {}
    for label, *files in work["pairs"]:
        for file in files:
            if file not in kept:
                with np.load(file, allow_pickle=False) as stored:
                    kept[file] = {name: stored[name] for name in stored.files}
        found = task.compare(kept[files[0]], kept[files[1]])
        values = {}
        for name, (top, bottom) in found.items():
            better = task.metrics[name].better
            parts = Ratio(numerator=Packed.of(top), denominator=Packed.of(bottom))
            values[name] = {
                # Nothing confident on either side: they agree.
                "value": ratio((top, bottom), 1.0 if better is Better.HIGHER else 0.0),
                "ratio": parts.model_dump(mode="json"),
            }
        send({"type": "compared", "label": label, "values": values})
    shown = [each for each in work["pairs"] if each[0] in work["shown"]]
    if shown and isinstance(task, ShowsImages):
        _send_worse(SuiteData(suite), task, shown, kept, send)


def _send_worse(
    data: SuiteData,
    task: ShowsImages,
    shown: Sequence[Sequence[str]],
    kept: Mapping[str, Mapping[str, Any]],
    send: Send,
) -> None:
    """For each recipe the images that it does worse, and every such image once, made small."""
    validation = data.split(VALIDATION)
    sent: set[int] = set()
    for label, mine, other in shown:
        found = task.worse(validation, kept[mine], kept[other], WORSE_MOST)
        thumbnails = {}
        for index in sorted({each.image for each in found} - sent):
            sent.add(index)
            (image,) = data.images(VALIDATION, [index])
            name, objects = task.objects(validation, index)
            media, text = thumbnail(image)
            height, width = image.shape[:2]
            thumbnails[index] = Thumbnail(
                name=name, width=width, height=height, objects=objects, media=media, data=text
            ).model_dump(mode="json")
        send(
            {
                "type": "worse",
                "label": label,
                "images": [each.model_dump(mode="json") for each in found],
                "thumbnails": thumbnails,
            }
        )


class _Evaluation(BaseModel):
    """What the store keeps of an evaluation: it is the same as long as all that it read is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    accuracy: Accuracy
    facts: dict[str, Any]
    load_time_cold: float


def _evaluation(
    suite: Suite,
    recipe: Recipe,
    built: Built,
    store: ArtifactStore,
    watch: Watch,
    data: SuiteData,
    progress: _Progress,
) -> tuple[_Evaluation, Path]:
    """Accuracy from the store, or from all validation images when anything it rests on changed."""
    key = _evaluation_key(suite, recipe, built, data)
    # What the runtime compiles during the evaluation is there for the arms of the same artifact.
    built.reference["compiled"] = str(store.root / "runtime" / key[:16])
    with store.lock(key):
        entry = store.find(key, watch)
        if entry is not None and entry.path is not None:
            known = _Evaluation.model_validate_json(entry.path.read_bytes())
            return known, entry.folder / _PREDICTIONS
        start = time.perf_counter()
        found, packed = _evaluate(suite, recipe, built, data, progress)
        with store.scratch() as folder:
            np.savez(folder / _PREDICTIONS, **packed)
            (folder / _EVALUATION).write_text(found.model_dump_json())
            stored = Stored(
                kind="evaluation",
                file=_EVALUATION,
                effect={},
                structures=(),
                seconds=time.perf_counter() - start,
                files=watch.files(),
            )
            entry = store.add(key, folder, stored)
        return found, entry.folder / _PREDICTIONS


def _evaluation_key(suite: Suite, recipe: Recipe, built: Built, data: SuiteData) -> str:
    """What was asked for; the project's files that are read on the way are compared besides."""
    runtime: Runtime = registry.find(registry.RUNTIMES, recipe.runtime.name)
    source = sys.modules[type(runtime).__module__].__file__
    return digest_of(
        {
            "what": "evaluation with predictions and cold load",
            "versions": versions(),
            "artifact": built.info.digest,
            "structures": built.reference["structures"],
            "model": built.reference["model"],
            "made": built.reference["made"],
            "runtime": recipe.runtime.name,
            "options": dict(recipe.runtime.options),
            "code": digest_files(Path(source).parent, [Path(source).name])[0] if source else "",
            "task": suite.task,
            "data": data.split(VALIDATION).digest,  # whatever it was read from
            "input": dict(suite.input),
            "output": dict(suite.output),
            "threads": suite.threads,
            "machine": this_machine().id,
        }
    )


def _write_images(data: SuiteData, file: Path) -> None:
    """Some decoded validation images, for arms to cycle through: whole, or not at all."""
    if file.exists():
        return
    total = len(data.split(VALIDATION).images)
    chosen = random.Random(0).sample(range(total), min(_IMAGES, total))  # noqa: S311 - no secret
    part = file.with_name(f"{os.getpid()}-{file.name}")
    with part.open("wb") as out:
        np.savez(out, *data.images(VALIDATION, sorted(chosen)))
    part.replace(file)


def _evaluate(
    suite: Suite,
    recipe: Recipe,
    built: Built,
    data: SuiteData,
    progress: _Progress,
) -> tuple[_Evaluation, dict[str, Any]]:
    session, cold = _open_cold(suite, recipe, built.reference, data)
    start = time.perf_counter()
    try:
        validation = data.split(VALIDATION)
        predictions = []
        total = len(validation.images)
        for index in range(total):
            batch, meta = data.pipeline.preprocess([np.array(validation.images[index])])
            predictions += data.pipeline.postprocess(session.run(batch), meta)
            progress(index + 1, total, "accuracy")
        facts = session.facts
    finally:
        session.close()
    accuracy = data.task.evaluate(validation, predictions)
    asked = {
        name
        for name, metric in data.task.metrics.items()
        if not (metric.against_reference or metric.optional)
    }
    missing = sorted(asked - accuracy.values.keys())
    if missing:
        raise PerfgateError(f"the evaluator gave no value for {', '.join(missing)}")
    seconds = round(time.perf_counter() - start, 3)
    accuracy = accuracy.model_copy(update={"seconds": seconds})
    found = _Evaluation(accuracy=accuracy, facts=facts, load_time_cold=cold)
    return found, data.task.pack(predictions)


def _open_cold(
    suite: Suite, recipe: Recipe, reference: dict[str, Any], data: SuiteData
) -> tuple[InferenceSession, float]:
    """A session after its first inference, and the seconds from nothing to there."""
    preload(preloads(suite, recipe))
    batch = data.example(1)
    shutil.rmtree(reference["compiled"], ignore_errors=True)
    start = time.perf_counter()
    session = open_session(suite, recipe, reference)
    try:
        session.run(batch)
    except BaseException:
        session.close()
        raise
    return session, float(f"{time.perf_counter() - start:.6g}")


def _splits_used(recipe: Recipe) -> list[str]:
    used: set[str] = set()
    for spec in recipe.chain:
        step = registry.find(registry.STEPS, spec.name)
        used |= splits_of(step, step.Options.model_validate(dict(spec.options)))
    return sorted(used - {VALIDATION})


class _Progress:
    """Progress messages, not more often than a person can read."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._last = 0.0
        self._note = ""

    def __call__(self, done: int, total: int, note: str) -> None:
        now = time.monotonic()
        if now - self._last < _EVERY and note == self._note:
            return
        self._last, self._note = now, note
        self._send({"type": "progress", "done": done, "total": total, "note": note})
