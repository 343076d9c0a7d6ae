"""Whether the accuracy of a panoptic network can be that of a working model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_perfgate.records.accuracy import Doubt
from pytest_perfgate.units import count_of

if TYPE_CHECKING:
    from pytest_perfgate.records.accuracy import Accuracy
    from pytest_perfgate.tasks.panoptic.data import Panoptic, PanopticData

LEAST_PQ = 0.01
"""A network that is wired up rightly reaches more than this, however weak it is."""

_STEP = (
    "compare [suite.input] and [suite.output] with what the network was trained on: size, mean and "
    "std, colour order, format"
)


def doubt_segments(
    data: PanopticData,
    predictions: Sequence[Panoptic],
    accuracy: Accuracy,
    declared: Sequence[int],
) -> Doubt | None:
    """Classes in another order, or next to no quality; `declared` is the option `classes`."""
    import numpy as np

    from pytest_perfgate.tasks.classification.class_order import as_option, other_order

    if not data.labelled:
        if any(len(one.categories) for one in predictions):
            return None
        return Doubt(
            problem=f"it finds no segment in {count_of(len(predictions), 'image')}", next_step=_STEP
        )
    true: list[int] = []
    called: list[int] = []
    for index, prediction in enumerate(predictions):
        segments, numbers = data.segments[index], prediction.map()
        other = len(prediction.categories) + 1
        table = np.bincount(
            (data.numbers(index) * other + numbers).reshape(-1),
            minlength=(len(segments) + 1) * other,
        ).reshape(len(segments) + 1, other)
        # One vote per segment: of the predicted one that covers most of it.
        for segment, row in zip(segments, table[1:, 1:], strict=True):
            if row.any():
                true.append(segment.category)
                called.append(int(prediction.categories[int(row.argmax())]))
    order = other_order(true, called, len(data.classes))
    if order is not None:
        return Doubt(
            problem="the network's classes stand in another order than the data's: "
            f"{', '.join(map(str, data.classes[:6]))}{', …' if len(data.classes) > 6 else ''}",
            next_step=f"[suite.output] classes = {as_option(order, declared)}",
        )
    if accuracy.values["pq"] >= LEAST_PQ:
        return None
    return Doubt(problem=f"pq is {accuracy.values['pq']:.4f}", next_step=_STEP)
