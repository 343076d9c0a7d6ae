"""The highest rate of requests at which a service keeps a percentile of its latency."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scipy import stats

ALPHA = 0.05
"""The chance of a wrong proof at one rate."""

_RUNS = 3  # at one rate, until it is given up as undecided
_NEAR = 1.05  # ratio of the two ends that is near enough


@dataclass(frozen=True)
class RateInterval:
    """Where the highest rate lies, in requests per second.

    Attributes:
        kept: the highest rate that was proven to keep the limit; None: none was.
        broken: the lowest rate above it that was proven to break the limit; None: none was.
    """

    kept: float | None
    broken: float | None


def keeps(slow: int, count: int, share: float = 0.99) -> bool | None:
    """Whether a quantile of the latency is within the limit; None: not decided. The number of slow
    requests is compared with the binomial distribution, at `ALPHA` on each side (Clopper & Pearson
    1934, Biometrika 26). Requests that queue behind each other are no independent draws, so that a
    run which is long beside its queues is meant.

    Args:
        slow: requests that took longer than the limit, failures included.
        count: all requests.
        share: the quantile, 0 to 1.
    """
    allowed = 1 - share
    if float(stats.binom.cdf(slow, count, allowed)) <= ALPHA:
        return True
    if float(stats.binom.sf(slow - 1, count, allowed)) <= ALPHA:
        return False
    return None


def breaks_from(slow: int, count: int, following: int, share: float = 0.99) -> int:
    """The fewest slow requests in a run of `following` requests with which `keeps` is False for it
    and the runs before it together, whatever the others do: a run that has them has no more to
    show.

    Args:
        slow: requests of the runs before it that took longer than the limit.
        count: all requests of the runs before it.
        following: requests of the run.
        share: the quantile, 0 to 1.
    """
    allowed = 1 - share
    return max(0, int(stats.binom.isf(ALPHA, count + following, allowed)) + 1 - slow)


Run = Callable[[float, tuple[int, int]], tuple[int, int] | None]
"""Sends requests at a rate: how many were slow, and of how many; None: not measured. It is given
these numbers of the runs at this rate before it, added up: what proves something by then may end
it early."""


def find_max_rate(
    run: Run, start: float, runs: int = 20, fits: Callable[[float], bool] = lambda _: True
) -> RateInterval:
    """Doubles the rate until it breaks the limit, halves it until it keeps it, and then bisects the
    logarithm of the rate until the ends are within 5 % of each other, or of rates that stay
    undecided between them, or the runs are used up.

    Args:
        run: sends requests.
        start: the first rate, requests per second.
        runs: how many runs at most.
        fits: whether there is time for a run at a rate; the search ends before one that has none.

    Raises:
        ValueError: the first rate is not above 0.
    """
    if not (math.isfinite(start) and start > 0):
        raise ValueError(f"rate {start!r} is not above 0")
    known: dict[float, bool | None] = {}
    left, rate = runs, start
    while left > 0 and fits(rate):
        known[rate], used = _decided(run, rate, min(left, _RUNS), fits)
        left -= used
        following = _next_rate(known)
        if following is None:
            break
        rate = following
    kept = _kept(known)
    return RateInterval(kept, _broken(known, kept))


def _kept(known: Mapping[float, bool | None]) -> float | None:
    return max((rate for rate, answer in known.items() if answer is True), default=None)


def _broken(known: Mapping[float, bool | None], kept: float | None) -> float | None:
    above = (rate for rate, answer in known.items() if answer is False and rate > (kept or 0.0))
    return min(above, default=None)


def _next_rate(known: Mapping[float, bool | None]) -> float | None:
    """The rate to try next; None: both ends are near enough to what lies between them."""
    kept = _kept(known)
    broken = _broken(known, kept)
    undecided = [rate for rate, answer in known.items() if answer is None]
    between = [rate for rate in undecided if rate > (kept or 0.0)]
    if kept is None:
        lowest = min(known)
        return lowest / 2 if broken is not None else lowest
    if broken is None:
        return 2 * max(known)
    lower, upper = min([*between, broken]), max([kept, *between])
    if lower / kept > _NEAR:
        return math.sqrt(kept * lower)
    if between and upper < broken and broken / upper > _NEAR:
        return math.sqrt(upper * broken)
    return None


def _decided(
    run: Run, rate: float, most: int, fits: Callable[[float], bool]
) -> tuple[bool | None, int]:
    """Runs at one rate, counted together until they prove something; and how many there were."""
    slow = count = 0
    for used in range(1, most + 1):
        if used > 1 and not fits(rate):
            return None, used - 1
        result = run(rate, (slow, count))
        if result is None:
            continue
        slow, count = slow + result[0], count + result[1]
        answer = keeps(slow, count)
        if answer is not None:
            return answer, used
    return None, most
