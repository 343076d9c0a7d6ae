"""Whether a detector's accuracy can be that of a working model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pytest_perfgate.records.accuracy import Doubt
from pytest_perfgate.tasks.detection.decoder_doubts import other_readings
from pytest_perfgate.units import count_of

if TYPE_CHECKING:
    from pytest_perfgate.records.accuracy import Accuracy
    from pytest_perfgate.tasks.detection.data import DetectionData, Prediction

LEAST_MAP50 = 0.01
"""A detector that is wired up rightly finds more than this, however weak it is."""

_MOST_SCORE = 1.001  # rounding aside
_OVERLAP = 0.5  # as map50 matches


def doubt_detections(
    data: DetectionData,
    predictions: Sequence[Prediction],
    accuracy: Accuracy,
    declared: Sequence[int],
) -> Doubt | None:
    """Scores outside [0, 1], classes in another order, or nothing found; `declared` is the
    decoder's option `classes`.
    """
    import numpy as np

    from pytest_perfgate.tasks.boxes import overlap
    from pytest_perfgate.tasks.classification.class_order import as_option, other_order
    from pytest_perfgate.tasks.detection.losses import truth

    tops = [float(image.scores.max()) for image in predictions if len(image.scores)]
    highest = max(tops, default=0.0)
    if highest > _MOST_SCORE:
        return Doubt(problem=f"the decoder gives scores up to {highest:.3g}; scores are in [0, 1]")
    if not data.annotated:
        return _nothing_found(predictions)
    true: list[int] = []
    called: list[int] = []
    for objects, image in zip(truth(data), predictions, strict=True):
        if not len(objects.boxes) or not len(image.boxes):
            continue
        near = overlap(objects.boxes, image.boxes) >= _OVERLAP
        for category, row in zip(objects.categories, near, strict=True):
            if row.any():  # of the detections there, the one with the best score
                true.append(int(category))
                called.append(int(image.categories[int(np.argmax(row))]))
    order = other_order(true, called, 1 + max([*true, *called, 0]))
    if order is not None:
        return Doubt(
            problem="the network's classes stand in another order than the data's categories",
            next_step=f"[suite.output] options = {{ classes = {as_option(order, declared)} }}",
        )
    if accuracy.values["map50"] >= LEAST_MAP50:
        return None
    count = sum(len(image.scores) for image in predictions)
    return Doubt(
        problem=f"map50 is {accuracy.values['map50']:.4f} ({count} detections in "
        f"{accuracy.images} images)"
    )


def _nothing_found(predictions: Sequence[Prediction]) -> Doubt | None:
    """Without annotations: a reference that finds nothing agrees with every recipe that finds
    nothing.
    """
    from pytest_perfgate.tasks.pairing import CONFIDENT

    if any((image.scores >= CONFIDENT).any() for image in predictions):
        return None
    return Doubt(
        problem=f"it detects nothing with a score of at least {CONFIDENT} in "
        f"{count_of(len(predictions), 'image')}",
        next_step="compare [suite.input] and [suite.output] with what the network was trained on: "
        "size, mean and std, colour order, decoder",
    )


def other_decoders(options: Any) -> Iterator[tuple[str, Any]]:
    """Other units and formats of boxes, other decoders, and another activation of `detr`."""
    yield from other_readings(options)
    if options.decode == "detr":
        other = {"softmax": "sigmoid", "sigmoid": "softmax"}
        activation = other[str(options.options.get("activation", "softmax"))]
        yield (
            f'[suite.output] options = {{ activation = "{activation}" }}',
            options.model_copy(update={"options": {**options.options, "activation": activation}}),
        )
