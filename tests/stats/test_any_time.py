"""Bounds that hold at every count: seldom wrong, and narrow enough to decide."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.stats.any_time import (
    mean_bounds_of_shares,
    probability_bounds,
    quantile_bounds,
)
from scipy import special, stats

ALPHA = 0.2
RUNS = 200
MOST = int(stats.binom.isf(1e-4, RUNS, ALPHA))
"""Wrong runs that a law of chance ALPHA has in all but one of 10,000 simulations."""
COUNTS = np.unique(np.geomspace(5, 1_500, 25).astype(int))


def _wrong(draw, bounds, truth):
    """Runs in which bounds at any of `COUNTS` leave the truth out."""
    generator = np.random.default_rng(5)
    wrong = 0
    for _ in range(RUNS):
        values = draw(generator, COUNTS[-1])
        sides = [bounds(values[:count]) for count in COUNTS]
        wrong += any(not low <= truth <= high for _, low, high in sides)
    return wrong


@pytest.mark.parametrize("chance", [0.5, 0.01])
def test_bounds_of_a_probability_are_seldom_wrong(chance):
    """At all counts together."""
    wrong = _wrong(
        lambda generator, count: generator.random(count) < chance,
        lambda values: probability_bounds(int(values.sum()), len(values), ALPHA),
        chance,
    )
    assert wrong <= MOST


def test_bounds_of_a_quantile_are_seldom_wrong():
    """At all counts together, of heavy tails."""
    wrong = _wrong(
        lambda generator, count: generator.standard_cauchy(count),
        lambda values: quantile_bounds(values, 0.9, ALPHA),
        stats.cauchy.ppf(0.9),
    )
    assert wrong <= MOST


@pytest.mark.parametrize(("a", "b"), [(6, 2), (0.1, 0.3)])
def test_bounds_of_a_mean_are_seldom_wrong(a, b):
    """At all counts together, of values in the middle and of values at the ends."""
    wrong = _wrong(
        lambda generator, count: generator.beta(a, b, count),
        lambda values: mean_bounds_of_shares(values, ALPHA),
        a / (a + b),
    )
    assert wrong <= MOST


def test_bounds_of_one_look_would_be_wrong_too_often():
    """The simulation can show it: those of Clopper and Pearson, taken at every count."""

    def bounds(values):
        having, count = values.sum(), len(values)
        low = special.betaincinv(having, count - having + 1, ALPHA / 2) if having else 0.0
        return 0.0, low, special.betaincinv(having + 1, count - having, 1 - ALPHA / 2)

    draw = lambda generator, count: generator.random(count) < 0.5  # noqa: E731 - as above
    assert _wrong(draw, bounds, 0.5) > MOST


def test_bounds_become_narrow():
    """A thousand values tell 1 % of errors from 5 %, and a p95 within some per cent."""
    _, low, high = probability_bounds(10, 1_000, 0.05)
    assert 0.002 < low < 0.01 < high < 0.03
    assert probability_bounds(0, 1_000, 0.05)[2] < 0.01
    assert probability_bounds(0, 0, 0.05)[1:] == (0.0, 1.0)
    assert probability_bounds(7, 7, 0.05)[2] == 1.0
    values = np.random.default_rng(0).lognormal(0, 0.2, 2_000)
    estimate, low, high = quantile_bounds(values, 0.95, 0.05)
    assert 0.9 * estimate < low < estimate < high < 1.1 * estimate
    assert quantile_bounds(values[:10], 0.95, 0.05)[2] == math.inf
    shares = np.random.default_rng(0).beta(6, 2, 2_000)
    estimate, low, high = mean_bounds_of_shares(shares, 0.05)
    assert estimate - 0.02 < low < estimate < high < estimate + 0.02


@given(
    having=st.integers(0, 300), more=st.integers(0, 300), alpha=st.sampled_from([0.2, 0.01, 1e-6])
)
def test_a_probability_is_between_its_bounds(having, more, alpha):
    """A smaller alpha gives wider bounds, and counting the others gives their mirror."""
    count = having + more
    if not count:
        return
    share, low, high = probability_bounds(having, count, alpha)
    assert 0 <= low <= share <= high <= 1
    _, wider_low, wider_high = probability_bounds(having, count, alpha / 10)
    assert wider_low <= low
    assert high <= wider_high
    mirror = probability_bounds(more, count, alpha)
    assert mirror == pytest.approx((1 - share, 1 - high, 1 - low), abs=1e-9)


def test_what_has_no_bounds_is_refused():
    """Nothing to bound, values out of range, an alpha that is no chance."""
    with pytest.raises(ValueError, match="5 of 4"):
        probability_bounds(5, 4, 0.1)
    with pytest.raises(ValueError, match="alpha"):
        probability_bounds(1, 4, 1.0)
    with pytest.raises(ValueError, match="0 values"):
        quantile_bounds(np.zeros(0), 0.5, 0.1)
    with pytest.raises(ValueError, match="from 0 to 1"):
        mean_bounds_of_shares(np.array([0.5, 1.1]), 0.1)
