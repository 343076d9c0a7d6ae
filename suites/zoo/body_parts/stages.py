"""NudeNet's pixels as its package makes them: padded to a square, then resized, in BGR."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pytest_perfgate.tasks.pixels.geometry import Placed

_SIDE = 320


def prepare(image: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], Placed]:
    """A picture (H, W, 3) to numbers (3, 320, 320)."""
    import cv2

    height, width = image.shape[:2]
    side = max(height, width)
    square = np.zeros((side, side, 3), np.uint8)
    square[:height, :width] = image[:, :, ::-1]
    small = cv2.resize(square, (_SIDE, _SIDE)).transpose(2, 0, 1).astype(np.float32)
    small /= 255
    return small, Placed((_SIDE / side, _SIDE / side), (height, width), network=(_SIDE, _SIDE))
