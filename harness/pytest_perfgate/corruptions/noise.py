"""Noise: of each value of a picture by itself. Pictures float64 (H, W, 3) from 0 to 1."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.float64]


def gaussian_noise(picture: Picture, severity: int, random: np.random.Generator) -> Picture:
    """Normal noise."""
    deviation = (0.08, 0.12, 0.18, 0.26, 0.38)[severity]
    return picture + random.normal(scale=deviation, size=picture.shape)


def shot_noise(picture: Picture, severity: int, random: np.random.Generator) -> Picture:
    """As many photons as a Poisson process counts."""
    photons = (60, 25, 12, 5, 3)[severity]
    return random.poisson(picture * photons) / photons


def impulse_noise(picture: Picture, severity: int, random: np.random.Generator) -> Picture:
    """A share of all values becomes 0 or 1, as many of each."""
    share = (0.03, 0.06, 0.09, 0.17, 0.27)[severity]
    drawn = random.random(picture.shape)
    return np.where(drawn < share / 2, 0.0, np.where(drawn < share, 1.0, picture))
