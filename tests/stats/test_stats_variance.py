"""Variance within and between launches, and how many launches decide."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.stats.sequential import fewest, median_bounds
from pytest_perfgate.stats.variance import (
    _noncentral,
    components,
    launches_needed,
    launches_to_keep,
)
from scipy import stats

rows = st.lists(
    st.lists(st.floats(-100, 100).map(lambda value: round(value, 4)), min_size=2, max_size=6),
    min_size=2,
    max_size=6,
)
alphas = st.floats(1e-5, 0.2)


def test_equal_launches_give_the_textbooks_numbers() -> None:
    """Three launches of two samples: the parts by hand from the two mean squares."""
    result = components([[1.0, 3.0], [5.0, 7.0], [9.0, 11.0]])
    # mean squares: within 6 / 3 = 2, between 2 * 32 / 2 = 32; (32 - 2) / 2 = 15
    assert (result.mean, result.within, result.between) == pytest.approx((6.0, 2.0, 15.0))
    assert result.sd == pytest.approx(4.0)  # the standard deviation of 2, 6, 10
    assert result.share == pytest.approx(15 / 17)


def test_finds_what_was_put_in() -> None:
    """From 400 launches of unequal size both parts are found again within a tenth or so."""
    random = np.random.default_rng(0)
    launches = [
        1e3 + random.normal(0, 2.0) + random.normal(0, 3.0, random.integers(2, 20))
        for _ in range(400)
    ]
    result = components(launches)
    assert math.sqrt(result.between) == pytest.approx(2.0, rel=0.12)
    assert math.sqrt(result.within) == pytest.approx(3.0, rel=0.05)
    none = components([random.normal(0, 1, 30) for _ in range(400)])
    assert none.share < 0.02


@given(launches=rows, seed=st.integers(0, 99), shift=st.floats(-5, 5))
@settings(max_examples=60, deadline=None)
def test_laws_of_components(launches: list[list[float]], seed: int, shift: float) -> None:
    """Order and origin do not matter; units scale variances by their square; none is negative."""
    result = components(launches)
    near = {"rel": 1e-6, "abs": 1e-6}
    assert result.within >= 0
    assert result.between >= 0
    order = np.random.default_rng(seed).permutation(len(launches))
    moved = components([[value + shift for value in launches[at]] for at in order])
    assert (moved.within, moved.between) == pytest.approx((result.within, result.between), **near)
    assert moved.mean == pytest.approx(result.mean + shift, **near)
    scaled = components([[1000 * value for value in row] for row in launches])
    assert scaled.within == pytest.approx(1e6 * result.within, **near)
    assert scaled.between == pytest.approx(1e6 * result.between, rel=1e-6, abs=1.0)
    assert scaled.share == pytest.approx(result.share, abs=1e-5)


def test_samples_without_spread_have_no_share() -> None:
    """Equal samples everywhere give zeros, not a division by zero."""
    result = components([[2.0, 2.0], [2.0, 2.0]])
    assert (result.within, result.between, result.share, result.sd) == (0.0, 0.0, 0.0, 0.0)


@given(sd=st.floats(0.001, 0.1), margin=st.floats(0.02, 1.0), alpha=alphas)
@settings(max_examples=25, deadline=None)
def test_laws_of_how_many_are_needed(sd: float, margin: float, alpha: float) -> None:
    """More noise, a nearer limit, a smaller alpha or more power never need fewer launches."""
    result = launches_needed(sd, margin, alpha)
    assert result is None or result >= fewest(alpha)
    if result is None:
        return
    for harder in (
        launches_needed(sd * 1.5, margin, alpha),
        launches_needed(sd, margin / 1.5, alpha),
        launches_needed(sd, margin, alpha / 2),
        launches_needed(sd, margin, alpha, power=0.95),
    ):
        # Whole launches: one more may let one more disagree, so the count is not quite monotone.
        assert harder is None or harder >= result - 1


def test_that_many_launches_do_decide() -> None:
    """Simulated changes are proven by then as often as asked for, and not at half of it."""
    sd, margin, alpha = 0.02, 0.05, 0.003
    count = launches_needed(sd, margin, alpha, power=0.8)
    assert count is not None
    random = np.random.default_rng(2)
    runs = 1000

    def found(launches: int) -> float:
        values = random.normal(math.log1p(margin), sd, (runs, launches))
        return sum(median_bounds(row.tolist(), alpha, alpha)[1] > 0 for row in values) / runs

    assert found(count) >= 0.77
    assert found(count // 2) < 0.5


@pytest.mark.parametrize(
    ("needed", "freedom", "shift"), [(3.0, 7, 2.0), (5.0, 11, 6.0), (2.0, 40, 3.0)]
)
def test_the_power_is_that_of_the_noncentral_t(needed: float, freedom: int, shift: float) -> None:
    """Where scipy's noncentral t is reliable, the chance agrees with it to 0.002."""
    assert _noncentral(needed, freedom, shift) == pytest.approx(
        stats.nct.sf(needed, freedom, shift), abs=0.002
    )


def test_too_much_noise_is_never_decided_and_none_at_once() -> None:
    """A margin a thousandth of the noise is out of reach: None. Without noise, the first look."""
    assert launches_needed(1.0, 0.001, 0.0003) is None
    assert launches_needed(0.0, 0.01, 0.0003) == fewest(0.0003)
    assert launches_to_keep(0.0, 0.01, 0.05) == 4
    assert launches_to_keep(1.0, 0.001, 0.05) is None


@pytest.mark.parametrize(
    "bad", [[], [[1.0, 2.0]], [[1.0, 2.0], []], [[1.0], [2.0]], [[1.0, math.nan], [1.0, 2.0]]]
)
def test_launches_that_say_nothing_are_refused(bad: list[list[float]]) -> None:
    """Too few launches or samples, or one that is not finite, raise ValueError."""
    with pytest.raises(ValueError, match=r"launch|finite"):
        components(bad)


def test_wrong_numbers_are_refused() -> None:
    """A spread, margin, alpha, power or count out of range raises ValueError."""
    for sd in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="standard deviation"):
            launches_needed(sd, 0.1, 0.05)
    for margin in (0.0, -0.1, math.nan):
        with pytest.raises(ValueError, match="margin"):
            launches_needed(0.1, margin, 0.05)
    with pytest.raises(ValueError, match="power"):
        launches_needed(0.1, 0.1, 0.05, power=1.0)
    with pytest.raises(ValueError, match="alpha"):
        launches_needed(0.1, 0.1, 1.0)
