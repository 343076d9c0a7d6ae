"""The levels of a series: candidates by PELT, and those of them that its noise does not explain.

PELT (Killick, Fearnhead and Eckley 2012, "Optimal detection of changepoints with a linear
computational cost", JASA 107) as `ruptures` has it, with the squared error as cost. Series are in
standard deviations of a night; edges are the first nights of the levels, with 0 and the count.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SHORTEST = 3
"""Nights that a level must hold before it is called one; less is an outlier."""

_SHORT = 2 * SHORTEST  # nights below which a level's mean is not normal where its noise is not
_MOST_MEMORY = 0.9  # the correlation of neighbouring nights that is still taken for noise
_LONGEST = 1500  # nights: the quick look keeps their square in memory
_NEARLY = 0.99  # sums of single precision
_TINY = 1e-12  # squared standard deviations of a night: below it there is only rounding


def pelt(scaled: Array, price: float) -> list[int]:
    """The edges of the levels, 0 and the end among them."""
    if not may_have_levels(scaled, price):
        return [0, len(scaled)]
    import ruptures

    model: Any = ruptures.KernelCPD(kernel="linear", min_size=SHORTEST)
    ends = model.fit(scaled.reshape(-1, 1)).predict(pen=price)
    return [0, *(int(end) for end in ends)]


def may_have_levels(scaled: Array, price: float) -> bool:
    """False only when PELT would find nothing, told in a fraction of its time.

    One step is worth its price when the best split gains it. Several, k, gain k times the price
    together, so that one of their k + 1 levels, apart from the mean, gains two thirds of it.
    """
    count = len(scaled)
    if count > _LONGEST:
        return True
    sums = np.zeros(count + 1)
    np.cumsum(scaled - scaled.mean(), out=sums[1:])
    places = np.arange(1, count)
    if float((sums[1:-1] ** 2 * (1 / places + 1 / (count - places))).max()) >= price * _NEARLY:
        return True
    single = sums.astype(np.float32)
    apart = single[:, None] - single[None, :]
    apart *= apart
    apart *= _shares(count)
    return float(apart.max()) >= price * _NEARLY * 2 / 3


@lru_cache(maxsize=64)
def _shares(count: int) -> NDArray[np.float32]:
    """One over the nights between two places, 0 where those are too few for a level."""
    ends = np.arange(count + 1)
    nights = ends[:, None] - ends[None, :]
    return np.where(nights >= SHORTEST, 1 / np.maximum(nights, 1), 0).astype(np.float32)


def proven(scaled: Array, edges: list[int], price: float) -> tuple[list[int], float]:
    """The edges that are steps, and the factor by which the noise's memory widens an error.

    The weakest edge goes first, for as long as it gains less than `price` times the variance that
    the memory gives to the mean of many nights. Without it the memory is estimated anew: a slow
    wave, which PELT cuts into many levels, then counts as noise with a long memory. A level of
    fewer than six nights lies apart from the level beside it with every night, so that skewed
    noise makes none.
    """
    edges = list(edges)
    while len(edges) > 2:
        error = _variance(scaled, edges) * _memory(scaled, edges)
        beside = list(zip(edges, edges[1:], edges[2:], strict=False))
        gains = [_gain(scaled[a:b], scaled[b:c]) for a, b, c in beside]
        weakest = int(np.argmin(gains))
        if gains[weakest] < price * error:
            del edges[weakest + 1]
            continue
        mixed = [n for n, (a, b, c) in enumerate(beside) if _mixed(scaled[a:b], scaled[b:c])]
        if not mixed:
            break
        del edges[min(mixed, key=gains.__getitem__) + 1]
    return edges, math.sqrt(_memory(scaled, edges))


def _gain(before: Array, after: Array) -> float:
    """What the edge between two levels gains, in squared standard deviations."""
    return float((after.mean() - before.mean()) ** 2) / (1 / len(before) + 1 / len(after))


def _mixed(before: Array, after: Array) -> bool:
    """Whether one of both is short and a night of it lies among those of the other."""
    if min(len(before), len(after)) >= _SHORT:
        return False
    return bool(before.max() >= after.min() and after.max() >= before.min())


def _variance(scaled: Array, edges: list[int]) -> float:
    return max(cost(scaled, edges) / max(1, len(scaled) - len(edges) + 1), _TINY)


def _memory(scaled: Array, edges: list[int]) -> float:
    """How much more a mean over many nights varies than were they independent: (1 + r) / (1 - r)
    of a first-order autoregressive noise.

    The correlation r of neighbouring nights around their levels, with the bias of (1 + 3 r) / n
    for each fitted mean taken off (Kendall 1954, "Note on bias in the estimation of
    autocorrelation", Biometrika 41).
    """
    left = scaled - nightly_levels(scaled, edges)
    total = float(left @ left)
    if total <= _TINY * len(left):  # rounding has no memory
        return 1.0
    r = float(left[1:] @ left[:-1]) / total
    r += (1 + 3 * r) * (len(edges) - 1) / len(left)
    r = min(max(r, 0.0), _MOST_MEMORY)
    return (1 + r) / (1 - r)


def cost(scaled: Array, edges: list[int]) -> float:
    """The sum of squares around the levels."""
    pairs = pairwise(edges)
    return float(sum(((scaled[a:b] - scaled[a:b].mean()) ** 2).sum() for a, b in pairs))


def nightly_levels(flat: Array, edges: list[int]) -> Array:
    """The mean of each night's level."""
    pairs = pairwise(edges)
    return np.concatenate([np.full(b - a, flat[a:b].mean()) for a, b in pairs])
