"""Random rotated boxes, and detections near them."""

from __future__ import annotations

import numpy as np
from pytest_perfgate.tasks.oriented.data import Oriented, OrientedData
from pytest_perfgate.tasks.polygons import rotated

SIDE = 200
CLASSES = ("plane", "ship", "harbor")


def scene(
    seed: int, images: int = 6, difficult: float = 0.2, levels: int = 0
) -> tuple[OrientedData, list[Oriented]]:
    """Objects of which some are difficult and some quadrilaterals are no rectangles, and detections
    that are turned, moved and of other classes.
    """
    random = np.random.default_rng(seed)
    corners, categories, hard, predictions = [], [], [], []
    for _ in range(images):
        count = int(random.integers(1, 7))
        boxes = np.concatenate(
            [
                random.uniform(40, 160, (count, 2)),
                random.uniform(15, 60, (count, 2)),
                random.uniform(-np.pi, np.pi, (count, 1)),
            ],
            axis=1,
        )
        kinds = random.integers(0, len(CLASSES), count)
        skewed = rotated(boxes) + random.uniform(-3, 3, (count, 4, 2))
        corners.append(skewed)
        categories.append(kinds)
        hard.append(random.random(count) < difficult)
        repeated = np.repeat(np.arange(count), random.integers(0, 4, count))
        noise = random.normal(0, 1, (len(repeated), 5)) * (4, 4, 4, 4, 0.12)
        turned = boxes[repeated] + noise * random.uniform(0, 1.5, (len(repeated), 1))
        turned[:, 2:4] = np.maximum(turned[:, 2:4], 4)
        scores = random.random(len(repeated)).astype(np.float32)
        if levels:
            scores = np.ceil(scores * levels) / levels
        order = np.argsort(-scores, kind="stable")
        wrong = random.random(len(repeated)) < 0.1
        called = np.where(wrong, (kinds[repeated] + 1) % len(CLASSES), kinds[repeated])
        predictions.append(
            Oriented(
                rotated(turned)[order].astype(np.float32),
                scores[order].astype(np.float32),
                called[order],
            )
        )
    pixels = [np.full((SIDE, SIDE, 3), row, np.uint8) for row in range(images)]
    return OrientedData(pixels, corners, categories, hard, CLASSES), predictions
