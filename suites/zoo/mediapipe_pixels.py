"""Pixels as MediaPipe's ImageToTensorCalculator makes them: one perspective transform that maps the
corners of the region to those of the input, without the shift of half a pixel of other resizers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pytest_perfgate.tasks.pixels.geometry import Placed

Prepared = tuple[npt.NDArray[np.float32], Placed]


def square(image: npt.NDArray[np.uint8]) -> Prepared:
    """A picture (H, W, 3) in the middle of a black square, to numbers (3, 128, 128) in [-1, 1]."""
    side = max(image.shape[:2])
    pixels, placed = _warped(image, (side, side), 128)
    return pixels / np.float32(127.5) - 1, placed


def stretched(image: npt.NDArray[np.uint8]) -> Prepared:
    """A picture (H, W, 3) to numbers (3, 256, 256) in [0, 1]."""
    pixels, placed = _warped(image, image.shape[:2], 256)
    return pixels / np.float32(255), placed


def _warped(image: npt.NDArray[np.uint8], region: tuple[int, ...], size: int) -> Prepared:
    """The middle of the picture, `region` high and wide, as (3, size, size) from 0 to 255."""
    import cv2

    (height, width), (tall, wide) = image.shape[:2], region[:2]
    left, top = (width - wide) / 2, (height - tall) / 2
    corners = [[left, top], [left + wide, top], [left + wide, top + tall], [left, top + tall]]
    ends = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
    transform = cv2.getPerspectiveTransform(np.array(corners, np.float32), ends)
    pixels = cv2.warpPerspective(image, transform, (size, size)).transpose(2, 0, 1)
    scale = (size / wide, size / tall)
    offset = (round(-left * scale[0]), round(-top * scale[1]))
    placed = Placed(scale, (height, width), network=(size, size), offset=offset)
    return np.ascontiguousarray(pixels, dtype=np.float32), placed
