"""Whether a segmenter's accuracy can be that of a working model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_perfgate.records.accuracy import Doubt
from pytest_perfgate.units import count_of

if TYPE_CHECKING:
    from pytest_perfgate.records.accuracy import Accuracy
    from pytest_perfgate.tasks.segmentation.data import SegmentationData, Segments


def doubt_segments(
    data: SegmentationData,
    predictions: Sequence[Segments],
    accuracy: Accuracy,
    declared: Sequence[int],
) -> Doubt | None:
    """Classes in another order, or no better than one class for all pixels; `declared` is the
    option `classes`.
    """
    import numpy as np

    from pytest_perfgate.tasks.classification.class_order import as_option, other_order

    if not data.labelled:
        return _one_class(predictions)
    classes = len(data.classes)
    true: list[int] = []
    called: list[int] = []
    pixels = np.zeros(classes, dtype=np.int64)
    for index, prediction in enumerate(predictions):
        mask = data.mask(index)
        table = np.bincount(
            (mask * (classes + 1) + prediction.labels).reshape(-1), minlength=(classes + 1) ** 2
        ).reshape(classes + 1, classes + 1)[:classes]
        pixels += table.sum(axis=1)
        # One vote per class and image: neighbouring pixels are right or wrong together.
        for label in np.flatnonzero(table[:, :classes].sum(axis=1)).tolist():
            true.append(label)
            called.append(int(table[label, :classes].argmax()))
    order = other_order(true, called, classes)
    if order is not None:
        return Doubt(
            problem="the network's classes stand in another order than the data's: "
            f"{', '.join(map(str, data.classes[:6]))}{', …' if classes > 6 else ''}",
            next_step=f"[suite.output] classes = {as_option(order, declared)}",
        )
    reached = float(pixels.max() / pixels.sum() / np.count_nonzero(pixels))
    if accuracy.values["miou"] > reached:
        return None
    largest = data.classes[int(pixels.argmax())]
    return Doubt(
        problem=f"miou is {accuracy.values['miou']:.4f}, and {largest!r} for every pixel reaches "
        f"{reached:.4f}"
    )


def _one_class(predictions: Sequence[Segments]) -> Doubt | None:
    """Without masks: a reference with one class for everything agrees with every recipe that has
    it.
    """
    import numpy as np

    labels = {int(label) for one in predictions for label in np.unique(one.labels)}
    if len(labels) > 1:
        return None
    return Doubt(
        problem=f"it predicts the class {labels.pop()} for every pixel of "
        f"{count_of(len(predictions), 'image')}",
        next_step="compare [suite.input] and [suite.output] with what the network was trained on: "
        "size, mean and std, colour order, format",
    )
