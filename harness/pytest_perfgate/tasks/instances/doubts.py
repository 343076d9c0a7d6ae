"""Whether the accuracy of a network that segments instances can be that of a working model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pytest_perfgate.records.accuracy import Doubt
from pytest_perfgate.tasks.detection.doubts import LEAST_MAP50, doubt_detections

if TYPE_CHECKING:
    from pytest_perfgate.records.accuracy import Accuracy
    from pytest_perfgate.tasks.instances.data import InstanceData, MaskPrediction

_OVERLAP = 0.5


def doubt_instances(
    data: InstanceData,
    predictions: Sequence[MaskPrediction],
    accuracy: Accuracy,
    declared: Sequence[int],
) -> Doubt | None:
    """What `doubt_detections` doubts, or masks that lie beside the objects of their boxes;
    `declared` is the decoder's option `classes`.
    """
    values = {name.removeprefix("mask_"): value for name, value in accuracy.values.items()}
    boxed = accuracy.model_copy(update={"values": values})
    doubt = doubt_detections(data, predictions, boxed, declared)
    if doubt is None or not data.annotated or values["map50"] >= LEAST_MAP50:
        return doubt
    right = _boxes_on_objects(data, predictions)
    if right == 0:
        return Doubt(problem=f"mask_{doubt.problem}", next_step=doubt.next_step)
    return Doubt(
        problem=f"mask_map50 is {values['map50']:.4f}, and {right} boxes lie on objects: masks are "
        "at another place than their boxes",
        next_step="compare the decoder with the network's outputs: what masks lie over, order of "
        "the coefficients, logits or scores",
    )


def _boxes_on_objects(data: InstanceData, predictions: Sequence[MaskPrediction]) -> int:
    """How many detections have the box of an object of their category."""
    from pytest_perfgate.tasks.boxes import overlap
    from pytest_perfgate.tasks.instances.agreement import truth

    count = 0
    for objects, image in zip(truth(data), predictions, strict=True):
        if not len(objects.boxes) or not len(image.boxes):
            continue
        near: Any = overlap(objects.boxes, image.boxes) >= _OVERLAP
        near &= objects.categories[:, None] == image.categories[None, :]
        count += int(near.any(axis=0).sum())
    return count
