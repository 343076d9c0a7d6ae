"""Photographs of people, and what the package nudenet says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suites.zoo.faces.data import pictures
from suites.zoo.pictures import bgr
from suites.zoo.truth import detections

if TYPE_CHECKING:
    from pytest_perfgate.tasks.detection_data import DetectionData

NAMES = (
    *("FEMALE_GENITALIA_COVERED", "FACE_FEMALE", "BUTTOCKS_EXPOSED", "FEMALE_BREAST_EXPOSED"),
    *("FEMALE_GENITALIA_EXPOSED", "MALE_BREAST_EXPOSED", "ANUS_EXPOSED", "FEET_EXPOSED"),
    *("BELLY_COVERED", "FEET_COVERED", "ARMPITS_COVERED", "ARMPITS_EXPOSED", "FACE_MALE"),
    *("BELLY_EXPOSED", "MALE_GENITALIA_EXPOSED", "ANUS_COVERED", "FEMALE_BREAST_COVERED"),
    "BUTTOCKS_COVERED",
)


def calibration() -> DetectionData:
    """Other cut-outs and other portraits; some layers stay in float by their scores."""
    return _annotated(40, seed=1)


def validation() -> DetectionData:
    """What `nudenet.NudeDetector` finds: left, top, width and height, in whole pixels."""
    return _annotated(80, seed=2)


def _annotated(count: int, seed: int) -> DetectionData:
    from nudenet import NudeDetector

    shown = pictures(count, seed)
    pipeline = NudeDetector()
    results = []
    for picture in bgr(shown):
        rows = pipeline.detect(picture)
        boxes = [(x, y, x + width, y + height) for x, y, width, height in (r["box"] for r in rows)]
        results.append((boxes, [NAMES.index(row["class"]) for row in rows]))
    return detections(shown, results, NAMES)
