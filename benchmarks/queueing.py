"""Waiting in a queue by theory: what a simulated service must show."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pytest_perfgate.stats.arrivals import poisson_arrivals
from scipy.optimize import brentq

Floats = npt.NDArray[np.float64]


def md1_waiting_share(load: float, wait: float) -> float:
    """The chance that a request of an M/D/1 queue waits at most `wait` service times: Poisson
    arrivals, one server, equal service times (Erlang 1909; Crommelin 1932; Fry 1928):

        P(W <= t) = (1 - load) * sum over k <= t of (-load (t - k))^k / k! * exp(load (t - k))

    Raises:
        ValueError: the load is not between 0 and 1.
    """
    if not 0 < load < 1:
        raise ValueError(f"load {load!r} is not between 0 and 1")
    if wait < 0:
        return 0.0
    # Terms alternate, and grow to exp(load * wait): of doubles up to about 30 service times.
    terms = []
    for k in range(math.floor(wait) + 1):
        x = load * (wait - k)
        terms.append((-x) ** k / math.factorial(k) * math.exp(x))
    return (1 - load) * math.fsum(terms)


def md1_latency(load: float, share: float) -> float:
    """The quantile of waiting and service in an M/D/1 queue, in service times."""
    if md1_waiting_share(load, 0.0) >= share:
        return 1.0
    return 1.0 + float(brentq(lambda wait: md1_waiting_share(load, wait) - share, 0.0, 30.0))


def one_server(arrivals: Floats, service: float, free: float = 0.0) -> Floats:
    """When each request ends that one server takes in the order of arrival (Lindley 1952).

    Args:
        arrivals: (n,), seconds, ascending.
        service: seconds of each.
        free: when the server is free for the first time.

    Returns:
        (n,), seconds.
    """
    number = np.arange(len(arrivals))
    # end[n] = max(arrival[n], end[n-1]) + service, without a loop.
    begun = np.maximum.accumulate(np.maximum(arrivals, free) - number * service)
    ends: Floats = begun + (number + 1) * service
    return ends


@dataclass(frozen=True)
class TheoryRow:
    """A quantile of the latency in an M/D/1 queue, in service times."""

    load: float
    share: float
    formula: float
    simulated: float

    @property
    def error(self) -> float:
        """The relative difference."""
        return self.simulated / self.formula - 1


def md1_table(requests: int = 20_000_000, seed: int = 0) -> list[TheoryRow]:
    """Median and 99th percentile at loads of 0.3, 0.6 and 0.9: the formula, and the generator's own
    arrivals through one server. Near saturation a queue remembers hundreds of requests, so that
    millions are needed to know a percentile to a hundredth.
    """
    rows = []
    for load, count in ((0.3, requests // 10), (0.6, requests // 10), (0.9, requests)):
        arrivals = poisson_arrivals(load, count, seed)
        latency = one_server(arrivals, 1.0) - arrivals
        for share in (0.5, 0.99):
            simulated = float(np.quantile(latency, share))
            rows.append(TheoryRow(load, share, md1_latency(load, share), simulated))
    return rows
