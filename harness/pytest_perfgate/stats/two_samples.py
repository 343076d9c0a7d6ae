"""Whether a growing sample is of the distribution of a stored one, said at any time.

A stored sample (the gate's images) no longer grows; the other (live requests) does, and is looked
at as often as people like. At looks fixed beforehand (`LOOKS`) a test of two samples spends a part
of alpha; between two looks nothing is spent. By the union bound the chance that identical
distributions are *ever* called different is at most alpha, for any rule of stopping (alpha
spending: Lan & DeMets 1983, Biometrika 70). The p-value of all looks is the smallest of p_k / s_k,
where s_k is the share of alpha that look k spends. Values are taken to be drawn independently of
each other, and the stored ones as well.

**Distributions of a number** are compared by the largest distance D between the shares of values up
to any number (Kolmogorov & Smirnov). For samples of n and m values

    P(D >= d) <= C exp(-2 d^2 n m / (n + m)).

For n = m the constant C = e holds for every n, and 2.16863 from n = 4 on; for n other than m, C = 2
held in every pair that was computed but for three with fewer than four values (Wei & Dudley 2012,
"Two-sample Dvoretzky-Kiefer-Wolfowitz inequalities", Statistics and Probability Letters 82). C is e
here. Equal values make D smaller, never larger.

**Shares** are compared by Fisher's exact test (Fisher 1935): given how many of both samples have a
property, how many of the live ones have it is hypergeometric. Two-sided: twice the smaller tail.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_perfgate.stats.sequential import Spending

LOOKS = Spending(first=20, growth=1.3, halving=False)
"""Looks at 20, 26, 34, 44, 57, 74 … values."""

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison at all looks.

    Attributes:
        distance: at the last look: D, or the difference of the shares, live less stored.
        p: p-value of all looks, valid at any time; 1.0 before the first look.
        proven: live values at the first look that proved a difference; None: none did.
        values: live values at the last look; 0: there was none.
    """

    distance: float
    p: float
    proven: int | None
    values: int


def compare_numbers(
    stored: Floats, count: int, resolution: float, live: Floats, alpha: float
) -> Comparison:
    """Compares the distribution of live numbers (N,), in the order of their arrival, with that of
    `count` stored ones, of which `stored` has the ascending quantiles (K,). `resolution` is how far
    shares by the quantiles can be from those of all stored numbers.

    Raises:
        ValueError: nothing is stored, a number is not finite, or alpha is not between 0 and 1.
    """
    if not stored.size or not (np.isfinite(stored).all() and np.isfinite(live).all()):
        raise ValueError("numbers must be finite, and some must be stored")

    looks = _Looks(alpha, len(live))
    distances = np.array([largest_distance(stored, np.sort(live[:at])) for at in looks.at])
    sure = np.maximum(0.0, distances - resolution)
    harmonic = looks.at * count / (looks.at + count)
    return looks.comparison(distances, np.exp(1.0 - 2.0 * sure**2 * harmonic))


def compare_shares(
    having: int, count: int, live: npt.NDArray[np.bool_], alpha: float
) -> Comparison:
    """Compares the share of live values with a property, in the order of their arrival (N,), with
    `having` of `count` stored ones.

    Raises:
        ValueError: `having` is not between 0 and `count`, or alpha not between 0 and 1.
    """
    from scipy.stats import hypergeom

    if not 0 <= having <= count or not count:
        raise ValueError(f"{having} of {count}")
    looks = _Looks(alpha, len(live))
    now = np.cumsum(live)[looks.at - 1] if len(looks.at) else looks.at
    law = looks.at + count, now + having, looks.at
    tail = np.minimum(hypergeom.cdf(now, *law), hypergeom.sf(now - 1, *law))
    return looks.comparison(now / looks.at - having / count, 2.0 * tail)


class _Looks:
    """The looks at a number of live values.

    Attributes:
        at: live values at each, int64 (L,).
    """

    def __init__(self, alpha: float, values: int) -> None:
        looks = LOOKS.looks(alpha, values)
        self.at = np.array([look.launches for look in looks], dtype=np.int64)
        self._shares = np.array([look.alpha / alpha for look in looks])
        self._alpha = alpha

    def comparison(self, distances: Floats, p_values: Floats) -> Comparison:
        """What distances and p-values of the looks, (L,) each, come to."""
        if not len(self.at):
            return Comparison(0.0, 1.0, None, 0)
        at_any_time = p_values / self._shares
        proving = np.flatnonzero(at_any_time <= self._alpha)
        return Comparison(
            distance=float(distances[-1]),
            p=min(1.0, float(at_any_time.min())),
            proven=int(self.at[proving[0]]) if len(proving) else None,
            values=int(self.at[-1]),
        )


def largest_distance(one: Floats, other: Floats) -> float:
    """The largest distance between the shares of values up to any number, of two ascending
    samples.
    """
    at = np.concatenate([one, other])
    below = [np.searchsorted(values, at, side="right") / len(values) for values in (one, other)]
    return float(np.abs(below[0] - below[1]).max())
