"""What pictures look like as a whole, in nine numbers: brightness, colours, contrast and size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

NAMES = (
    "brightness",
    "red_mean",
    "green_mean",
    "blue_mean",
    "red_deviation",
    "green_deviation",
    "blue_deviation",
    "width",
    "height",
)
"""Names of the numbers, in the order of `statistics`."""

PIXELS = 1024
"""Pixels of a picture that are read, about: a grid over it. A live request waits for them."""

_LUMA = (0.299, 0.587, 0.114)


def grid(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """A copy of every k-th pixel of every n-th row of a picture, uint8 (H, W, 3 or 4): about
    `PIXELS` of them, of a smaller picture all.

    Raises:
        ValueError: it is no picture.
    """
    if getattr(image, "dtype", None) != np.uint8 or image.ndim != 3 or image.shape[2] < 3:
        kind = f"{getattr(image, 'dtype', type(image).__name__)} {getattr(image, 'shape', '')}"
        raise ValueError(f"a picture is uint8 (H, W, 3), and this is {kind}")
    if not image.size:
        raise ValueError("the picture has no pixels")
    height, width = image.shape[:2]
    share = height * width / PIXELS
    # What the short side of a strip cannot leave out, the long side does.
    rows = min(max(math.isqrt(int(share)), math.ceil(share / width)), height)
    rows = max(1, rows)
    columns = max(1, math.ceil(share / rows))
    return image[::rows, ::columns, :3].copy()


def statistics(pixels: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """The numbers of `NAMES` (9,) of a picture of a size (height, width) with the pixels of `grid`:
    levels 0 to 255, deviations in levels, sides in pixels. Brightness is the luma of ITU-R BT.601.
    """
    channels = np.ascontiguousarray(pixels.reshape(-1, 3).T, dtype=np.float32)
    means, deviations = channels.mean(axis=1), channels.std(axis=1)
    height, width = size
    brightness = float(means @ np.array(_LUMA, np.float32))
    return np.array([brightness, *means, *deviations, width, height], dtype=np.float64)
