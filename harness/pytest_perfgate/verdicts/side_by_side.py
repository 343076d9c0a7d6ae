"""Two endpoints beside each other: whether the second one is slower, from pairs of turns.

A pair is one turn of each endpoint with the same requests at the same times, in an order that is
drawn anew. The pairs are the sample, as launches are elsewhere, and what decides is the same
(`pytest_perfgate.stats.sequential`): for two endpoints that do not differ the sign of a pair is a
fair coin, whatever the noise is, so that one may look after each pair.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pytest_perfgate.frozen import Frozen
from pytest_perfgate.load.load_run import LoadRun
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.stats import paired_turns
from pytest_perfgate.stats.sequential import median_bounds

MEDIAN = 0.5


class Decision(Frozen):
    """What pairs say.

    Attributes:
        status: FAIL, the second endpoint is proven to be slower than the budget allows; PASS, it is
            proven not to be; INCONCLUSIVE, neither; ERROR, no pair was measured.
        growth: by how much the second one is slower, 0.02 is 2 %: the median of the pairs; None
            without any.
        low, high: bounds on it; None: not bounded on that side yet.
    """

    status: Status
    growth: float | None = None
    low: float | None = None
    high: float | None = None


def log_ratio(first: LoadRun, second: LoadRun, share: float) -> float:
    """The log of the second endpoint's latency over the first one's, of a pair of turns.

    Of the median it is the median over the requests, each with the one of the same number, so that
    images and arrivals that take longer do so on both sides. Of other percentiles it is that of the
    percentiles.

    Args:
        first: of one endpoint.
        second: of the other, with the same schedule.
        share: the percentile, 0 to 1.
    """
    if share == MEDIAN:
        return paired_turns.log_ratio(first.latency, second.latency)
    return math.log(second.percentile(share) / first.percentile(share))


def decide(ratios: Sequence[float], budget: float, alpha: float) -> Decision:
    """What the pairs up to now say.

    Args:
        ratios: `log_ratio` of each pair.
        budget: by how much the second endpoint may be slower, 0.02 is 2 %.
        alpha: chance of a wrong FAIL, and of a wrong PASS, however often this is asked.
    """
    if not ratios:
        return Decision(status=Status.ERROR)
    estimate, low, high = median_bounds(ratios, alpha, alpha)
    limit = math.log1p(budget)
    status = Status.INCONCLUSIVE
    if low > limit:
        status = Status.FAIL
    elif high <= limit:
        status = Status.PASS
    bounds = [math.expm1(one) if math.isfinite(one) else None for one in (low, high)]
    return Decision(status=status, growth=math.expm1(estimate), low=bounds[0], high=bounds[1])
