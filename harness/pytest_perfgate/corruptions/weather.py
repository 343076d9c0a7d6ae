"""Weather: snow, frost, fog and light. Pictures float64 (H, W, 3) from 0 to 1."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pytest_perfgate.corruptions.blurs import enlarged, moved

Picture = npt.NDArray[np.float64]

_GREY = np.array([0.299, 0.587, 0.114])
"""Shares of red, green and blue in luma (ITU-R BT.601)."""

_ICE = np.array([0.52, 0.61, 0.65])
"""Mean colour of ice on a lens."""


def snow(picture: Picture, severity: int, random: np.random.Generator) -> Picture:
    """Flakes as streaks, and a picture that is paler."""
    mean, deviation, size, least, radius, spread, kept = (
        (0.1, 0.3, 3.0, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2.0, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4.0, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    )[severity]
    flakes = enlarged(random.normal(mean, deviation, picture.shape[:2]), size)
    flakes = np.clip(np.where(flakes < least, 0.0, flakes), 0.0, 1.0)
    flakes = moved(flakes, radius, spread, random.uniform(-135, -45))[..., None]
    pale = np.maximum(picture, (picture @ _GREY)[..., None] * 1.5 + 0.5)
    result: Picture = kept * picture + (1 - kept) * pale + flakes + np.rot90(flakes, 2)
    return result


def frost(picture: Picture, severity: int, random: np.random.Generator) -> Picture:
    """Ice over a picture that is darker. The ice is drawn: ridges of a fractal are its needles."""
    kept, ice = ((1.0, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))[severity]
    height, width = picture.shape[:2]
    ridges = np.zeros((height, width))
    for decay in (1.25, 1.4, 1.7):
        ridges += 1 - np.abs(2 * fractal(height, width, decay, random) - 1)
    needles = (ridges - ridges.mean()) / max(float(ridges.std()), 1e-9)
    layer = np.clip(random.uniform(0.6, 1.3) + 0.2 * needles, 0.0, 1.6)
    result: Picture = kept * picture + ice * layer[..., None] * _ICE
    return result


def fog(picture: Picture, severity: int, random: np.random.Generator) -> Picture:
    """A fractal cloud that takes away contrast."""
    dense, decay = ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))[severity]
    brightest = float(picture.max())
    height, width = picture.shape[:2]
    cloud = fractal(height, width, decay, random)[..., None]
    return (picture + dense * cloud) * brightest / max(brightest + dense, 1e-9)


def brightness(picture: Picture, severity: int, _random: np.random.Generator) -> Picture:
    """More of the value of HSV: hue and saturation stay. Nothing is drawn."""
    more = (0.1, 0.2, 0.3, 0.4, 0.5)[severity]
    value = picture.max(axis=-1, keepdims=True)
    lighter = np.minimum(value + more, 1.0)
    result: Picture = np.where(value > 0, picture * lighter / np.maximum(value, 1e-9), lighter)
    return result


def fractal(height: int, width: int, decay: float, random: np.random.Generator) -> Picture:
    """A cloud (height, width) from 0 to 1 by midpoint displacement (Fournier, Fussell and Carpenter
    1982, "Computer Rendering of Stochastic Models"): at half the distance displacements are smaller
    by `decay` squared.
    """
    side = 1 << max(1, (max(height, width) - 1).bit_length())
    cloud = np.zeros((side, side))
    step, most = side, 1.0
    while step > 1:
        half = step // 2
        corners = cloud[::step, ::step]
        # The cloud is periodic, so that each point has four neighbours.
        pairs = corners + np.roll(corners, -1, axis=0)
        middles = _displaced(pairs + np.roll(pairs, -1, axis=1), most, random)
        cloud[half::step, half::step] = middles
        rows = corners + np.roll(corners, -1, axis=1) + middles + np.roll(middles, 1, axis=0)
        cloud[::step, half::step] = _displaced(rows, most, random)
        columns = corners + np.roll(corners, -1, axis=0) + middles + np.roll(middles, 1, axis=1)
        cloud[half::step, ::step] = _displaced(columns, most, random)
        step, most = half, most / decay**2
    cloud = (cloud - cloud.min()) / max(float(np.ptp(cloud)), 1e-9)
    result: Picture = cloud[:height, :width]
    return result


def _displaced(sums: Picture, most: float, random: np.random.Generator) -> Picture:
    """Means of four neighbours, moved by at most `most`."""
    return sums / 4 + random.uniform(-most, most, sums.shape)
