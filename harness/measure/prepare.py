"""The "prepare" job: builds one recipe and evaluates its accuracy, in a worker of its own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from harness import registry
from harness.errors import PerfgateError
from harness.measure.build import Built, build, load
from harness.measure.importing import Watch
from harness.measure.store import ArtifactStore
from harness.measure.suitedata import VALIDATION, SuiteData
from harness.measure.worker import Send, failure
from harness.recipe import Recipe, Suite
from harness.record import Accuracy
from harness.runtimes import InferenceSession, OpenContext, Runtime

_EVERY = 0.5  # seconds between progress messages


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
        data = SuiteData(suite)
        for split in _splits_used(recipe):
            progress(0, 0, f"comparing {split} with validation images")
            data.refuse_leak(split)
        built = build(
            suite,
            recipe,
            store=ArtifactStore(Path(work["cache"])),
            watch=watch,
            data=data,
            progress=progress,
        )
        stage = "evaluate"
        accuracy, facts = _evaluate(suite, recipe, built, data, Path(work["cache"]), progress)
    except Exception as error:  # noqa: BLE001 - whatever a step raises ends this recipe only
        send({**failure(error), "stage": stage})
        return
    send(
        {
            "type": "prepared",
            "reference": built.reference,
            "artifact": built.info.model_dump(mode="json"),
            "lineage": [link.model_dump(mode="json") for link in built.lineage],
            "accuracy": accuracy.model_dump(mode="json"),
            "facts": facts,
        }
    )


def open_session(
    suite: Suite, recipe: Recipe, reference: dict[str, Any], folder: Path
) -> InferenceSession:
    """A session of the recipe's runtime on a built artifact."""
    runtime: Runtime = registry.find(registry.RUNTIMES, recipe.runtime.name)
    options = runtime.Options.model_validate(dict(recipe.runtime.options))
    folder.mkdir(parents=True, exist_ok=True)
    context = OpenContext(threads=suite.threads, folder=folder)
    return runtime.open(load(reference), options, context)


def _evaluate(
    suite: Suite,
    recipe: Recipe,
    built: Built,
    data: SuiteData,
    cache: Path,
    progress: _Progress,
) -> tuple[Accuracy, dict[str, Any]]:
    start = time.perf_counter()
    session = open_session(suite, recipe, built.reference, cache / "runtime")
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
    missing = sorted(data.task.metrics.keys() - accuracy.values.keys())
    if missing:
        raise PerfgateError(f"the evaluator gave no value for {', '.join(missing)}")
    seconds = round(time.perf_counter() - start, 3)
    return accuracy.model_copy(update={"seconds": seconds}), facts


def _splits_used(recipe: Recipe) -> list[str]:
    used: set[str] = set()
    for spec in recipe.chain:
        used |= registry.find(registry.STEPS, spec.name).splits
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
