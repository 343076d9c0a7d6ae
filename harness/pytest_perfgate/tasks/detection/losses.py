"""What a detector loses: the scores of its objects' boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_perfgate.records.image_losses import SeenBox
from pytest_perfgate.tasks.detection.agreement import pairs
from pytest_perfgate.tasks.detection.data import Prediction
from pytest_perfgate.tasks.losses import Losses, rounded

if TYPE_CHECKING:
    from pytest_perfgate.tasks.detection.data import DetectionData


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


def _score(_objects: Prediction, detections: Prediction, _row: int, column: int) -> float:
    """An object's value is the score of the detection that it is paired with."""
    return float(detections.scores[column])


def _drawn(side: Prediction, index: int, category: str) -> SeenBox:
    return SeenBox(box=rounded(side.boxes[index].tolist()), category=category)


LOSSES = Losses(pairs, _score, _drawn)
