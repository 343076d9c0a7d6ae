"""Pages of lines, and the boxes that the package rapidocr finds on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from suites.text.data import pages
from suites.zoo.pictures import Picture, bgr, printed
from suites.zoo.truth import detections, unknown

if TYPE_CHECKING:
    from pytest_perfgate.tasks.detection_data import DetectionData

NAMES = ("text",)


def pictures(count: int, seed: int) -> list[Picture]:
    """Three drawn pages to a cut-out of the photographed ones."""
    return [*pages(3 * count // 4, seed).images, *printed(count // 4, seed)]


def calibration() -> DetectionData:
    """Other pages."""
    return unknown(pictures(8, seed=13), NAMES)


def validation() -> DetectionData:
    """The upright boxes around the quadrilaterals of `rapidocr.RapidOCR`."""
    from rapidocr import RapidOCR

    shown = pictures(20, seed=14)
    pipeline = RapidOCR()
    results = []
    for picture in bgr(shown):
        result = pipeline(picture, use_det=True, use_cls=False, use_rec=False)
        boxes = getattr(result, "boxes", None)  # None: no text
        quads = np.zeros((0, 4, 2)) if boxes is None else np.asarray(boxes)
        corners = np.concatenate([quads.min(axis=1), quads.max(axis=1)], axis=1)
        results.append((corners, [0] * len(corners)))
    return detections(shown, results, NAMES)
