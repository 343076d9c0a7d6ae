"""Arrival times of requests: drawn before a run, so that no answer can delay them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def poisson_arrivals(rate: float, count: int, seed: int) -> Floats:
    """Arrival times of a Poisson process: the gaps are exponential, and independent.

    Args:
        rate: requests per second, on average.
        count: how many.
        seed: the same seed gives the same times.

    Returns:
        (count,), seconds from the begin of the run, ascending.

    Raises:
        ValueError: the rate is not above 0 or not finite, or the count is below 1.
    """
    if not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"rate {rate!r} is not above 0")
    if count < 1:
        raise ValueError(f"count {count!r} is below 1")
    gaps = np.random.default_rng(seed).standard_exponential(count)
    times: Floats = np.cumsum(gaps) / rate
    return times
