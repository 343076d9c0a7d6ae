"""Bounds on a probability, a quantile and a mean, of values that keep coming, valid at every count.

**A probability p** of a property, from s of n values that have it. The likelihood of the values
under p drawn from Beta(1/2, 1/2), divided by that under p,

    B(s + 1/2, n - s + 1/2) / B(1/2, 1/2) / (p^s (1 - p)^(n - s)),

is a martingale under p that begins with 1 (Robbins 1970, "Statistical methods related to the law of
the iterated logarithm", Annals of Mathematical Statistics 41; as the beta-binomial mixture in
Howard, Ramdas, McAuliffe & Sekhon 2021, Annals of Statistics 49). By Ville's inequality the chance
that it *ever* reaches 1 / alpha is at most alpha, and the p where it has not are an interval.

**A quantile**: of continuous values, s of n lie up to the quantile of share q with the chance q
each. The s that are not refuted this way end at two values of the sample.

**A mean** of values in [0, 1]: the predictable plug-in empirical-Bernstein confidence sequence
(Waudby-Smith & Ramdas 2024, "Estimating means of bounded random variables by betting", Journal of
the Royal Statistical Society B 86, theorem 2).

Values are taken to be drawn independently.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import special
from scipy.optimize import brentq

from pytest_perfgate.stats.sequential import Bounds

Floats = npt.NDArray[np.float64]

_BOLDEST = 0.5  # of a bet on a mean, as its authors have it


def _evidence(having: Floats, count: int, probability: float) -> Floats:
    """The log of the ratio, of each number of `having`."""
    lacking = count - having
    ours: Floats = special.betaln(having + 0.5, lacking + 0.5) - special.betaln(0.5, 0.5)
    theirs: Floats = special.xlogy(having, probability) + special.xlog1py(lacking, -probability)
    return ours - theirs


def probability_bounds(having: int, count: int, alpha: float) -> Bounds:
    """Estimate and bounds, wrong at any count with a chance of at most `alpha`, of a probability.

    Raises:
        ValueError: `having` is not between 0 and `count`, or alpha not between 0 and 1.
    """
    _check_alpha(alpha)
    if not 0 <= having <= count:
        raise ValueError(f"{having} of {count}")
    if not count:
        return math.nan, 0.0, 1.0
    needed, share = -math.log(alpha), having / count

    def beyond(probability: float) -> float:
        return float(_evidence(np.array(float(having)), count, probability)) - needed

    low = 0.0 if not having else brentq(beyond, _LEAST, share)
    high = 1.0 if having == count else brentq(beyond, share, 1.0 - _LEAST)
    return share, float(low), float(high)


_LEAST = 1e-15  # so near to 0 and 1 every share between them is refuted


def quantile_bounds(values: Floats, share: float, alpha: float) -> Bounds:
    """Estimate and bounds, wrong at any count with a chance of at most `alpha`, of a quantile of
    continuous values (N,): infinite where the values do not reach.

    Raises:
        ValueError: there are no values, or share or alpha is not between 0 and 1.
    """
    _check_alpha(alpha)
    if not 0 < share < 1 or not values.size:
        raise ValueError(f"quantile {share!r} of {values.size} values")
    ordered = np.sort(values)
    count = len(ordered)
    evidence = _evidence(np.arange(count + 1, dtype=np.float64), count, share)
    possible = np.flatnonzero(evidence < -math.log(alpha))
    least, most = int(possible[0]), int(possible[-1])
    low = float(ordered[least - 1]) if least else -math.inf
    high = float(ordered[most]) if most < count else math.inf
    return float(np.quantile(ordered, share)), low, high


def mean_bounds_of_shares(values: Floats, alpha: float) -> Bounds:
    """Estimate and bounds, wrong at any count with a chance of at most `alpha`, of the mean of
    values from 0 to 1, (N,), in the order of their arrival.

    Raises:
        ValueError: there are no values or some are out of range, or alpha is not between 0 and 1.
    """
    _check_alpha(alpha)
    if not values.size or not ((values >= 0) & (values <= 1)).all():
        raise ValueError("values must be from 0 to 1, and there must be some")
    at = np.arange(1, len(values) + 1)
    means = (0.5 + np.cumsum(values)) / (at + 1)
    variances = (0.25 + np.cumsum((values - means) ** 2)) / (at + 1)
    before_means = np.concatenate([[0.5], means[:-1]])
    before_variances = np.concatenate([[0.25], variances[:-1]])
    wanted = 2.0 * math.log(2.0 / alpha) / (before_variances * at * np.log1p(at))
    bets = np.minimum(np.sqrt(wanted), _BOLDEST)
    squares = 4.0 * (values - before_means) ** 2
    costs = (-np.log1p(-bets) - bets) / 4.0
    total = float(bets.sum())
    middle = float(bets @ values) / total
    wide = (math.log(2.0 / alpha) + float(squares @ costs)) / total
    return float(values.mean()), max(0.0, middle - wide), min(1.0, middle + wide)


def _check_alpha(alpha: float) -> None:
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha {alpha!r} is not between 0 and 1")
