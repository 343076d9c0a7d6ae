"""Finds the images that a recipe does worse than its reference, by the objects that it lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pytest_perfgate.records.image_losses import SeenBox, WorseImage
from pytest_perfgate.tasks.detection.agreement import CONFIDENT, pairs
from pytest_perfgate.tasks.detection.data import Prediction

if TYPE_CHECKING:
    from pytest_perfgate.tasks.detection.data import DetectionData

NOTICEABLE = 0.1
"""An image that lost less than this in all is not called worse."""

_BOXES = 40  # of one side that are handed over, at most


def truth(data: DetectionData) -> list[Prediction]:
    """The objects of every image, in the order of images; crowds are left out. All scores are 1."""
    instances = data.instances
    corners = instances.boxes.astype(np.float32)
    corners[:, 2:] = (instances.boxes[:, :2] + instances.boxes[:, 2:]).astype(np.float32)
    objects: list[list[int]] = [[] for _ in instances.files]
    for index in np.flatnonzero(~instances.crowd).tolist():
        objects[instances.image[index]].append(index)
    return [
        Prediction(
            boxes=corners[rows],
            scores=np.ones(len(rows), dtype=np.float32),
            categories=instances.category[rows],
        )
        for rows in (np.array(rows, dtype=np.int64) for rows in objects)
    ]


def worse_images(
    objects: Sequence[Prediction],
    ours: Sequence[Prediction],
    other: Sequence[Prediction],
    names: Sequence[str],
    most: int,
) -> list[WorseImage]:
    """The images in which `mine` lost most beside `other`, its reference; worst first.

    An object's score is that of the detection it is paired with: one to one, of its category, those
    that overlap most first, from an intersection over union of 0.5 on; 0 without one. An image's
    loss is the sum, over its objects, of what the reference's score is higher by.

    `objects`, `mine` and `other` have one entry per image, in the same order; `names` are those of
    the categories; at most `most` images are told.
    """
    lost = []
    for index, (there, left, right) in enumerate(zip(objects, ours, other, strict=True)):
        after, before = _scores(there, left), _scores(there, right)
        loss = float(np.clip(before - after, 0.0, None).sum())
        if loss >= NOTICEABLE:
            lost.append((loss, index))
    lost.sort(key=lambda image: (-image[0], image[1]))
    return [
        WorseImage(
            image=index,
            loss=round(loss, 4),
            reference=_shown(objects[index], other[index], names),
            recipe=_shown(objects[index], ours[index], names),
        )
        for loss, index in lost[:most]
    ]


def object_boxes(objects: Prediction, names: Sequence[str]) -> tuple[SeenBox, ...]:
    """The ground truth of one image, in its order."""
    rows = zip(objects.boxes.tolist(), objects.categories.tolist(), strict=True)
    return tuple(SeenBox(box=_rounded(box), category=names[category]) for box, category in rows)


def _scores(
    objects: Prediction, detections: Prediction
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Of every object: the score of its detection, 0 without one."""
    scores = np.zeros(len(objects.scores), dtype=np.float64)
    for row, column in pairs(objects, detections):
        scores[row] = float(detections.scores[column])
    return scores


def _shown(
    objects: Prediction, detections: Prediction, names: Sequence[str]
) -> tuple[SeenBox, ...]:
    paired = {column: row for row, column in pairs(objects, detections)}
    order = np.argsort(-detections.scores, kind="stable").tolist()
    shown = [index for index in order if index in paired or detections.scores[index] >= CONFIDENT]
    return tuple(
        SeenBox(
            box=_rounded(detections.boxes[index].tolist()),
            category=names[int(detections.categories[index])],
            score=round(float(detections.scores[index]), 4),
            object=paired.get(index),
        )
        for index in shown[:_BOXES]
    )


def _rounded(box: Sequence[float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = (round(float(side), 1) for side in box)
    return left, top, right, bottom
