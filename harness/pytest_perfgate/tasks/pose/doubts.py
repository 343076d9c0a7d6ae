"""Whether a pose network's accuracy can be that of a working model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pytest_perfgate.records.accuracy import Doubt
from pytest_perfgate.tasks.pairing import CONFIDENT
from pytest_perfgate.units import count_of

if TYPE_CHECKING:
    from pytest_perfgate.records.accuracy import Accuracy
    from pytest_perfgate.tasks.pose.data import PoseData, Poses

LEAST_MAP50 = 0.01
"""A network that is wired up rightly finds more than this, however weak it is."""

_MOST_OUTSIDE = 0.5  # of the keypoints
_NEAR = 1.0  # of the longer side of an object, from a keypoint to the one of another name
_STEP = (
    "compare [suite.input] and [suite.output] with what the network was trained on: size, mean and "
    "std, colour order, format"
)


def doubt_poses(
    data: PoseData, predictions: Sequence[Poses], accuracy: Accuracy, declared: Sequence[int]
) -> Doubt | None:
    """Keypoints outside of the pictures or in another order, or nothing found; `declared` is the
    option `keypoints`.
    """
    from pytest_perfgate.tasks.classification.class_order import as_option, other_order

    if (outside := _outside(data, predictions)) is not None:
        return outside
    count = sum(int((one.scores >= CONFIDENT).sum()) for one in predictions)
    if not data.annotated:
        if count:
            return None
        return Doubt(
            problem=f"no detection in {count_of(len(predictions), 'image')} has a score of "
            f"{CONFIDENT:g} or more: every recipe that finds nothing agrees with it",
            next_step=_STEP,
        )
    names = data.keypoints.names
    order = other_order(*_nearest(data, predictions), len(names))
    if order is not None:
        return Doubt(
            problem="the network's keypoints stand in another order than the data's: "
            f"{', '.join(names[:6])}{', …' if len(names) > 6 else ''}",
            next_step=f"[suite.output] keypoints = {as_option(order, declared)}",
        )
    if accuracy.values["oks_map50"] >= LEAST_MAP50:
        return None
    return Doubt(
        problem=f"oks_map50 is {accuracy.values['oks_map50']:.4f} ({count} detections of a score "
        f"of {CONFIDENT:g} or more in {count_of(len(predictions), 'image')})",
        next_step=_STEP,
    )


def _outside(data: PoseData, predictions: Sequence[Poses]) -> Doubt | None:
    """Most keypoints of confident detections lie outside of their picture."""
    outside, total = 0, 0
    for index, one in enumerate(predictions):
        points = one.points[one.scores >= CONFIDENT][..., :2].reshape(-1, 2)
        if not len(points):
            continue
        height, width = data.instances.sizes[index] or data.images[index].shape[:2]
        inside = ((points >= 0) & (points <= (width, height))).all(axis=1)
        outside += int((~inside).sum())
        total += len(points)
    if outside <= _MOST_OUTSIDE * total:
        return None
    return Doubt(
        problem=f"{outside} of {total} keypoints of confident detections lie outside of their "
        "picture",
        next_step="compare format, class_count, keypoint_numbers and grid in [suite.output] with "
        "the network's output",
    )


def _nearest(data: PoseData, predictions: Sequence[Poses]) -> tuple[list[int], list[int]]:
    """For each labelled keypoint of an object the index of the predicted one that lies nearest, of
    the detection whose keypoints lie nearest to the object's as a set.
    """
    true: list[int] = []
    nearest: list[int] = []
    instances, keypoints = data.instances, data.keypoints
    for row in range(len(instances.boxes)):
        one = predictions[instances.image[row]]
        labelled = np.flatnonzero(keypoints.labelled[row])
        sure = one.points[one.scores >= CONFIDENT]
        if not len(labelled) or not len(sure):
            continue
        # (M, K', K): from each labelled keypoint to each predicted one
        apart = np.linalg.norm(
            keypoints.points[row][labelled][None, :, None] - sure[:, None, :, :2], axis=3
        )
        best = apart[apart.min(axis=2).mean(axis=1).argmin()]
        near = best.min(axis=1) <= _NEAR * instances.boxes[row, 2:].max()
        true += labelled[near].tolist()
        nearest += best.argmin(axis=1)[near].tolist()
    return true, nearest
