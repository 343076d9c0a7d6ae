"""Whether an oriented detector's accuracy can be that of a working model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pytest_perfgate.records.accuracy import Doubt
from pytest_perfgate.tasks.pairing import CONFIDENT
from pytest_perfgate.tasks.polygons import bounds
from pytest_perfgate.units import count_of

if TYPE_CHECKING:
    from pytest_perfgate.records.accuracy import Accuracy
    from pytest_perfgate.tasks.oriented.data import Oriented, OrientedData

LEAST_MAP50 = 0.01
"""A detector that is wired up rightly finds more than this, however weak it is."""

_STEP = (
    "compare [suite.input] and [suite.output] with what the network was trained on: size, mean and "
    "std, colour order, format, angle"
)


def doubt_oriented(
    data: OrientedData,
    predictions: Sequence[Oriented],
    accuracy: Accuracy,
    declared: Sequence[int],
) -> Doubt | None:
    """Classes in another order, or nothing found; `declared` is the option `classes`."""
    from pytest_perfgate.tasks.boxes import overlap
    from pytest_perfgate.tasks.classification.class_order import as_option, other_order

    count = sum(int((one.scores >= CONFIDENT).sum()) for one in predictions)
    if not data.annotated:
        if count:
            return None
        return Doubt(
            problem=f"no detection in {count_of(len(predictions), 'image')} has a score of "
            f"{CONFIDENT:g} or more: every recipe that finds nothing agrees with it",
            next_step=_STEP,
        )
    true: list[int] = []
    called: list[int] = []
    for objects, one in zip(data.objects, predictions, strict=True):
        if not len(objects.scores) or not len(one.scores):
            continue
        # By the boxes around them: a wrong angle is no other class.
        near = overlap(bounds(objects.corners), bounds(one.corners).astype(np.float64)) >= 0.5
        for category, row in zip(objects.categories.tolist(), near, strict=True):
            if row.any():
                true.append(category)
                called.append(int(one.categories[int(np.argmax(row))]))
    order = other_order(true, called, 1 + max([*true, *called, 0]))
    if order is not None:
        return Doubt(
            problem="the network's classes stand in another order than the data's: "
            f"{', '.join(data.classes[:6])}{', …' if len(data.classes) > 6 else ''}",
            next_step=f"[suite.output] classes = {as_option(order, declared)}",
        )
    if accuracy.values["map50"] >= LEAST_MAP50:
        return None
    turned = len(true) > 0.2 * sum(len(one.scores) for one in data.objects)
    return Doubt(
        problem=f"map50 is {accuracy.values['map50']:.4f} ({count} detections of a score of "
        f"{CONFIDENT:g} or more in {count_of(len(predictions), 'image')})"
        + (": upright boxes around detections and objects overlap, turned ones do not" * turned),
        next_step='set angle = "degrees", or compare its direction with the network\'s'
        if turned
        else _STEP,
    )
