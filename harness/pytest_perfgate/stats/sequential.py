"""Statements about launches that hold at every look.

Launches are added until something is decided, so data are looked at more than once. A bound that
is wrong at one look with probability a is wrong at one of many looks far more often. The unit is
the launch: what varies inside a launch says little about the next one.

**That a limit is broken** (`median_bounds`) is said by an e-process on signs.
When a limit is kept, a launch lies beyond it with a chance of at most one half: the median of
launches is on the good side. In particular, for two arms of the same code whose order is drawn
anew in every launch the sign of their difference is a fair coin, whatever noise there is: heavy
tails, drift, two modes. A bet of the share l of what is held on the next sign multiplies it by
1 + l or 1 - l, which cannot gain on average; so by Ville's inequality (Ville 1939) the chance that
what is held *ever* reaches 1 / alpha is at most alpha, for any rule of stopping. Held is the mean
over a few shares l (Ramdas, Grünwald, Vovk & Shafer 2023, "Game-theoretic statistics and safe
anytime-valid inference", Statistical Science 38). The limits that are not yet refuted this way end
at an order statistic of the launches: a confidence sequence for their median (Howard & Ramdas
2022, "Sequential estimation of quantiles", Bernoulli 28). The price of asking nothing of the noise
is a least number of launches, `fewest`: 8 at alpha 0.01, 13 at 0.01 / 28.

**That a limit is kept** (`mean_bounds` with `KEEPING`), and every comparison with a sample that
was stored (`two_sample_bounds`), is said by Student's t, which trusts that launches are independent
and roughly normal. The allowed error is spent over looks fixed beforehand (alpha spending: Lan &
DeMets 1983, Biometrika 70), with a union bound in place of the looks' joint law, so it holds under
any dependence between them. Between two looks the bounds of the last look stand, and values after
it are not used: a bound that used them would be a look of its own that nothing has been spent on.

How far t can be trusted was simulated: 10^6 runs to 120 launches each, looking at all looks of
`BREAKING`. The chance that a bound was ever on the wrong side of the mean, divided by its alpha:

    noise                             alpha 0.05    0.003    0.0003
    normal                                  0.47     0.60      0.7
    Laplace                                 0.31     0.25      0.15
    Student's t, 3 degrees                  0.32     0.30      0.3
    lognormal, sigma 0.5: `low`             0.07     0.03      0.01
    lognormal, sigma 0.5: `high`            2.0      7.3      19
    two modes                               1.5      9.5      40
    two modes, `least_sd` half the sd       0.66     1.3       2.8

"Two modes" is N(-1, 0.2) or N(1, 0.2) with equal chances, per launch: as long as all launches came
from one mode, no t bound knows of the other. `least_sd`, a spread that launches are known to have,
mends most of that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]

Bounds = tuple[float, float, float]
"""Estimate, low, high."""

LEAST_SD = 1e-6
"""Least standard deviation of log values: clocks are not finer, and equal values prove no more."""

TRANSFER_LIMIT = 3.0
"""What stands between two sessions is taken to be at most so many of its standard deviations: it
is a rough figure, and no tail of it is known."""

STAKES = ((0.5, 0.15), (0.8, 0.25), (0.97, 0.6))
"""Shares that are bet on a sign, each with its part of what is held at the start. The bold ones
decide early when all launches agree; the careful ones survive launches that do not."""

_MOST = 4096  # launches; `fewest` and ranks are searched up to here


# -- signs ---------------------------------------------------------------------------------


def fewest(alpha: float) -> int:
    """The fewest launches that can prove anything at `alpha`: all of them beyond the limit.

    Raises:
        ValueError: alpha is not between 0 and 1.
    """
    _check_alpha(alpha)
    for launches in range(1, _MOST):
        if _held(launches, launches) >= -math.log(alpha):
            return launches
    raise ValueError(f"alpha {alpha!r} is too small")


def agreeing(launches: int, alpha: float) -> int | None:
    """How many of so many launches must lie beyond a limit to prove it broken; None: more than
    there are.

    Raises:
        ValueError: alpha is not between 0 and 1, or `launches` is negative.
    """
    _check_alpha(alpha)
    if launches < 0:
        raise ValueError(f"{launches} launches")
    needed = -math.log(alpha)
    if not launches or _held(launches, launches) < needed:
        return None
    low, high = 0, launches  # the evidence rises with the count, so halving finds it
    while low < high:
        middle = (low + high) // 2
        if _held(middle, launches) >= needed:
            high = middle
        else:
            low = middle + 1
    return low


def median_bounds(values: Sequence[float], alpha_low: float, alpha_high: float) -> Bounds:
    """The launches' median with one-sided bounds on it, valid at every number of launches.

    The median of what the launches are drawn from lies below `low` with probability at most
    `alpha_low`, above `high` with at most `alpha_high`, whatever the noise. They are order
    statistics, infinite before `fewest` launches.

    Raises:
        ValueError: no values or one that is not finite, or an alpha that is not between 0 and 1.
    """
    ordered = np.sort(_checked(values))
    _check_alpha(alpha_low)
    _check_alpha(alpha_high)
    count = len(ordered)
    above, below = agreeing(count, alpha_low), agreeing(count, alpha_high)
    low = -math.inf if above is None else float(ordered[count - above])
    high = math.inf if below is None else float(ordered[below - 1])
    return float(np.median(ordered)), low, high


def _held(beyond: int, launches: int) -> float:
    """The log of what is held after so many launches, `beyond` of them beyond the limit."""
    parts = [
        math.log(part) + beyond * math.log1p(share) + (launches - beyond) * math.log1p(-share)
        for share, part in STAKES
    ]
    largest = max(parts)
    return largest + math.log(math.fsum(math.exp(part_log - largest) for part_log in parts))


# -- looks ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Look:
    """A number of launches after which data are looked at, and the alpha that is spent there."""

    launches: int
    alpha: float


@dataclass(frozen=True)
class Spending:
    """When data are looked at, and which share of alpha each look spends; the shares of all looks,
    without end, add up to 1.

    Attributes:
        first: launches of the first look.
        growth: the next look is so many times later.
        halving: each look spends half of what is left; otherwise look k spends in proportion to k
            up to the eighth (15 launches, when growth is a quarter), to k^-3 beyond.
    """

    first: int
    growth: float
    halving: bool

    def looks(self, alpha: float, launches: int) -> tuple[Look, ...]:
        """The looks up to a number of launches, with what each spends of `alpha`.

        Raises:
            ValueError: alpha is not between 0 and 1, or `launches` is negative.
        """
        _check_alpha(alpha)
        if launches < 0:
            raise ValueError(f"{launches} launches")
        return tuple(Look(at, alpha * share) for at, share in self._schedule(launches))

    def last(self, alpha: float, launches: int) -> Look:
        """The last look that was reached; of 0 launches before the first."""
        reached = self.looks(alpha, launches)
        return reached[-1] if reached else Look(0, 0.0)

    def _schedule(self, launches: int) -> Iterator[tuple[int, float]]:
        at, number = self.first, 1
        while at <= launches:
            yield at, 0.5**number if self.halving else _share(number)
            at, number = max(at + 1, round(at * self.growth)), number + 1


_BUSIEST = 8
_TOTAL = sum(min(k, _BUSIEST**4 / k**3) for k in range(1, 2000)) + _BUSIEST**4 / (2 * 1999.5**2)


def _share(number: int) -> float:
    return min(number, _BUSIEST**4 / number**3) / _TOTAL


BREAKING = Spending(first=3, growth=1.25, halving=False)
"""Looks at 3, 4, 5, 6, 8, 10, 12, 15, 19, 24, 30, 38 … launches. The first have too few degrees of
freedom to decide much at a small alpha, and few sessions go far."""

KEEPING = Spending(first=4, growth=1.4, halving=True)
"""Looks at 4, 6, 8, 11, 15, 21, 29, 41 … launches: most limits are kept by far, and few launches
say so."""


def mean_bounds(
    values: Sequence[float], alpha: float, spending: Spending, *, least_sd: float = LEAST_SD
) -> Bounds:
    """Bounds on the mean of the launches' (log) values, `alpha` on each side, valid at every look.

    Estimate and bounds are of the last look that was reached; before the first, the estimate is of
    all values and the bounds are infinite. `least_sd` is a standard deviation that launches are
    known to have at least.

    Raises:
        ValueError: no values or one that is not finite, or an alpha that is not between 0 and 1.
    """
    array = _checked(values)
    look = spending.last(alpha, len(array))
    if not look.launches:
        return float(array.mean()), -math.inf, math.inf
    return _student(array[: look.launches], look.alpha, least_sd)


def fixed_bounds(values: Sequence[float], alpha: float, *, least_sd: float = LEAST_SD) -> Bounds:
    """Student's t bounds, `alpha` on each side, of all values at one look fixed beforehand.

    Raises:
        ValueError: fewer than two values, one that is not finite, or a wrong alpha.
    """
    array = _checked(values)
    _check_alpha(alpha)
    if len(array) < 2:
        raise ValueError("two values at least")
    return _student(array, alpha, least_sd)


def two_sample_bounds(
    now: Sequence[float],
    then: Sequence[float],
    alpha: float,
    spending: Spending,
    *,
    transfer_sd: float = 0.0,
    least_sd: float = LEAST_SD,
) -> Bounds:
    """Bounds on mean(now) - mean(then), `alpha` on each side, valid at every look at `now`.

    `then` is a stored sample that no longer grows. `transfer_sd` is a standard deviation that is
    known to stand between the two sessions. Half the width is sqrt(sum (t_i * error_i)^2), each
    error with the quantile of its own degrees of freedom (Banerjee 1960, Sankhya 22), a normal one
    for `transfer_sd`, `TRANSFER_LIMIT` at the most; that one is of all of alpha, since what stands
    between two sessions is drawn once and the same at every look.
    Under normal noise that errs at most alpha: given the weights w_i of the true
    variances, P(chi^2_1 <= sum w_i t_i^2 s_i^2 / sigma_i^2) is at least the mean of the parts'
    own chances, as the distribution function of chi^2_1 is concave. Welch's t with Satterthwaite's
    degrees of freedom is up to a third narrower, and erred 4 to 13 times alpha at alpha 0.0003
    with 3 or 20 stored launches of equal noise: three launches that happen to agree look as if
    only the other side were uncertain.

    Raises:
        ValueError: no value in `now`, fewer than two in `then`, one that is not finite, a wrong
            alpha, or a `transfer_sd` that is negative.
    """
    fresh, old = _checked(now), _checked(then)
    if len(old) < 2:
        raise ValueError("two earlier values at least")
    if not (math.isfinite(transfer_sd) and transfer_sd >= 0):
        raise ValueError(f"transfer_sd {transfer_sd!r} is not a standard deviation")
    look = spending.last(alpha, len(fresh))
    if not look.launches:
        return float(fresh.mean() - old.mean()), -math.inf, math.inf
    looked_at = fresh[: look.launches]
    wide = math.hypot(
        _half_width(looked_at, look.alpha, least_sd),
        _half_width(old, look.alpha, least_sd),
        transfer_sd * min(TRANSFER_LIMIT, -float(special.ndtri(alpha))),
    )
    estimate = float(looked_at.mean() - old.mean())
    return estimate, estimate - wide, estimate + wide


def _student(values: Floats, alpha: float, least_sd: float) -> Bounds:
    mean, wide = float(values.mean()), _half_width(values, alpha, least_sd)
    return mean, mean - wide, mean + wide


def _half_width(values: Floats, alpha: float, least_sd: float) -> float:
    error = max(float(values.std(ddof=1)), least_sd) / math.sqrt(len(values))
    return max(0.0, error * -float(special.stdtrit(len(values) - 1, alpha)))


def _checked(values: Sequence[float] | Floats) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise ValueError("values must be finite, in one row, and there must be some")
    return array


def _check_alpha(alpha: float) -> None:
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha {alpha!r} is not between 0 and 1")
