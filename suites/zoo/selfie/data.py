"""Photographs of people, and what MediaPipe's own pipeline takes for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from suites.zoo.pictures import Picture, views

if TYPE_CHECKING:
    from pytest_perfgate.tasks.segmentation_data import SegmentationData

CLASSES = ("background", "person")


def pictures(count: int, seed: int) -> list[Picture]:
    """Two people in turn."""
    return views(count, seed, ("astronaut", "camera"))


def validation() -> SegmentationData:
    """The masks of `mediapipe.solutions.selfie_segmentation`."""
    import mediapipe
    from pytest_perfgate.tasks.segmentation_data import SegmentationData

    shown = pictures(64, seed=10)
    with mediapipe.solutions.selfie_segmentation.SelfieSegmentation(model_selection=0) as pipeline:
        maps = [pipeline.process(picture).segmentation_mask for picture in shown]
    return SegmentationData(shown, [(map_ >= 0.5).astype(np.uint8) for map_ in maps], CLASSES)
