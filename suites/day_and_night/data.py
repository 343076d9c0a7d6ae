"""Scenes of the digit detector from two cameras by day, and others by night."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from suites.digits.data import Composer, Split, instances, splits_of
from suites.made_once import made_once

if TYPE_CHECKING:
    from pytest_perfgate.tasks.detection.data import DetectionData

HALL, YARD, NIGHT = 0.5, 1.0, 0.25
"""The share of a scene's light that reaches the sensor; its noise stays the same."""

_YARD_EVERY = 8
"""Of the validation images, each of so many is from the camera in the yard."""

SPLITS = splits_of(
    "day_and_night",
    train=(240, 41),
    calibration=(64, 42),
    validation=(320, 43),
)
_NIGHT = splits_of("night", train=(240, 51), validation=(160, 53))


def train() -> DetectionData:
    """240 scenes of both cameras."""
    return _load(SPLITS["train"], by_day)


def calibration() -> DetectionData:
    """64 scenes, all from the camera in the hall: a calibration set as they often are."""
    return _load(SPLITS["calibration"], in_the_hall)


def validation() -> DetectionData:
    """320 scenes, of which 40 are from the camera in the yard."""
    return _load(SPLITS["validation"], by_day)


def night() -> DetectionData:
    """160 scenes by night."""
    return _load(_NIGHT["validation"], by_night)


def night_train() -> DetectionData:
    """240 other scenes by night, to adapt to."""
    return _load(_NIGHT["train"], by_night)


def by_day(index: int) -> tuple[str, float]:
    """The camera of an image by day, and the share of the light."""
    return ("yard", YARD) if index % _YARD_EVERY == 0 else ("hall", HALL)


def in_the_hall(_index: int) -> tuple[str, float]:
    """The same for an image of the camera in the hall, by day."""
    return "hall", HALL


def by_night(_index: int) -> tuple[str, float]:
    """The same by night."""
    return "hall", NIGHT


def exposed(image: npt.NDArray[np.uint8], share: float, seed: int) -> npt.NDArray[np.uint8]:
    """An image, uint8 (H, W, 3), with a share of its light and a sensor's noise of 3 levels."""
    noise = np.random.default_rng(seed).normal(0.0, 3.0, image.shape[:2])[..., None]
    levels = np.round(image * np.float32(share) + noise)
    return np.clip(levels, 0, 255).astype(np.uint8)


def _load(split: Split, seen_by: Any) -> DetectionData:
    from pytest_perfgate.tasks.detection.data import DetectionData

    kept = made_once(f"digits-{split.name}", lambda: _make(split, seen_by), __file__)
    return DetectionData(images=kept["images"], coco=kept["annotations"])


def _make(split: Split, seen_by: Any) -> dict[str, Any]:
    composer = Composer(split, split.seed)
    scenes = [composer.scene() for _ in range(split.scenes)]
    views = [seen_by(index) for index in range(len(scenes))]
    coco = instances(scenes)
    for entry, (camera, _) in zip(coco["images"], views, strict=True):
        entry["camera"] = camera
    images = [
        exposed(scene.image, share, split.seed * 10_000 + index)
        for index, (scene, (_, share)) in enumerate(zip(scenes, views, strict=True))
    ]
    return {"images": np.stack(images), "annotations": coco}
