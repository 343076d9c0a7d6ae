"""The highest rate that keeps a percentile, against a queue whose answer is known; steady times."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.stats.arrivals import poisson_arrivals
from pytest_perfgate.stats.max_rate import breaks_from, find_max_rate, keeps
from pytest_perfgate.stats.steady import requests_until_steady
from scipy.optimize import brentq

from benchmarks.queueing import md1_latency, one_server

SERVICE, LIMIT = 0.01, 0.05


def a_queue(count: int = 20_000) -> Callable[[float, tuple[int, int]], tuple[int, int]]:
    """A run of requests through one server: how many took longer than the limit."""
    seeds = itertools.count()

    def run(rate: float, _: tuple[int, int]) -> tuple[int, int]:
        arrivals = poisson_arrivals(rate, count, next(seeds))
        latency = one_server(arrivals, SERVICE) - arrivals
        return int((latency > LIMIT).sum()), count

    return run


@pytest.mark.parametrize("start", [1.0, 60.0, 5_000.0])
def test_the_interval_lies_around_the_rate_of_the_formula(start: float) -> None:
    """From whichever rate the search begins."""
    truth = brentq(lambda load: md1_latency(load, 0.99) * SERVICE - LIMIT, 0.2, 0.9) / SERVICE
    interval = find_max_rate(a_queue(), start, runs=40)
    assert interval.kept is not None
    assert interval.broken is not None
    assert 0.93 * truth < interval.kept < 1.02 * truth
    assert 0.98 * truth < interval.broken < 1.1 * truth


def test_few_requests_prove_nothing() -> None:
    """One slow request in a hundred may be: 298 quick ones do not show it, 299 do."""
    assert keeps(0, 298) is None
    assert keeps(0, 299) is True
    assert keeps(4, 100) is False
    assert keeps(1, 100) is None


@given(st.integers(1, 3_000), st.integers(0, 100))
def test_more_slow_requests_prove_less(count: int, slow: int) -> None:
    """A proof that the limit is kept does not come from a slower run."""
    order = {True: 0, None: 1, False: 2}
    assert order[keeps(min(slow, count), count)] <= order[keeps(min(slow + 1, count), count)]


@given(st.integers(0, 20), st.integers(0, 900), st.integers(1, 900))
def test_a_run_that_breaks_the_limit_does_so_from_one_number_on(
    slow: int, count: int, following: int
) -> None:
    """One fewer proves nothing yet, and none more proves less: a run may end there."""
    slow = min(slow, count)
    fewest = breaks_from(slow, count, following)
    assert keeps(slow + fewest, count + following) is False
    assert fewest == 0 or keeps(slow + fewest - 1, count + following) is not False


def test_runs_at_one_rate_are_counted_together() -> None:
    """Each is given what those before it showed."""
    given_before: list[tuple[int, int]] = []
    find_max_rate(lambda _, before: given_before.append(before) or (1, 100), 8.0, runs=3)
    assert given_before == [(0, 0), (1, 100), (2, 200)]


def test_a_search_ends_before_a_run_that_does_not_fit() -> None:
    """Each run at half the rate takes twice as long; nor is one repeated for which time is over."""
    rates: list[float] = []
    slow = find_max_rate(
        lambda rate, _: rates.append(rate) or (100, 100), 8.0, runs=6, fits=lambda rate: rate > 3
    )
    assert rates == [8.0, 4.0]
    assert (slow.kept, slow.broken) == (None, 4.0)
    rates.clear()
    undecided = lambda rate, _: rates.append(rate) or (1, 100)  # noqa: E731 - a run as above
    find_max_rate(undecided, 8.0, runs=6, fits=lambda _: len(rates) < 2)
    assert rates == [8.0, 8.0]
    assert find_max_rate(undecided, 8.0, fits=lambda _: False).broken is None


def test_a_service_that_never_keeps_the_limit_has_no_rate() -> None:
    """The search ends, and an end that was not proven is none."""
    rates: list[float] = []
    interval = find_max_rate(lambda rate, _: rates.append(rate) or (100, 100), 8.0, runs=6)
    assert interval.kept is None
    assert interval.broken == rates[-1] < 1.0
    assert len(rates) == 6


def test_what_is_not_measured_moves_no_end() -> None:
    """A generator that is late at every rate leaves both ends open, after a bounded number."""
    rates: list[float] = []
    interval = find_max_rate(lambda rate, _: rates.append(rate) and None, 8.0, runs=7)
    assert (interval.kept, interval.broken) == (None, None)
    assert len(rates) == 7


def test_a_rate_is_above_0() -> None:
    """Anything else is an error."""
    with pytest.raises(ValueError, match="rate"):
        find_max_rate(lambda *_: (0, 300), 0.0)


def test_requests_until_steady_are_those_before_three_near_the_level() -> None:
    """A quick one among slow ones does not count; times that fall to the end have no level."""
    steady = [1.0] * 10
    assert requests_until_steady(steady) == 0
    assert requests_until_steady([9.0, 5.0, 1.0, 3.0, *[1.1] * 16]) == 4
    assert requests_until_steady(np.linspace(10, 1, 30).tolist()) is None
    with pytest.raises(ValueError, match="six"):
        requests_until_steady([1.0] * 5)
