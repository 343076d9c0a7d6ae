"""Quantiles, and bounds on them for any distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.stats.quantile import quantile, quantile_bounds
from scipy import stats

samples = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)
inside = st.floats(0.01, 0.99)
alphas = st.floats(1e-6, 0.99)


@given(values=samples, q=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_equals_numpys_linear_quantile(values: list[float], q: float) -> None:
    """The estimate is numpy's default quantile, and is never outside the samples."""
    found = quantile(values, q)
    assert found == pytest.approx(np.quantile(values, q), rel=1e-9, abs=1e-6)
    assert min(values) <= found <= max(values)


@given(values=samples, qs=st.tuples(inside, inside), alpha=alphas)
@settings(max_examples=60, deadline=None)
def test_a_higher_quantile_is_never_lower(
    values: list[float], qs: tuple[float, float], alpha: float
) -> None:
    """Estimate, low and high of q do not fall as q rises."""
    less, more = (quantile_bounds(values, q, alpha, alpha) for q in sorted(qs))
    assert all(late >= early - 1e-6 for early, late in zip(less, more, strict=True))


@given(values=samples, q=inside, low_alpha=alphas, high_alpha=alphas, seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_laws_of_the_bounds(
    values: list[float], q: float, low_alpha: float, high_alpha: float, seed: int
) -> None:
    """The estimate is inside; order does not matter; a smaller alpha is no narrower; slower
    samples never lower a bound.
    """
    found, low, high = quantile_bounds(values, q, low_alpha, high_alpha)
    assert low <= found <= high
    shuffled = np.random.default_rng(seed).permutation(values).tolist()
    assert quantile_bounds(shuffled, q, low_alpha, high_alpha) == (found, low, high)
    _, lower, higher = quantile_bounds(values, q, low_alpha / 2, high_alpha / 2)
    assert lower <= low
    assert higher >= high
    slower = quantile_bounds([value + 1 for value in values], q, low_alpha, high_alpha)
    assert all(late >= early for early, late in zip((found, low, high), slower, strict=True))


@given(values=samples, eighths=st.integers(1, 7))
@settings(max_examples=40, deadline=None)
def test_mirrored_samples_mirror_the_bounds(values: list[float], eighths: int) -> None:
    """Samples with their signs turned have the mirrored bounds at the mirrored quantile."""
    # Eighths are exact floats, and no binomial chance of so few samples equals these alphas.
    found, low, high = quantile_bounds(values, eighths / 8, 0.03, 0.0007)
    mirrored = quantile_bounds([-value for value in values], 1 - eighths / 8, 0.0007, 0.03)
    assert mirrored == pytest.approx((-found, -high, -low), rel=1e-6, abs=1e-6)


@given(values=samples, q=inside, alpha=alphas, power=st.integers(-20, 20))
@settings(max_examples=40, deadline=None)
def test_units_do_not_matter(values: list[float], q: float, alpha: float, power: int) -> None:
    """Samples in other units (by a power of two, so nothing rounds) give bounds in those units."""
    scale = 2.0**power
    before = quantile_bounds(values, q, alpha, alpha)
    after = quantile_bounds([value * scale for value in values], q, alpha, alpha)
    assert after == pytest.approx(tuple(each * scale for each in before), rel=1e-12, abs=1e-300)


def test_bounds_are_the_ranks_of_the_binomial() -> None:
    """Of 100 samples, the median's 97.5 % bounds are the 40th and the 61st (Hahn & Meeker)."""
    assert quantile_bounds(range(1, 101), 0.5, 0.025, 0.025) == (50.5, 40.0, 61.0)


@pytest.mark.parametrize("count", [58, 59])
def test_too_few_samples_bound_nothing(count: int) -> None:
    """An upper 95 % bound of the 95th percentile needs 59 samples; with 58 it is infinite."""
    _, _, high = quantile_bounds(range(count), 0.95, 0.05, 0.05)
    assert math.isfinite(high) is (count >= 59)


@pytest.mark.parametrize("q", [0.1, 0.5, 0.95])
def test_bounds_are_wrong_in_at_most_alpha(q: float) -> None:
    """For a continuous and for a stepped distribution each bound errs at most as often as said."""
    random = np.random.default_rng(1)
    runs, alpha = 2000, 0.1
    for draw, truth in (
        (random.exponential, float(stats.expon.ppf(q))),
        (lambda size: random.geometric(0.3, size), float(stats.geom.ppf(q, 0.3))),
    ):
        wrong = np.zeros(2)
        for _ in range(runs):
            _, low, high = quantile_bounds(draw(size=40), q, alpha, alpha)
            wrong += (truth < low, truth > high)
        assert (wrong <= stats.binom.isf(1e-4, runs, alpha)).all(), wrong


@pytest.mark.parametrize("bad", [[], [1.0, math.nan], [math.inf], [[1.0], [2.0]]])
def test_what_is_empty_or_not_finite_is_refused(bad: list[float]) -> None:
    """No samples, NaN, infinity or a table of samples raise ValueError."""
    with pytest.raises(ValueError, match="finite"):
        quantile(bad, 0.5)
    with pytest.raises(ValueError, match="finite"):
        quantile_bounds(bad, 0.5, 0.05, 0.05)


def test_wrong_levels_are_refused() -> None:
    """A q or alpha outside its range raises ValueError."""
    for q in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="q "):
            quantile([1.0], q)
    for q in (0.0, 1.0):
        with pytest.raises(ValueError, match="q "):
            quantile_bounds([1.0], q, 0.05, 0.05)
    for alpha in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="alpha"):
            quantile_bounds([1.0], 0.5, alpha, 0.05)
        with pytest.raises(ValueError, match="alpha"):
            quantile_bounds([1.0], 0.5, 0.05, alpha)
