"""Predicted masks, packed, and paired with those of another side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pytest_perfgate.records.image_losses import SeenBox
from pytest_perfgate.tasks.detection.agreement import pack as pack_boxes
from pytest_perfgate.tasks.detection.agreement import unpack as unpack_boxes
from pytest_perfgate.tasks.instances.data import MaskPrediction, corners_of
from pytest_perfgate.tasks.losses import Losses, rounded
from pytest_perfgate.tasks.masks.runs import Masks
from pytest_perfgate.tasks.pairing import paired

if TYPE_CHECKING:
    from pytest_perfgate.tasks.instances.data import InstanceData

Arrays = Mapping[str, npt.NDArray[Any]]


def pack(predictions: Sequence[MaskPrediction]) -> dict[str, npt.NDArray[Any]]:
    """Predictions as arrays: those of boxes, and of the masks `sizes` (images, 2), `lengths` (D,)
    and the run-length encodings of all of them, `runs` uint8.
    """
    texts = [text for prediction in predictions for text in prediction.masks.texts]
    return pack_boxes(predictions) | {
        "sizes": np.array([one.masks.size for one in predictions], np.int64).reshape(-1, 2),
        "lengths": np.array([len(text) for text in texts], dtype=np.int64),
        "runs": np.frombuffer(b"".join(texts), dtype=np.uint8),
    }


def unpack(arrays: Arrays) -> list[MaskPrediction]:
    """What `pack` packed."""
    whole = arrays["runs"].tobytes()
    ends = np.cumsum(arrays["lengths"]).tolist()
    texts = [
        whole[end - length : end]
        for end, length in zip(ends, arrays["lengths"].tolist(), strict=True)
    ]
    predictions, begin = [], 0
    for boxes, (height, width) in zip(unpack_boxes(arrays), arrays["sizes"].tolist(), strict=True):
        end = begin + len(boxes.scores)
        masks = Masks((height, width), tuple(texts[begin:end]))
        predictions.append(MaskPrediction(boxes.boxes, boxes.scores, boxes.categories, masks))
        begin = end
    return predictions


def pairs(ours: MaskPrediction, other: MaskPrediction) -> list[tuple[int, int]]:
    """Masks of one category paired one to one, as (index in `ours`, index in `other`)."""
    if not len(ours.scores) or not len(other.scores):
        return []
    return paired(ours.masks.overlaps(other.masks), ours, other)


def truth(data: InstanceData) -> list[MaskPrediction]:
    """The objects of every image, in the order of images; crowds are left out. All scores are 1."""
    instances = data.instances
    objects: list[list[int]] = [[] for _ in instances.files]
    for index in np.flatnonzero(~instances.crowd).tolist():
        objects[instances.image[index]].append(index)
    predictions = []
    for image, listed in enumerate(objects):
        rows = np.array(listed, dtype=np.int64)
        masks = data.masks(rows, image)
        scores = np.ones(len(rows), dtype=np.float32)
        predictions.append(
            MaskPrediction(corners_of(masks), scores, instances.category[rows], masks)
        )
    return predictions


def _value(objects: MaskPrediction, detections: MaskPrediction, row: int, column: int) -> float:
    """The score of a detection times the intersection over union with its object."""
    overlap = objects.masks.of([row]).overlaps(detections.masks.of([column]))
    return float(detections.scores[column]) * float(overlap[0, 0])


def _drawn(side: MaskPrediction, index: int, category: str) -> SeenBox:
    return SeenBox(box=rounded(side.boxes[index].tolist()), category=category)


LOSSES = Losses(pairs, _value, _drawn)
