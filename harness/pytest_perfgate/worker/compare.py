"""The "compare" job: predictions of recipes beside those of their references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.records.accuracy import Packed, Ratio, in_steps
from pytest_perfgate.records.image_losses import WORSE_MOST, Thumbnail
from pytest_perfgate.records.recipe import VALIDATION
from pytest_perfgate.tasks import Task
from pytest_perfgate.worker.loading import read_arrays
from pytest_perfgate.worker.protocol import (
    Compared,
    ComparedMetric,
    CompareJob,
    PredictionPair,
    Send,
    WorseImages,
)
from pytest_perfgate.worker.thumbnails import thumbnail

_NOTHING_TO_COMPARE = (
    "neither the recipe nor its reference has a prediction that is sure enough to count; check "
    "how scores are read in [suite.output], and that the images have something to find"
)


def compare(job: CompareJob, send: Send) -> None:
    """Sends a `Compared` for each pair. Then, for a task that can tell, a `WorseImages` for each
    pair whose label is in `job.shown`.
    """
    task: Task = registry.find(registry.TASKS, job.suite.task)
    files = {file for pair in job.pairs for file in (pair.recipe, pair.reference)}
    predictions = {file: read_arrays(file) for file in files}
    for pair in job.pairs:
        sums = task.compare(predictions[pair.recipe], predictions[pair.reference])
        metrics, unmeasured = {}, {}
        for name, (top, bottom) in sums.items():
            below = float(bottom.sum())
            if below <= 0:  # two sides that say nothing do not agree
                unmeasured[name] = _NOTHING_TO_COMPARE
                continue
            parts = Ratio(numerator=Packed.of(in_steps(top)), denominator=Packed.of(bottom))
            metrics[name] = ComparedMetric(float(top.sum()) / below, parts)
        send(Compared(pair.label, metrics, pair.of_set, unmeasured))
    shown = [pair for pair in job.pairs if pair.label in job.shown and not pair.of_set]
    if shown:
        _send_worse(SuiteData(job.suite), task, shown, predictions, send)


def _send_worse(
    data: SuiteData,
    task: Task,
    pairs: Sequence[PredictionPair],
    predictions: Mapping[Path, Mapping[str, Any]],
    send: Send,
) -> None:
    """For each recipe the images that it does worse, and every such image once, made small."""
    validation = data.split(VALIDATION)
    sent: set[int] = set()
    for pair in pairs:
        ours, theirs = predictions[pair.recipe], predictions[pair.reference]
        losses = task.worse(validation, ours, theirs, WORSE_MOST)
        if losses is None:
            continue
        thumbnails = {}
        for index in sorted({loss.image for loss in losses} - sent):
            sent.add(index)
            (image,) = data.images(VALIDATION, [index])
            name, objects = task.objects(validation, index)
            media, text = thumbnail(image)
            height, width = image.shape[:2]
            thumbnails[index] = Thumbnail(
                name=name, width=width, height=height, objects=objects, media=media, data=text
            )
        send(WorseImages(pair.label, tuple(losses), thumbnails))
