"""Instances of two images in the COCO format, with a cat and a dog each."""

from __future__ import annotations

from typing import Any

import numpy as np
from pytest_perfgate.tasks.coco.instances import Instances
from pytest_perfgate.tasks.detection.data import DetectionData, Prediction

SIDE = 64


def instances(**more: Any) -> dict[str, Any]:
    """Two images of 64 x 64, with a cat and a dog each."""
    return {
        "images": [
            {"id": 1, "file_name": "a.png", "width": SIDE, "height": SIDE},
            {"id": 2, "file_name": "b.png", "width": SIDE, "height": SIDE},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 20, 20]},
            {"id": 2, "image_id": 1, "category_id": 2, "bbox": [30, 0, 20, 20]},
            {"id": 3, "image_id": 2, "category_id": 1, "bbox": [0, 30, 20, 20]},
            {"id": 4, "image_id": 2, "category_id": 2, "bbox": [30, 30, 20, 20]},
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        **more,
    }


def data(coco: dict[str, Any]) -> DetectionData:
    """The instances with grey images, each of another grey."""
    greys = range(90, 90 + len(coco["images"]))
    return DetectionData([np.full((SIDE, SIDE, 3), grey, np.uint8) for grey in greys], coco)


def perfect(rows: Instances, *, but: int = -1) -> list[Prediction]:
    """Finds every object, except those of the category `but`."""
    predictions = []
    for image in range(len(rows.files)):
        ours = (rows.image == image) & (rows.category != but)
        corners = rows.boxes[ours].astype(np.float32)
        corners[:, 2:] += corners[:, :2]
        predictions.append(
            Prediction(corners, np.full(len(corners), 0.9, np.float32), rows.category[ours])
        )
    return predictions
