"""Bounds that hold at every look, and evidence that no noise can fake."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.stats.sequential import (
    LOOKS,
    TRANSFER_LIMIT,
    fixed_bounds,
    fixed_two_sample_bounds,
    look_of,
    looks,
    mean_bounds,
    sign_evidence,
    two_sample_bounds,
)

Floats = npt.NDArray[np.float64]
Noise = Callable[[np.random.Generator, tuple[int, int]], Floats]

numbers = st.floats(-10, 10, allow_nan=False).map(lambda value: round(value, 6))
samples = st.lists(numbers, min_size=3, max_size=30)
alphas = st.floats(1e-6, 0.4)
close = {"rel": 1e-9, "abs": 1e-9}


def two_modes(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Each launch in one of two modes, ten of their own spreads apart."""
    return np.where(random.random(shape) < 0.5, -1.0, 1.0) + 0.2 * random.normal(size=shape)


def drifting(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Symmetric, with a spread that grows a thousandfold on the way and jumps at random."""
    scale = np.exp(np.linspace(0, 7, shape[1])) * np.where(random.random(shape) < 0.1, 50, 1)
    return scale * random.normal(size=shape)


def chasing(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Symmetric, the size of each chosen by the signs before it: large after a run of pluses."""
    sign = np.where(random.random(shape) < 0.5, -1.0, 1.0)
    before = np.concatenate([np.zeros((shape[0], 1)), np.cumsum(sign, axis=1)[:, :-1]], axis=1)
    return sign * np.exp(0.5 * before)


NOISES: dict[str, Noise] = {
    "normal": lambda random, shape: random.normal(size=shape),
    "laplace": lambda random, shape: random.laplace(size=shape),
    "t3": lambda random, shape: random.standard_t(3, size=shape),
    "cauchy": lambda random, shape: random.standard_cauchy(size=shape),
    "two modes": two_modes,
    "drifting": drifting,
    "chasing": chasing,
    "with ties": lambda random, shape: np.round(random.normal(size=shape)),
}


def test_the_looks_are_those_that_are_written_down() -> None:
    """3, 4, 5, 6, 8, 10, 12, 15, 19, 24, 30 and then a quarter more each time."""
    found = [look.launches for look in looks(0.05, 120)]
    assert found == [3, 4, 5, 6, 8, 10, 12, 15, 19, 24, 30, 38, 48, 60, 75, 94, 118]
    assert found[: len(LOOKS)] == list(LOOKS)
    assert looks(0.05, 2) == ()
    assert [look_of(count) for count in (0, 2, 3, 7, 8, 14, 15)] == [0, 0, 3, 6, 8, 12, 15]


@given(alpha=alphas)
@settings(max_examples=20, deadline=None)
def test_all_looks_together_spend_at_most_alpha(alpha: float) -> None:
    """The spent alphas add up to at most alpha for ever, and nearly all of it is used."""
    spent = math.fsum(look.alpha for look in looks(alpha, 10**30))
    assert 0.99 * alpha < spent <= alpha


@pytest.mark.parametrize("count", [1, 2])
def test_before_three_launches_nothing_is_said(count: int) -> None:
    """With one or two values the estimate is their mean and the bounds are infinite."""
    values = [1.0, 3.0][:count]
    mean = sum(values) / count
    assert mean_bounds(values, 0.05, 0.05) == (mean, -math.inf, math.inf)
    assert two_sample_bounds(values, [1.0, 2.0], 0.05) == (mean - 1.5, -math.inf, math.inf)


def test_mean_bounds_are_students_at_the_spent_alpha() -> None:
    """At three launches the bounds are the textbook's at alpha times the first share."""
    spent = looks(0.05, 3)[0].alpha
    mean, low, high = mean_bounds([1.0, 2.0, 6.0], 0.05, 0.05)
    wide = math.sqrt(7.0) / math.sqrt(3.0) * float(stats.t.isf(spent, 2))
    assert (mean, low, high) == pytest.approx((3.0, 3.0 - wide, 3.0 + wide))


@given(values=samples, extra=numbers)
@settings(max_examples=40, deadline=None)
def test_between_looks_the_bounds_stand(values: list[float], extra: float) -> None:
    """A value after the last look changes nothing until the next look is reached."""
    if look_of(len(values)) == look_of(len(values) + 1):
        assert mean_bounds([*values, extra], 0.01, 0.02) == mean_bounds(values, 0.01, 0.02)


@given(values=samples, low_alpha=alphas, high_alpha=alphas, shift=numbers)
@settings(max_examples=60, deadline=None)
def test_laws_of_mean_bounds(
    values: list[float], low_alpha: float, high_alpha: float, shift: float
) -> None:
    """The estimate is inside; other units shift all three; mirrored values mirror the bounds."""
    mean, low, high = mean_bounds(values, low_alpha, high_alpha)
    assert low <= mean <= high
    moved = mean_bounds([value + shift for value in values], low_alpha, high_alpha)
    wide = high - low
    assert moved == pytest.approx((mean + shift, low + shift, high + shift), abs=1e-6 + 1e-6 * wide)
    mirrored = mean_bounds([-value for value in values], high_alpha, low_alpha)
    assert mirrored == pytest.approx((-mean, -high, -low), **close)


@given(values=samples, alpha=alphas, slower=st.floats(0, 5))
@settings(max_examples=60, deadline=None)
def test_slower_samples_never_lower_the_bounds(
    values: list[float], alpha: float, slower: float
) -> None:
    """If every launch is slower by one factor, estimate, low and high do not fall."""
    before = mean_bounds(values, alpha, alpha)
    after = mean_bounds([value + slower for value in values], alpha, alpha)
    assert all(
        late >= early - 1e-6 * (1 + abs(early)) for early, late in zip(before, after, strict=True)
    )


@given(values=st.lists(numbers, min_size=2, max_size=20), alpha=alphas, seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_laws_of_fixed_bounds(values: list[float], alpha: float, seed: int) -> None:
    """The order does not matter, the estimate is in the middle, a smaller alpha is no narrower."""
    mean, low, high = fixed_bounds(values, alpha)
    shuffled = np.random.default_rng(seed).permutation(values).tolist()
    assert fixed_bounds(shuffled, alpha) == pytest.approx((mean, low, high), **close)
    assert low <= mean <= high
    _, wider, _ = fixed_bounds(values, alpha / 2)
    assert wider <= low


@given(
    now=st.lists(numbers, min_size=6, max_size=6),
    then=st.lists(numbers, min_size=6, max_size=6),
    alpha=alphas,
    transfer=st.floats(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_laws_of_two_sample_bounds(
    now: list[float], then: list[float], alpha: float, transfer: float
) -> None:
    """Swapped sides mirror the bounds at a look; what moves between sessions only widens them."""
    value, low, high = two_sample_bounds(now, then, alpha, transfer)
    assert low <= value <= high
    assert two_sample_bounds(then, now, alpha, transfer) == pytest.approx(
        (-value, -high, -low), **close
    )
    _, bare_low, bare_high = two_sample_bounds(now, then, alpha)
    assert low <= bare_low + 1e-9
    assert high >= bare_high - 1e-9
    quantile = min(TRANSFER_LIMIT, float(stats.norm.isf(looks(alpha, 6)[-1].alpha)))
    known = transfer * quantile
    wide = math.hypot(bare_high - value, known)
    assert (low, high) == pytest.approx((value - wide, value + wide), rel=1e-6, abs=1e-6)
    # Never surer than of the mean alone, with the stored mean taken as the truth.
    _, alone, _ = mean_bounds(now, alpha, alpha)
    assert low <= alone - float(np.mean(then)) + 1e-9 * (1 + abs(alone))


def test_one_fixed_look_is_narrower_than_the_same_look_among_many() -> None:
    """A fixed look spends all of alpha at once; it mirrors, and needs two values."""
    random = np.random.default_rng(1)
    now, then = random.normal(0, 1, 6), random.normal(0, 1, 8)
    value, low, high = fixed_two_sample_bounds(now, then, 0.025, 0.1)
    _, wide_low, wide_high = two_sample_bounds(now, then, 0.025, 0.1)
    assert wide_low < low < value < high < wide_high
    assert fixed_two_sample_bounds(then, now, 0.025, 0.1) == pytest.approx((-value, -high, -low))
    with pytest.raises(ValueError, match="two values"):
        fixed_two_sample_bounds(now[:1], then, 0.025)


def test_a_known_spread_keeps_launches_that_agree_from_proving_too_much() -> None:
    """Three equal launches give a tight bound, unless launches are known to differ."""
    _, low, high = mean_bounds([1.0, 1.0, 1.0], 0.05, 0.05)
    assert high - low < 1e-3
    _, low, high = mean_bounds([1.0, 1.0, 1.0], 0.05, 0.05, least_sd=0.02)
    assert high - low > 0.1


def test_a_large_change_is_found_and_no_change_is_not() -> None:
    """Ten launches 10 % slower with 2 % noise are proven slower at 0.0003; unchanged ones not."""
    random = np.random.default_rng(0)
    noise = random.normal(0, 0.02, 10)
    assert mean_bounds(noise + 0.1, 0.0003, 0.05)[1] > 0.03
    assert mean_bounds(noise, 0.0003, 0.05)[1] < 0
    then = random.normal(0, 0.02, 10)
    assert two_sample_bounds(noise + 0.1, then, 0.0003)[1] > 0
    assert two_sample_bounds(noise, then, 0.0003)[1] < 0


@pytest.mark.parametrize(
    "bad", [[], [1.0, math.nan, 2.0], [1.0, math.inf], [[1.0, 2.0], [3.0, 4.0]]]
)
def test_what_is_empty_or_not_finite_is_refused(bad: list[float]) -> None:
    """Every function raises ValueError for no values, NaN, infinity, or a table of values."""
    good = [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match="finite"):
        mean_bounds(bad, 0.05, 0.05)
    with pytest.raises(ValueError, match="finite"):
        fixed_bounds(bad, 0.05)
    with pytest.raises(ValueError, match="finite"):
        two_sample_bounds(bad, good, 0.05)
    with pytest.raises(ValueError, match="finite"):
        two_sample_bounds(good, bad, 0.05)
    with pytest.raises(ValueError, match="finite"):
        sign_evidence(bad)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, math.nan])
def test_a_wrong_alpha_is_refused(alpha: float) -> None:
    """An alpha outside 0..1 raises ValueError everywhere."""
    good = [1.0, 2.0, 3.0]
    for ask in (
        lambda: looks(alpha, 5),
        lambda: mean_bounds(good, alpha, 0.05),
        lambda: mean_bounds(good, 0.05, alpha),
        lambda: fixed_bounds(good, alpha),
        lambda: two_sample_bounds(good, good, alpha),
    ):
        with pytest.raises(ValueError, match="alpha"):
            ask()


def test_too_little_and_impossible_spreads_are_refused() -> None:
    """One stored value, one value at a fixed look, and a negative spread raise ValueError."""
    with pytest.raises(ValueError, match="two values"):
        fixed_bounds([1.0], 0.05)
    with pytest.raises(ValueError, match="two earlier"):
        two_sample_bounds([1.0, 2.0, 3.0], [1.0], 0.05)
    for spread in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="transfer_sd"):
            two_sample_bounds([1.0, 2.0, 3.0], [1.0, 2.0], 0.05, spread)
    with pytest.raises(ValueError, match="launches"):
        looks(0.05, -1)


@given(
    sizes=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=9),
    zeros=st.sets(st.integers(0, 8)),
)
@settings(max_examples=40, deadline=None)
def test_evidence_is_fair_over_all_signs(sizes: list[float], zeros: set[int]) -> None:
    """For any sizes, the mean of the e-value over all equally likely signs is exactly 1."""
    array = np.array([0.0 if at in zeros else size for at, size in enumerate(sizes)])
    signs = 1 - 2 * ((np.arange(2 ** len(array))[:, None] >> np.arange(len(array))) & 1)
    found = np.array([sign_evidence(array * row) for row in signs])
    assert found.mean(axis=0) == pytest.approx(np.ones(len(array)), rel=1e-9)


@given(
    values=st.lists(st.floats(-1e6, 1e6).filter(lambda v: v == 0 or abs(v) > 1e-6), min_size=1),
    scale=st.floats(1e-6, 1e6),
)
@settings(max_examples=40, deadline=None)
def test_laws_of_evidence(values: list[float], scale: float) -> None:
    """Units do not matter; a zero changes nothing; one difference at most doubles what is held."""
    found = sign_evidence(values)
    assert sign_evidence(np.array(values) * scale) == pytest.approx(found, rel=1e-6)
    assert sign_evidence([*values, 0.0])[-1] == pytest.approx(found[-1])
    before = np.concatenate([[1.0], found[:-1]])
    assert (found <= 2 * before * (1 + 1e-9)).all()


def test_ten_that_agree_are_worth_hundreds_to_one_and_no_number_overflows() -> None:
    """Ten equal differences give several hundred, eleven nearly a thousand; 5000 stay finite."""
    found = sign_evidence(np.ones(5000))
    assert 400 < found[9] <= 1024
    assert np.isfinite(found).all()
    assert found[-1] > 1e300
    assert sign_evidence(-np.ones(50))[-1] < 1e-3


@pytest.mark.parametrize("name", NOISES)
def test_evidence_against_no_change_is_rare_under_any_symmetric_noise(name: str) -> None:
    """The chance of ever reaching 20 in 100 launches is at most 1 in 20, whatever the noise."""
    random = np.random.default_rng(11)
    runs, alpha = 1000, 0.05
    array = NOISES[name](random, (runs, 100))
    alarms = sum(sign_evidence(row).max() >= 1 / alpha for row in array)
    assert alarms <= stats.binom.isf(1e-4, runs, alpha)
    assert alarms >= 1  # the bound is not kept by being asleep


def test_a_coin_that_is_not_fair_is_noticed() -> None:
    """The check above can fail: noise shifted by 0.15 sd reaches 20 far more often."""
    random = np.random.default_rng(11)
    array = random.normal(size=(1000, 100)) + 0.15
    alarms = sum(sign_evidence(row).max() >= 20 for row in array)
    assert alarms > stats.binom.isf(1e-4, 1000, 0.05)


@pytest.mark.parametrize("name", ["normal", "laplace", "t3"])
def test_a_shift_of_one_sd_is_found_in_forty_launches(name: str) -> None:
    """The median launch at which evidence for a shift of 1 sd reaches 1000 is below 40."""
    random = np.random.default_rng(12)
    array = NOISES[name](random, (300, 120))
    reached = [
        np.flatnonzero(np.append(sign_evidence(row / array.std() + 1.0), 1000) >= 1000)[0] + 1
        for row in array
    ]
    assert np.median(reached) < 40
