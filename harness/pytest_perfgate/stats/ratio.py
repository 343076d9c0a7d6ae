"""Ratios of sums over images, and their uncertainty from the images."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pytest_perfgate.stats.image_bootstrap import DRAWS, Estimate, freedom_of

Floats = npt.NDArray[np.float64]

_GROUPS = 500  # at most so many leave-outs, as in `precision`

Sums = tuple[Floats, Floats]
"""Numerator and denominator per image (images,)."""


def bootstrap(one: Sums, other: Sums | None = None, seed: int = 0) -> Estimate:
    """The ratio of sums of `one`, less that of `other`, with its error over images.

    The draws of images are the same for both sides and for the same seed. Variance, degrees of
    freedom, and the one image that is added to those there are, as `precision.Estimate` says: an
    image whose one detection changes wholly.

    Raises:
        ValueError: no images, sides of different images, or nothing to divide by.
    """
    sides = [one] if other is None else [one, other]
    images = len(one[0])
    if not images or any(len(part) != images for side in sides for part in side):
        raise ValueError("the sides must be of the same images, and there must be some")
    least = min(float(side[1].sum()) for side in sides)
    if least <= 0:
        raise ValueError("there is nothing to divide by")
    signs = (1.0, -1.0)

    def value(weights: Floats) -> Floats:
        total = np.zeros(weights.shape[0])
        for sign, (top, bottom) in zip(signs, sides, strict=False):
            below = weights @ bottom
            total += sign * np.divide(
                weights @ top, below, out=np.full(len(below), math.nan), where=below > 0
            )
        return total

    estimate = float(value(np.ones((1, images)))[0])
    if images == 1:
        return Estimate(estimate, math.inf, 1.0, 0)
    drawn = value(_draws(images, seed).astype(float))
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) < 2:
        return Estimate(estimate, math.inf, 1.0, DRAWS)
    spread = float(drawn.var(ddof=1)) * images / (images - 1)
    unit = 1.0 / least
    groups = min(images, _GROUPS)
    member = np.arange(images) % groups
    without = value((member[None, :] != np.arange(groups)[:, None]).astype(float))
    freedom = freedom_of(without, unit)
    freedom = 1.0 / (1.0 / freedom + 1.0 / (len(drawn) - 1))
    return Estimate(estimate, math.hypot(math.sqrt(spread), unit), freedom, DRAWS)


@lru_cache(maxsize=1)
def _draws(images: int, seed: int) -> npt.NDArray[np.uint8]:
    """How often each image is drawn (draws, images). Kept, because drawing takes longer than all
    that is done with it, and most ratios of a session are over the same images.
    """
    random = np.random.default_rng(seed)
    # None is drawn 256 times: of `images` draws with replacement it expects one.
    return random.multinomial(images, np.full(images, 1.0 / images), DRAWS).astype(np.uint8)
