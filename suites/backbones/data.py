"""scikit-learn's 1,797 handwritten digits, one an image: the first 70 % of each class to train on,
the others to measure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pytest_perfgate.tasks.classification.data import ClassificationData

SIDE = 32
CLASSES = tuple("0123456789")
_TRAINING = 0.7
_DARKEST = 16.0  # scikit-learn's digits have 17 shades


def train() -> ClassificationData:
    """1,252 digits."""
    return _split(0.0, _TRAINING)


def validation() -> ClassificationData:
    """545 other digits."""
    return _split(_TRAINING, 1.0)


def _split(begin: float, end: float) -> ClassificationData:
    from pytest_perfgate.tasks.classification.data import ClassificationData
    from sklearn.datasets import load_digits

    known = load_digits()
    chosen: list[int] = []
    for label in range(len(CLASSES)):
        rows = np.flatnonzero(known.target == label)
        chosen += rows[int(begin * len(rows)) : int(end * len(rows))].tolist()
    images = [_enlarged(known.images[row]) for row in chosen]
    return ClassificationData(images, [int(known.target[row]) for row in chosen], CLASSES)


def _enlarged(digit: Any) -> Any:
    """8 x 8 shades to uint8 (SIDE, SIDE, 3)."""
    from PIL import Image

    small = Image.fromarray((digit * (255.0 / _DARKEST)).astype(np.uint8))
    grey = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return np.repeat(grey[..., None], 3, axis=2)
