"""Looks for the cause of a reference's accuracy that cannot be that of a working model.

Other decoders and other ways to prepare pixels are tried on some images. One that scores far better
is named; nothing is changed by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pytest_perfgate.building.suite_data import VALIDATION, SuiteData
from pytest_perfgate.metric import Better
from pytest_perfgate.records.accuracy import Accuracy, Doubt
from pytest_perfgate.runtimes import InferenceSession

_SAMPLES = 8  # images whose outputs are looked at
_IMAGES = 32  # that alternatives are tried on
_LEAST_GAIN = 0.2  # of the main score, were all images as the ones that were tried

_UNEXPLAINED = (
    "compare [suite.input] and [suite.output] with what the network was trained on: size, mean and "
    "std, colour order, decoder, order of the classes"
)


def doubt_of(
    data: SuiteData,
    session: InferenceSession,
    predictions: Sequence[Any],
    accuracy: Accuracy,
) -> Doubt | None:
    """Why the accuracy cannot be that of a working model, with the likely cause as the next step;
    None: it can be.
    """
    samples = []
    for image in data.images(VALIDATION, _spread(len(predictions), _SAMPLES)):
        inputs, meta = data.pipeline.preprocess([image])
        samples.append((session.run(inputs), meta))
    doubt = data.task.doubt_outputs(samples, data.output)
    if doubt is None:
        doubt = data.task.doubt(data.split(VALIDATION), predictions, accuracy, data.output)
        if doubt is None or doubt.next_step:
            return doubt
    cause = _cause(data, session, predictions, accuracy)
    return doubt.model_copy(update={"next_step": cause or doubt.next_step or _UNEXPLAINED})


def _cause(
    data: SuiteData, session: InferenceSession, predictions: Sequence[Any], accuracy: Accuracy
) -> str:
    """The line of the suite file under which some images score far better, "" for none."""
    name, metric = next(iter(data.task.metrics.items()))
    if name not in accuracy.values:
        return ""
    sign = 1.0 if metric.better is Better.HIGHER else -1.0
    validation = data.split(VALIDATION)
    rows = _spread(len(predictions), _IMAGES)
    count = len(rows)
    images = [np.array(validation.images[row]) for row in rows]
    best, line = _LEAST_GAIN * count / len(predictions), ""
    outputs: dict[str, list[Any]] = {}
    for text, pixels, output in data.task.alternatives(data.input, data.output):
        pipeline = data.task.pipeline(pixels, output)
        try:
            others: list[Any] = []
            key = pixels.model_dump_json()
            if key not in outputs:
                prepared = [pipeline.preprocess([image]) for image in images]
                outputs[key] = [(session.run(inputs), meta) for inputs, meta in prepared]
            for arrays, meta in outputs[key]:
                others += pipeline.postprocess(arrays, meta)
            changed = dict(zip(rows, others, strict=True))
            both = [changed.get(row, one) for row, one in enumerate(predictions)]
            values = data.task.evaluate(validation, both).values
        except Exception:  # noqa: BLE001, S112 - an alternative that does not fit explains nothing
            continue
        gain = sign * (values[name] - accuracy.values[name])
        if gain > best:
            best, line = gain, text
    return f"{line} scores far better on {count} images ({name})" if line else ""


def _spread(count: int, most: int) -> list[int]:
    """At most so many of `count` images, at equal distances.

    A folder of classes is sorted by them: its first images are of one class, and a network that
    calls everything that class would be right about them.
    """
    return [row * count // most for row in range(most)] if count > most else list(range(count))
