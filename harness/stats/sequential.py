"""Confidence bounds for the mean over launches that hold at every look.

Launches are added until something is decided, so data are looked at more than once. A bound that
is right at one look with probability 1 - a is wrong at one of many looks far more often. Here the
allowed error is spent over looks that are fixed beforehand (alpha spending: Lan & DeMets 1983,
Biometrika 70; with a union bound over the looks instead of the joint law, so that it holds under
any dependence between looks). At look k of n_k launches the bound is Student's t one-sided bound
at level alpha * w_k, with sum of w_k at most 1. Stopping at any look, for any reason, keeps the
error at most alpha when launches are independent and roughly normal on the log scale.

Between two looks the bounds of the last look stand: values that came after it are not used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

LOOKS = (3, 4, 5, 6, 8, 10, 12, 15, 19, 24, 30, 38, 48, 60)
"""Launches after which the data are looked at; about a quarter more each time."""

_FLOOR = 1e-6
"""Least standard deviation: clocks are not finer, and equal values prove no more."""

Bounds = tuple[float, float, float]
"""Estimate, low, high."""


def look_of(count: int) -> int:
    """The last look that `count` launches have reached, 0 before the first."""
    reached = [look for look in LOOKS if look <= count]
    return reached[-1] if reached else 0


def share_of(look: int) -> float:
    """The part of alpha that is spent at a look. Later looks get more, since they are the ones
    that decide; the parts of all looks add up to 1.
    """
    weights = [1.0 + index for index in range(len(LOOKS))]
    return weights[LOOKS.index(look)] / sum(weights)


def mean_bounds(values: Sequence[float], alpha_low: float, alpha_high: float) -> Bounds:
    """One-sided bounds on the mean of the launches' values, valid at every look.

    The mean lies below `low` with probability at most `alpha_low`, above `high` with at most
    `alpha_high`, at all looks together. Before the first look the bounds are infinite.

    Raises:
        ValueError: no values, or one that is not finite.
    """
    array = _checked(values)
    look = look_of(len(array))
    if not look:
        return float(array.mean()), -math.inf, math.inf
    seen = array[:look]
    share = share_of(look)
    error = _deviation(seen) / math.sqrt(look)
    mean = float(seen.mean())
    low = mean - error * float(stats.t.isf(alpha_low * share, look - 1))
    high = mean + error * float(stats.t.isf(alpha_high * share, look - 1))
    return mean, low, high


def fixed_bounds(values: Sequence[float], alpha: float) -> Bounds:
    """Student's t bounds, `alpha` on each side, of all values at one fixed look.

    Raises:
        ValueError: fewer than two values, or one that is not finite.
    """
    array = _checked(values)
    if len(array) < 2:
        raise ValueError("two values at least")
    wide = _deviation(array) / math.sqrt(len(array)) * float(stats.t.isf(alpha, len(array) - 1))
    mean = float(array.mean())
    return mean, mean - wide, mean + wide


def two_sample_bounds(
    now: Sequence[float], then: Sequence[float], alpha: float, transfer_sd: float = 0.0
) -> Bounds:
    """Bounds on mean(now) - mean(then), `alpha` on each side, valid at every look at `now`.

    Welch's t with the degrees of freedom of Satterthwaite (1946, Biometrics 2). `transfer_sd` is
    a standard deviation that is known to stand between the two sessions; its square is added to
    the error as if known exactly.

    Raises:
        ValueError: fewer than two values in `then`, none in `now`, or one that is not finite.
    """
    fresh, old = _checked(now), _checked(then)
    if len(old) < 2:
        raise ValueError("two earlier values at least")
    look = look_of(len(fresh))
    if not look:
        return float(fresh.mean() - old.mean()), -math.inf, math.inf
    seen = fresh[:look]
    estimate = float(seen.mean() - old.mean())
    parts = (_deviation(seen) ** 2 / look, _deviation(old) ** 2 / len(old))
    square = sum(parts) + transfer_sd**2
    freedom = square**2 / (parts[0] ** 2 / (look - 1) + parts[1] ** 2 / (len(old) - 1))
    wide = math.sqrt(square) * float(stats.t.isf(alpha * share_of(look), freedom))
    return estimate, estimate - wide, estimate + wide


def _checked(values: Sequence[float]) -> npt.NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0 or not np.isfinite(array).all():
        raise ValueError("values must be finite, and there must be some")
    return array


def _deviation(values: npt.NDArray[np.float64]) -> float:
    return max(float(values.std(ddof=1)), _FLOOR)
