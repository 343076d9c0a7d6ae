"""Small maps of three classes, and segmenters' predictions of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pytest_perfgate.tasks.segmentation.data import SegmentationData, Segments

CLASSES = ("road", "car", "sky")
IGNORED = 255

Mask = npt.NDArray[np.uint8]


def blocks(index: int, height: int = 24, width: int = 32) -> Mask:
    """Sky above road with a car, at another place for each index; a column is ignored."""
    mask = np.zeros((height, width), np.uint8)
    mask[: 6 + index % 5] = 2
    left = 2 + 3 * index % 16
    mask[14:20, left : left + 8] = 1
    mask[:, -2:] = IGNORED
    return mask


def data(count: int = 12, **more: Any) -> SegmentationData:
    """Grey images with `blocks` as masks."""
    masks = [blocks(index) for index in range(count)]
    images = [np.full((*mask.shape, 3), 90, np.uint8) for mask in masks]
    return SegmentationData(**{"images": images, "masks": masks, "classes": CLASSES} | more)


def segments(labels: npt.NDArray[Any], sure: float = 0.9) -> Segments:
    """Labels of three classes, with the same scores everywhere: `sure` of the first."""
    scores = np.tile(np.array([sure, (1 - sure) / 2, (1 - sure) / 2], np.float32), (144, 1))
    return Segments(labels.astype(np.uint8), scores, len(CLASSES))


def noisy(count: int = 12, share: float = 0.1, seed: int = 0) -> list[Segments]:
    """Predictions of `data` in which a share of the pixels has a random class."""
    random = np.random.default_rng(seed)
    predictions = []
    for index in range(count):
        labels = np.where(blocks(index) == IGNORED, 0, blocks(index))
        wrong = random.random(labels.shape) < share * random.uniform(0.2, 1.8)
        labels = np.where(wrong, random.integers(0, 3, labels.shape), labels)
        predictions.append(segments(labels))
    return predictions
