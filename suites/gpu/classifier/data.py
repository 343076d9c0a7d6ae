"""Crops of ten photographs that come with scikit-image; a crop's class is its photograph.

Calibration crops are of the left half of a photograph, validation crops of its right half, so that
no pixel is in both. Crops have random places and sizes, the same ones every time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pytest_perfgate.tasks.classification.data import ClassificationData

SIDE = 224
CLASSES = (
    "astronaut",
    "brick",
    "chelsea",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "hubble_deep_field",
    "page",
    "rocket",
)
"""Functions of `skimage.data`, each of which returns one photograph."""

Image = npt.NDArray[np.uint8]


def calibration() -> ClassificationData:
    """80 crops, eight of each class: for calibrating quantizers, and for the head of the model."""
    return _crops(8, seed=1, right=False)


def validation() -> ClassificationData:
    """200 crops, 20 of each class."""
    return _crops(20, seed=2, right=True)


def _crops(count: int, *, seed: int, right: bool) -> ClassificationData:
    from pytest_perfgate.tasks.classification.data import ClassificationData

    generator = np.random.default_rng(seed)
    images: list[Image] = []
    labels: list[int] = []
    for label, name in enumerate(CLASSES):
        half = _half(name, right=right)
        for _ in range(count):
            images.append(_crop(half, generator))
            labels.append(label)
    return ClassificationData(images, labels, CLASSES)


def _half(name: str, *, right: bool) -> Image:
    """The left or the right half of a photograph: uint8 (H, W, 3)."""
    import skimage.data

    image: Any = getattr(skimage.data, name)()
    grey = image.ndim == 2
    pixels: Image = np.repeat(image[..., None], 3, axis=2) if grey else image[..., :3]
    middle = pixels.shape[1] // 2
    return pixels[:, middle:] if right else pixels[:, :middle]


def _crop(image: Image, generator: np.random.Generator) -> Image:
    """A square of 60 to 100 % of the shorter side, enlarged to uint8 (SIDE, SIDE, 3)."""
    from PIL import Image as Pillow

    height, width = image.shape[:2]
    side = int(generator.uniform(0.6, 1.0) * min(height, width))
    top, left = (int(generator.integers(extent - side + 1)) for extent in (height, width))
    cut = Pillow.fromarray(image[top : top + side, left : left + side])
    return np.asarray(cut.resize((SIDE, SIDE), Pillow.Resampling.BICUBIC))
