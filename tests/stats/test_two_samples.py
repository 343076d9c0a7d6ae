"""Two samples, one of them growing: false alarms are rare however often it is looked at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.stats.two_samples import (
    LOOKS,
    compare_numbers,
    compare_shares,
    largest_distance,
)
from scipy import stats

ALPHA = 0.2
"""Large, so that a few hundred simulations could show more false alarms than that."""
RUNS = 300


def _most(alpha):
    """False alarms that a law of chance `alpha` has in all but one of 10,000 simulations."""
    return int(stats.binom.isf(1e-4, RUNS, alpha))


def _numbers(generator, stored, live, shift=0.0, draw="normal"):
    law = getattr(generator, draw)
    before = np.sort(law(size=stored) if draw != "integers" else law(0, 4, stored).astype(float))
    now = law(size=live) if draw != "integers" else law(0, 4, live).astype(float)
    return compare_numbers(before, stored, 0.0, now + shift, ALPHA)


@pytest.mark.parametrize("draw", ["normal", "integers", "standard_cauchy"])
@pytest.mark.parametrize("stored", [5, 60, 400])
def test_the_same_distribution_is_seldom_called_different(draw, stored):
    """At all looks together, with few stored values and many, with and without equal ones."""
    generator = np.random.default_rng(stored)
    alarms = sum(
        _numbers(generator, stored, 1_500, draw=draw).proven is not None for _ in range(RUNS)
    )
    assert alarms <= _most(ALPHA)


def test_the_same_share_is_seldom_called_different():
    """At all looks together, of a common property and of a rare one."""
    for chance in (0.5, 0.02):
        generator = np.random.default_rng(7)
        alarms = 0
        for _ in range(RUNS):
            having = int((generator.random(300) < chance).sum())
            live = generator.random(1_500) < chance
            alarms += compare_shares(having, 300, live, ALPHA).proven is not None
        assert alarms <= _most(ALPHA)


def test_looking_without_spending_would_alarm_too_often():
    """The simulation can show it: the plain test at every look errs more often than alpha."""
    generator = np.random.default_rng(3)
    alarms = 0
    for _ in range(RUNS):
        having, live = int((generator.random(300) < 0.5).sum()), generator.random(1_500) < 0.5
        looks = np.array([look.launches for look in LOOKS.looks(ALPHA, len(live))])
        now = np.cumsum(live)[looks - 1]
        law = looks + 300, now + having, looks
        tail = np.minimum(stats.hypergeom.cdf(now, *law), stats.hypergeom.sf(now - 1, *law))
        alarms += bool((2 * tail <= ALPHA).any())
    assert alarms > _most(ALPHA)


@pytest.mark.parametrize("shift", [-1.0, 1.0])
def test_a_shift_is_proven_and_stays_so(shift):
    """From the look at which it is proven on, more values do not take it back."""
    generator = np.random.default_rng(1)
    before, now = np.sort(generator.normal(size=200)), generator.normal(size=2_000) + shift
    result = compare_numbers(before, 200, 0.0, now, 0.001)
    assert result.proven is not None
    assert result.proven < 100
    assert result.p < 0.001
    assert result.distance == pytest.approx(0.38, abs=0.1)
    longer = np.concatenate([now[: result.proven], generator.normal(size=5_000)])
    assert compare_numbers(before, 200, 0.0, longer, 0.001).proven == result.proven


def test_a_share_that_moved_is_proven():
    """From 30 % to 45 %, in either direction of the samples."""
    live = np.random.default_rng(0).random(2_000) < 0.45
    result = compare_shares(120, 400, live, 0.01)
    assert result.proven is not None
    assert result.distance == pytest.approx(0.15, abs=0.05)
    assert compare_shares(280, 400, ~live, 0.01).proven == result.proven


@settings(deadline=None, max_examples=60)
@given(
    stored=st.lists(st.integers(-50, 50), min_size=1, max_size=40),
    live=st.lists(st.integers(-50, 50), max_size=120),
    resolution=st.sampled_from([0.0, 1 / 128]),
)
def test_only_the_order_of_numbers_counts(stored, live, resolution):
    """Any increasing function of all numbers changes nothing; a coarser sketch proves less."""
    before, now = np.sort(np.array(stored, float)), np.array(live, float)
    plain = compare_numbers(before, len(stored), resolution, now, 0.05)
    assert plain == compare_numbers(np.exp(before), len(stored), resolution, np.exp(now), 0.05)
    exact = compare_numbers(before, len(stored), 0.0, now, 0.05)
    assert exact.p <= plain.p <= 1
    assert (plain.values == 0) == (len(live) < LOOKS.first)


@given(
    one=st.lists(st.integers(0, 9), min_size=1, max_size=30),
    other=st.lists(st.integers(0, 9), min_size=1, max_size=30),
)
def test_the_distance_is_that_of_kolmogorov_and_smirnov(one, other):
    """As SciPy has it, with equal values too."""
    ours = largest_distance(np.sort(np.array(one, float)), np.sort(np.array(other, float)))
    assert ours == pytest.approx(stats.ks_2samp(one, other, method="asymp").statistic)


def test_what_cannot_be_compared_is_refused():
    """Nothing stored, numbers that are not finite, shares of more than all."""
    with pytest.raises(ValueError, match="finite"):
        compare_numbers(np.zeros(0), 0, 0.0, np.zeros(3), 0.1)
    with pytest.raises(ValueError, match="finite"):
        compare_numbers(np.zeros(3), 3, 0.0, np.array([np.nan]), 0.1)
    with pytest.raises(ValueError, match="5 of 4"):
        compare_shares(5, 4, np.zeros(3, bool), 0.1)
    with pytest.raises(ValueError, match="alpha"):
        compare_shares(1, 4, np.zeros(30, bool), 0.0)


@settings(deadline=None, max_examples=80)
@given(stored=st.integers(1, 60), shift=st.floats(0, 3), seed=st.integers(0, 2**32 - 1))
def test_the_p_value_of_a_look_is_never_below_the_exact_one(stored, shift, seed):
    """Of twenty values, the first look, against samples of any size."""
    generator = np.random.default_rng(seed)
    before, now = np.sort(generator.normal(size=stored)), generator.normal(size=20) + shift
    (look,) = LOOKS.looks(ALPHA, len(now))
    result = compare_numbers(before, stored, 0.0, now, ALPHA)
    exact = stats.ks_2samp(before, now, method="exact").pvalue
    assert result.p >= min(1.0, exact * ALPHA / look.alpha) - 1e-12
