"""Data sets whose truth is what a package's own pipeline says of the pictures: a model's score on
them is its agreement with that pipeline.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pytest_perfgate.tasks.detection_data import DetectionData

    from suites.zoo.pictures import Picture

Blocks = tuple[Any, Any]
"""Boxes (M, 4) as corners in pixels of the picture, and the category of each (M,)."""


def detections(
    pictures: Sequence[Picture], results: Sequence[Blocks], names: Sequence[str]
) -> DetectionData:
    """Pictures with a pipeline's boxes on each; `names` are those of the categories."""
    from pytest_perfgate.tasks.detection_data import DetectionData

    annotations: list[dict[str, Any]] = []
    for image, (picture, (boxes, categories)) in enumerate(zip(pictures, results, strict=True)):
        height, width = picture.shape[:2]
        corners = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
        corners = np.clip(corners, 0, [width, height, width, height])
        for (left, top, right, bottom), category in zip(corners, categories, strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image + 1,
                    "category_id": int(category) + 1,
                    "bbox": [left, top, right - left, bottom - top],
                    "area": (right - left) * (bottom - top),
                    "iscrowd": 0,
                }
            )
    coco = {
        "images": [
            {"id": image + 1, "width": picture.shape[1], "height": picture.shape[0]}
            for image, picture in enumerate(pictures)
        ],
        "annotations": annotations,
        "categories": [{"id": place + 1, "name": name} for place, name in enumerate(names)],
    }
    return DetectionData(images=list(pictures), coco=coco)


def unknown(pictures: Sequence[Picture], names: Sequence[str]) -> DetectionData:
    """Pictures of which nothing is said, for calibration."""
    from dataclasses import replace

    nothing = [(np.zeros((0, 4)), ())] * len(pictures)
    return replace(detections(pictures, nothing, names), annotated=False)
