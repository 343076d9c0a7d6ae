"""Whether a classifier's accuracy can be that of a working model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_perfgate.records.accuracy import Doubt

if TYPE_CHECKING:
    from pytest_perfgate.records.accuracy import Accuracy
    from pytest_perfgate.tasks.classification.data import Called, ClassificationData


def doubt_classes(
    data: ClassificationData,
    predictions: Sequence[Called],
    accuracy: Accuracy,
    declared: Sequence[int],
) -> Doubt | None:
    """Classes in another order, or no better than guessing; `declared` is the option `classes`."""
    import numpy as np

    from pytest_perfgate.tasks.classification.class_order import as_option, other_order

    if not data.labelled:
        return None
    truth = np.array([int(label) for label in data.labels])
    called = np.array([int(np.argmax(prediction.scores)) for prediction in predictions])
    order = other_order(truth, called, len(data.classes))
    if order is not None:
        return Doubt(
            problem="the network's classes stand in another order than the data's: "
            f"{', '.join(map(str, data.classes[:6]))}{', …' if len(data.classes) > 6 else ''}",
            next_step=f"[suite.output] classes = {as_option(order, declared)}",
        )
    guessed = 1.0 / len(data.classes)
    if accuracy.values["accuracy"] > guessed:
        return None
    return Doubt(
        problem=f"accuracy is {accuracy.values['accuracy']:.4f}, and guessing among "
        f"{len(data.classes)} classes reaches {guessed:.4f}"
    )
