"""Lines of text, half of them upside down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from suites.text.data import pages
from suites.zoo.pictures import Picture

if TYPE_CHECKING:
    from pytest_perfgate.tasks.classification_data import ClassificationData

CLASSES = ("0", "180")


def lines(count: int, seed: int) -> list[Picture]:
    """`count` lines of drawn pages, with a margin of 3 pixels."""
    data = pages(count // 4, seed)
    cuts = []
    for annotation in data.coco["annotations"]:
        left, top, width, height = annotation["bbox"]
        picture = data.images[annotation["image_id"] - 1]
        rows = slice(max(0, int(top) - 3), int(top + height) + 3)
        cuts.append(picture[rows, max(0, int(left) - 3) : int(left + width) + 3])
    return cuts[:count]


def calibration() -> ClassificationData:
    """Other lines."""
    return _turned(64, seed=15)


def validation() -> ClassificationData:
    """Lines as they are, and every second one upside down."""
    return _turned(240, seed=16)


def _turned(count: int, seed: int) -> ClassificationData:
    from pytest_perfgate.tasks.classification_data import ClassificationData

    labels = [place % 2 for place in range(count)]
    shown = [
        np.ascontiguousarray(np.rot90(line, 2 * label))
        for line, label in zip(lines(count, seed), labels, strict=True)
    ]
    return ClassificationData(shown, labels, CLASSES)
