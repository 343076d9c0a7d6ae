"""Steps and slow drift in a series of nights: arrays in, numbers out.

Candidates are the edges of PELT's levels; steps are those that noise with a memory does not
explain (`levels`).
Drift is Theil and Sen's slope (Sen 1968, JASA 63), believed when Mann and Kendall's test of trend
says so (Mann 1945, Econometrica 13). A series is said to drift when a line, and the steps around
it, explain it at a lower cost than steps alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pytest_perfgate.stats.levels import SHORTEST, cost, nightly_levels, pelt, proven

Array = NDArray[np.float64]

FEWEST = 8
"""Nights below which nothing is looked for: there is no noise to compare a step with."""

_WINDOW = 2 * SHORTEST - 1  # of five nights, three of one level are the median and two are not
_CLIP = 3.5  # standard deviations from the medians of the window: what is beyond is an outlier
_EFFICIENCY = 0.5  # the noise is estimated about as well as from that share of the nights
_KEPT = 0.9  # of the differences of neighbours; the largest tenth is steps and outliers …
_HALF_NORMAL = 0.65736  # … and this is the mean of what is kept of a standard normal's absolute
_FLOOR = 1e-9  # a noise of zero: any change of a value that is always the same is one
_TURNS = 4  # of finding the line without the steps and the steps without the line
_UNSURE = 7.35  # how much of its gain a step may lose by being moved and still be as good: 95 %
# of (1 - exp(-x / 2))^2, the limit law of Siegmund 1988, "Confidence sets in change-point
# problems", International Statistical Review 56
_SCREEN = 0.01  # the rank correlation's p-value above which no drift is tested


@dataclass(frozen=True)
class Step:
    """A change of level.

    Attributes:
        at: the first night of the new level.
        earliest, latest: the nights between which it lies with about 95 % confidence.
        size: the new level less the old one, with its 95 % interval (low, high).
        noise: standard deviation of a night.
    """

    at: int
    earliest: int
    latest: int
    size: float
    low: float
    high: float
    noise: float


@dataclass(frozen=True)
class Drift:
    """A slow change: `slope` a night with its 95 % interval; `total` over all nights; `p_value` of
    Mann and Kendall's test after steps are taken out.
    """

    slope: float
    low: float
    high: float
    total: float
    p_value: float


@dataclass(frozen=True)
class Trend:
    """What a series did: its steps in order, its drift, and the noise of a night (0: none)."""

    steps: tuple[Step, ...]
    drift: Drift | None
    noise: float


def trend(values: Array, alpha: float) -> Trend:
    """The steps and the drift of a series, oldest night first.

    `alpha` is the chance that anything is found in a series of independent nights that has
    nothing: share out a page's error over its series before. Multiplying or shifting the values
    changes sizes and slopes alike, and what is found not at all.

    Raises:
        ValueError: alpha is not between 0 and 1, or a value is not finite.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha {alpha!r} is not between 0 and 1")
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError("a value is not finite")
    count = len(array)
    if count < FEWEST:
        return Trend((), None, 0.0)
    sd = noise(array)
    if not sd and array.min() == array.max():
        return Trend((), None, 0.0)
    floor = _FLOOR * max(float(np.abs(array).max()), float(np.ptp(array)))
    floor = max(floor, float(np.finfo(np.float64).tiny))  # of values next to zero it would be zero
    sd = sd if sd > floor else 0.0  # rounding is no noise, and its square may be no number
    unit = sd or floor
    scaled = _without_outliers((array - np.median(array)) / unit)
    price = penalty(count, alpha)
    edges = pelt(scaled, price)
    if not sd:
        return Trend(_steps(scaled, edges, unit), None, 0.0)
    wider = max(1.0, _spread(scaled, edges))  # a noise with longer tails makes levels of its own
    scaled, unit = scaled / wider, unit * wider
    if len(edges) > 2:  # where no level pays beside less noise, none does beside more
        edges = pelt(scaled, price)
    drift = _drift(scaled, edges, price, alpha)
    flat, edges = (scaled, edges) if drift is None else (drift.flat, drift.edges)
    edges, memory = proven(flat, edges, price)
    steps = _steps(flat / memory, edges, unit * memory)
    if drift is None:
        return Trend(steps, None, sd)
    slope, low, high, total = (value * unit for value in drift.line)
    return Trend(steps, Drift(slope, low, high, total, drift.p_value), sd)


def noise(values: Array) -> float:
    """Standard deviation of a night, from what neighbours differ by, so that steps do not count.

    The mean of the absolute differences without the largest tenth. 0: the value is always the same
    but for steps.
    """
    apart = np.sort(np.abs(np.diff(values)))
    kept = apart[: max(1, math.floor(_KEPT * len(apart)))]
    return float(kept.mean()) / _HALF_NORMAL / math.sqrt(2) if len(kept) else 0.0


def _spread(scaled: Array, edges: list[int]) -> float:
    """Standard deviation around the levels."""
    return math.sqrt(cost(scaled, edges) / max(1, len(scaled) - len(edges) + 1))


@lru_cache(maxsize=4096)
def penalty(count: int, alpha: float) -> float:
    """What a step must gain, in squared standard deviations of a night: the bound that the best of
    all places for one exceeds with chance `alpha` at most (Bonferroni over places; F instead of
    chi-squared, because the noise is estimated from the same nights).
    """
    from scipy import stats

    freedom = max(2.0, _EFFICIENCY * (count - 1))
    return float(stats.f.isf(alpha / count, 1, freedom))


def beside(values: Array, value: float, alpha: float) -> bool | None:
    """Whether one more night's value lies within the band of the nights before: the prediction
    interval of Student's t at `alpha`. None: too few nights to say.

    Raises:
        ValueError: alpha is not between 0 and 1.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha {alpha!r} is not between 0 and 1")
    if len(values) < FEWEST:
        return None
    low, high = band(values, alpha)
    return low <= value <= high


def band(values: Array, alpha: float) -> tuple[float, float]:
    """The prediction interval for one more night at `alpha`; at least two nights."""
    mean = float(values.mean())
    spread = max(float(values.std(ddof=1)), _FLOOR * abs(mean))
    reach = _student(len(values), alpha) * spread * math.sqrt(1 + 1 / len(values))
    return mean - reach, mean + reach


@lru_cache(maxsize=4096)
def _student(count: int, alpha: float) -> float:
    from scipy import stats

    return float(stats.t.isf(alpha / 2, count - 1))


def _without_outliers(scaled: Array) -> Array:
    """Nights far from the median of their window are put there (Hampel's filter): one or two bad
    nights make no level, and a level of three is left as it is. Nights at an end share its window.
    """
    ordered = np.sort(np.lib.stride_tricks.sliding_window_view(scaled, _WINDOW), axis=1)
    half = _WINDOW // 2
    medians = np.pad(ordered[:, half], half, mode="edge")
    return np.where(np.abs(scaled - medians) > _CLIP, medians, scaled)


@dataclass(frozen=True)
class _Line:
    """A drift in standard deviations: slope, its bounds and total; the series without it."""

    line: tuple[float, float, float, float]
    p_value: float
    edges: list[int]
    flat: Array


def _drift(scaled: Array, edges: list[int], price: float, alpha: float) -> _Line | None:
    """The drift that explains more than steps alone, None when there is none."""
    count = len(scaled)
    time = np.arange(count, dtype=np.float64)
    centre = time - time.mean()
    ranks = scaled.argsort().argsort() - time.mean()
    if abs(float(centre @ ranks)) < _least_correlation(count) * float(centre @ centre):
        return None
    from scipy import stats

    # Differences over a stretch: most stretches hold no step. Then the line again and again,
    # without the steps that were found around the one before.
    stretch = max(1, count // 8)
    slope = float(np.median(scaled[stretch:] - scaled[:-stretch])) / stretch
    for _ in range(_TURNS):
        flat = scaled - slope * centre
        around = pelt(flat, price)
        left = scaled - nightly_levels(flat, around)
        slope = float((centre * left).sum() / (centre**2).sum())
    flat = scaled - slope * centre
    around = pelt(flat, price)
    alone = cost(scaled, edges) + price * (len(edges) - 2)
    if cost(flat, around) + price * (len(around) - 1) >= alone:
        return None
    left = scaled - nightly_levels(flat, around)
    p_value = float(stats.kendalltau(time, left).pvalue)
    if not p_value <= alpha:
        return None
    sen, _, low, high = stats.theilslopes(left, time, 0.95)
    line = (float(sen), float(low), float(high), float(sen) * (count - 1))
    return _Line(line, p_value, around, flat)


@lru_cache(maxsize=4096)
def _least_correlation(count: int) -> float:
    """Spearman's correlation below which no drift is tested."""
    from scipy import stats

    statistic = float(stats.t.isf(_SCREEN / 2, count - 2))
    return statistic / math.sqrt(count - 2 + statistic**2)


def _steps(scaled: Array, edges: list[int], unit: float) -> tuple[Step, ...]:
    return tuple(_step(scaled, edges, number, unit) for number in range(len(edges) - 2))


def _step(scaled: Array, edges: list[int], number: int, unit: float) -> Step:
    """One step between the levels beside it."""
    first, at, last = edges[number], edges[number + 1], edges[number + 2]
    before, after = scaled[first:at], scaled[at:last]
    size = float(after.mean() - before.mean())
    error = math.sqrt(1 / len(before) + 1 / len(after))
    reach = _student(max(3, int(_EFFICIENCY * len(scaled))), 0.05) * error
    earliest, latest = _places(scaled[first:last], at - first)
    return Step(
        at=at,
        earliest=first + earliest,
        latest=first + latest,
        size=size * unit,
        low=(size - reach) * unit,
        high=(size + reach) * unit,
        noise=unit,
    )


def _places(part: Array, at: int) -> tuple[int, int]:
    """The places around `at` where a step would gain nearly as much as it does there."""
    count = len(part)
    places = np.arange(1, count)
    sums = np.cumsum(part)[:-1]
    gain = (sums - places * part.mean()) ** 2 * count / (places * (count - places))
    good = gain >= gain[at - 1] - _UNSURE
    low = high = at - 1
    while low > 0 and good[low - 1]:
        low -= 1
    while high < count - 2 and good[high + 1]:
        high += 1
    return low + 1, high + 1
