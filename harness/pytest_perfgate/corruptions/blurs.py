"""Blurs: a mean of neighbours. Pictures float64 (H, W, 3) from 0 to 1."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.signal import oaconvolve

Picture = npt.NDArray[np.float64]


def defocus_blur(picture: Picture, severity: int, _random: np.random.Generator) -> Picture:
    """The mean over a disk with a soft edge. Nothing is drawn."""
    radius, edge = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))[severity]
    reach = max(8, radius)
    steps = np.arange(-reach, reach + 1)
    disk = (steps[:, None] ** 2 + steps**2 <= radius**2).astype(np.float64)
    disk = ndimage.gaussian_filter(disk / disk.sum(), edge, truncate=1 / edge if reach == 8 else 4)
    height, width = picture.shape[:2]
    rim = ((min(reach, height - 1),) * 2, (min(reach, width - 1),) * 2, (0, 0))
    padded = np.pad(picture, rim, mode="reflect")
    blurred: Picture = oaconvolve(padded, disk[..., None], mode="same", axes=(0, 1))
    return blurred[rim[0][0] : rim[0][0] + height, rim[1][0] : rim[1][0] + width]


def glass_blur(picture: Picture, severity: int, random: np.random.Generator) -> Picture:
    """Pixels change places with others nearby, between two small blurs."""
    deviation, reach, times = (
        (0.7, 1, 2),
        (0.9, 2, 1),
        (1.0, 2, 3),
        (1.1, 3, 2),
        (1.5, 4, 2),
    )[severity]
    shuffled = _smooth(picture, deviation)
    for _ in range(times):
        _swap(shuffled, reach, random)
    return _smooth(shuffled, deviation)


def motion_blur(picture: Picture, severity: int, random: np.random.Generator) -> Picture:
    """A camera that moves along a line, by up to 45 degrees from the horizontal."""
    radius, deviation = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))[severity]
    return moved(picture, radius, deviation, random.uniform(-45, 45))


def zoom_blur(picture: Picture, severity: int, _random: np.random.Generator) -> Picture:
    """The mean of the picture and of itself enlarged about its middle. Nothing is drawn."""
    end, step = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))[severity]
    factors = np.arange(1, end, step)
    total = picture.copy()
    for factor in factors:
        total += enlarged(picture, float(factor))
    return total / (len(factors) + 1)


def moved(picture: Picture, radius: int, deviation: float, angle: float) -> Picture:
    """The mean along a line of 2 * radius + 1 pixels to one side, (H, W) or (H, W, C): weights fall
    as a normal density, `angle` is in degrees. Pixels outside are those of the edge.
    """
    length = 2 * radius + 1
    weights = np.exp(-(np.arange(length) ** 2) / (2 * deviation**2))
    weights /= weights.sum()
    down, right = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    height, width = picture.shape[:2]
    flat = ((0, 0),) * (picture.ndim - 2)
    padded = np.pad(picture, ((length, length), (length, length), *flat), mode="edge")
    total = np.zeros_like(picture)
    for step, weight in enumerate(weights):
        top, left = length + round(step * down), length + round(step * right)
        total += weight * padded[top : top + height, left : left + width]
    return total


def enlarged(picture: Picture, factor: float) -> Picture:
    """The middle of a picture (H, W) or (H, W, C), enlarged to the picture's size, bilinearly."""
    for axis in (0, 1):
        length = picture.shape[axis]
        middle = (length - 1) / 2
        places = middle + (np.arange(length) - middle) / factor
        first = np.clip(np.floor(places).astype(np.int64), 0, max(0, length - 2))
        second = np.minimum(first + 1, length - 1)
        share = (places - first).reshape((-1, *(1,) * (picture.ndim - 1 - axis)))
        picture = (1 - share) * picture.take(first, axis) + share * picture.take(second, axis)
    return picture


def _smooth(picture: Picture, deviation: float) -> Picture:
    result: Picture = ndimage.gaussian_filter(picture, (deviation, deviation, 0), mode="nearest")
    return result


def _swap(picture: Picture, reach: int, random: np.random.Generator) -> None:
    """Swaps each pixel with one at most `reach` rows and columns away, in place. Pixels that are
    2 * reach + 1 apart cannot meet, so they are swapped at once.
    """
    height, width = picture.shape[:2]
    apart = 2 * reach + 1
    for start in random.permutation(apart * apart).tolist():
        rows, columns = np.meshgrid(
            np.arange(reach + start // apart, height - reach, apart),
            np.arange(reach + start % apart, width - reach, apart),
            indexing="ij",
        )
        down, right = random.integers(-reach, reach + 1, (2, *rows.shape))
        here, there = (rows, columns), (rows + down, columns + right)
        picture[here], picture[there] = picture[there], picture[here]
