"""Bounds that hold at every look, and evidence that no noise can fake."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.stats.sequential import (
    BREAKING,
    KEEPING,
    STAKES,
    TRANSFER_LIMIT,
    Spending,
    agreeing,
    fewest,
    fixed_bounds,
    mean_bounds,
    median_bounds,
    two_sample_bounds,
)
from scipy import stats

Floats = npt.NDArray[np.float64]
Noise = Callable[[np.random.Generator, tuple[int, int]], Floats]

numbers = st.floats(-10, 10, allow_nan=False).map(lambda value: round(value, 6))
samples = st.lists(numbers, min_size=3, max_size=30)
alphas = st.floats(1e-6, 0.4)
close = {"rel": 1e-9, "abs": 1e-9}


def sign_evidence(beyond: int, launches: int) -> float:
    """The e-value against "a launch is beyond the limit with a chance of at most one half"."""
    return math.fsum(
        part * (1 + share) ** beyond * (1 - share) ** (launches - beyond) for share, part in STAKES
    )


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


spendings = st.sampled_from([BREAKING, KEEPING])


def test_the_looks_are_those_that_are_written_down() -> None:
    """A quarter more each time to prove a limit broken, fewer looks to prove it kept."""
    result = [look.launches for look in BREAKING.looks(0.05, 120)]
    assert result == [3, 4, 5, 6, 8, 10, 12, 15, 19, 24, 30, 38, 48, 60, 75, 94, 118]
    assert [look.launches for look in KEEPING.looks(0.05, 30)] == [4, 6, 8, 11, 15, 21, 29]
    assert BREAKING.looks(0.05, 2) == KEEPING.looks(0.05, 3) == ()
    reached = [BREAKING.last(0.05, count).launches for count in (0, 2, 3, 7, 8, 14, 15)]
    assert reached == [0, 0, 3, 6, 8, 12, 15]


@given(alpha=alphas, spending=spendings)
@settings(max_examples=20, deadline=None)
def test_all_looks_together_spend_at_most_alpha(alpha: float, spending: Spending) -> None:
    """The spent alphas add up to at most alpha for ever, and nearly all of it is used."""
    spent = math.fsum(look.alpha for look in spending.looks(alpha, 10**30))
    assert 0.99 * alpha < spent <= alpha * (1 + 1e-12)


@pytest.mark.parametrize("count", [1, 2])
def test_before_three_launches_nothing_is_said(count: int) -> None:
    """With one or two values the estimate is their mean and the bounds are infinite."""
    values = [1.0, 3.0][:count]
    mean = sum(values) / count
    nothing = (-math.inf, math.inf)
    assert mean_bounds(values, 0.05, BREAKING) == (mean, *nothing)
    assert two_sample_bounds(values, [1.0, 2.0], 0.05, BREAKING) == (mean - 1.5, *nothing)
    assert median_bounds(values, 0.05, 0.05) == (mean, *nothing)


def test_mean_bounds_are_students_at_the_spent_alpha() -> None:
    """At three launches the bounds are the textbook's at alpha times the first share."""
    spent = BREAKING.looks(0.05, 3)[0].alpha
    mean, low, high = mean_bounds([1.0, 2.0, 6.0], 0.05, BREAKING)
    wide = math.sqrt(7.0) / math.sqrt(3.0) * float(stats.t.isf(spent, 2))
    assert (mean, low, high) == pytest.approx((3.0, 3.0 - wide, 3.0 + wide))


@given(values=samples, extra=numbers, spending=spendings)
@settings(max_examples=40, deadline=None)
def test_between_looks_the_bounds_stand(
    values: list[float], extra: float, spending: Spending
) -> None:
    """A value after the last look changes nothing until the next look is reached."""
    last = spending.last(0.01, len(values))
    if last.launches and last == spending.last(0.01, len(values) + 1):
        assert mean_bounds([*values, extra], 0.01, spending) == mean_bounds(values, 0.01, spending)


@given(values=samples, alpha=alphas, shift=numbers)
@settings(max_examples=60, deadline=None)
def test_laws_of_mean_bounds(values: list[float], alpha: float, shift: float) -> None:
    """The estimate is inside; other units shift all three; mirrored values mirror the bounds."""
    mean, low, high = mean_bounds(values, alpha, BREAKING)
    assert low <= mean <= high
    moved = mean_bounds([value + shift for value in values], alpha, BREAKING)
    wide = high - low
    assert moved == pytest.approx((mean + shift, low + shift, high + shift), abs=1e-6 + 1e-6 * wide)
    mirrored = mean_bounds([-value for value in values], alpha, BREAKING)
    assert mirrored == pytest.approx((-mean, -high, -low), **close)


@given(values=samples, alpha=alphas, slower=st.floats(0, 5))
@settings(max_examples=60, deadline=None)
def test_slower_samples_never_lower_the_bounds(
    values: list[float], alpha: float, slower: float
) -> None:
    """If every launch is slower by one factor, estimate, low and high do not fall."""
    before = mean_bounds(values, alpha, BREAKING)
    after = mean_bounds([value + slower for value in values], alpha, BREAKING)
    assert all(
        late >= early - 1e-6 * (1 + abs(early)) for early, late in zip(before, after, strict=True)
    )


@given(
    values=st.lists(numbers, min_size=1, max_size=40),
    slower=st.lists(st.floats(0, 5), min_size=40, max_size=40),
    low_alpha=alphas,
    high_alpha=alphas,
    seed=st.integers(0, 99),
)
@settings(max_examples=100, deadline=None)
def test_laws_of_median_bounds(
    values: list[float], slower: list[float], low_alpha: float, high_alpha: float, seed: int
) -> None:
    """Any launch slower by any amount lowers nothing; units, order and mirrors are respected; the
    median is inside; a smaller alpha is no narrower.
    """
    result = median_bounds(values, low_alpha, high_alpha)
    median, low, high = result
    assert low <= median <= high
    later = median_bounds(
        [value + more for value, more in zip(values, slower, strict=False)], low_alpha, high_alpha
    )
    assert all(late >= early for early, late in zip(result, later, strict=True))
    shuffled = np.random.default_rng(seed).permutation(values).tolist()
    assert median_bounds(shuffled, low_alpha, high_alpha) == result
    mirrored = median_bounds([-value for value in values], high_alpha, low_alpha)
    assert mirrored == pytest.approx((-median, -high, -low))
    doubled = median_bounds([2 * value for value in values], low_alpha, high_alpha)
    assert doubled == pytest.approx((2 * median, 2 * low, 2 * high))
    _, wider, _ = median_bounds(values, low_alpha / 2, high_alpha)
    assert wider <= low


@given(values=st.lists(numbers, min_size=1, max_size=60), alpha=alphas, limit=numbers)
@settings(max_examples=100, deadline=None)
def test_a_bound_beyond_a_limit_and_evidence_against_it_are_one(
    values: list[float], alpha: float, limit: float
) -> None:
    """`low` is above a limit exactly when the signs of value - limit are evidence of 1 / alpha."""
    _, low, _ = median_bounds(values, alpha, alpha)
    beyond = sum(value > limit for value in values)
    assert (low > limit) == (sign_evidence(beyond, len(values)) >= 1 / alpha * (1 - 1e-12))


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
    value, low, high = two_sample_bounds(now, then, alpha, BREAKING, transfer_sd=transfer)
    assert low <= value <= high
    assert two_sample_bounds(then, now, alpha, BREAKING, transfer_sd=transfer) == pytest.approx(
        (-value, -high, -low), **close
    )
    _, bare_low, bare_high = two_sample_bounds(now, then, alpha, BREAKING)
    assert low <= bare_low + 1e-9
    assert high >= bare_high - 1e-9
    quantile = min(TRANSFER_LIMIT, float(stats.norm.isf(alpha)))
    known = transfer * quantile
    wide = math.hypot(bare_high - value, known)
    assert (low, high) == pytest.approx((value - wide, value + wide), rel=1e-6, abs=1e-6)
    # Never surer than of the mean alone, with the stored mean taken as the truth.
    _, alone, _ = mean_bounds(now, alpha, BREAKING)
    assert low <= alone - float(np.mean(then)) + 1e-9 * (1 + abs(alone))


def test_a_known_spread_keeps_launches_that_agree_from_proving_too_much() -> None:
    """Three equal launches give a tight bound, unless launches are known to differ."""
    _, low, high = mean_bounds([1.0, 1.0, 1.0], 0.05, BREAKING)
    assert high - low < 1e-3
    _, low, high = mean_bounds([1.0, 1.0, 1.0], 0.05, BREAKING, least_sd=0.02)
    assert high - low > 0.1


def test_a_large_change_is_found_and_no_change_is_not() -> None:
    """Ten launches 10 % slower with 2 % noise are proven slower at 0.0003; unchanged ones not."""
    random = np.random.default_rng(0)
    noise = random.normal(0, 0.02, 10)
    assert mean_bounds(noise + 0.1, 0.0003, BREAKING)[1] > 0.03
    assert mean_bounds(noise, 0.0003, BREAKING)[1] < 0
    then = random.normal(0, 0.02, 10)
    assert two_sample_bounds(noise + 0.1, then, 0.0003, BREAKING)[1] > 0
    assert two_sample_bounds(noise, then, 0.0003, BREAKING)[1] < 0


@pytest.mark.parametrize(
    "bad", [[], [1.0, math.nan, 2.0], [1.0, math.inf], [[1.0, 2.0], [3.0, 4.0]]]
)
def test_what_is_empty_or_not_finite_is_refused(bad: list[float]) -> None:
    """Every function raises ValueError for no values, NaN, infinity, or a table of values."""
    good = [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match="finite"):
        mean_bounds(bad, 0.05, BREAKING)
    with pytest.raises(ValueError, match="finite"):
        fixed_bounds(bad, 0.05)
    with pytest.raises(ValueError, match="finite"):
        two_sample_bounds(bad, good, 0.05, BREAKING)
    with pytest.raises(ValueError, match="finite"):
        two_sample_bounds(good, bad, 0.05, BREAKING)
    with pytest.raises(ValueError, match="finite"):
        median_bounds(bad, 0.05, 0.05)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, math.nan])
def test_a_wrong_alpha_is_refused(alpha: float) -> None:
    """An alpha outside 0..1 raises ValueError everywhere."""
    good = [1.0, 2.0, 3.0]
    for ask in (
        lambda: BREAKING.looks(alpha, 5),
        lambda: mean_bounds(good, alpha, KEEPING),
        lambda: median_bounds(good, alpha, 0.05),
        lambda: median_bounds(good, 0.05, alpha),
        lambda: fixed_bounds(good, alpha),
        lambda: two_sample_bounds(good, good, alpha, BREAKING),
        lambda: fewest(alpha),
        lambda: agreeing(3, alpha),
    ):
        with pytest.raises(ValueError, match="alpha"):
            ask()


def test_too_little_and_impossible_spreads_are_refused() -> None:
    """One stored value, one value at a fixed look, and a negative spread raise ValueError."""
    with pytest.raises(ValueError, match="two values"):
        fixed_bounds([1.0], 0.05)
    with pytest.raises(ValueError, match="two earlier"):
        two_sample_bounds([1.0, 2.0, 3.0], [1.0], 0.05, BREAKING)
    for spread in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="transfer_sd"):
            two_sample_bounds([1.0, 2.0, 3.0], [1.0, 2.0], 0.05, BREAKING, transfer_sd=spread)
    with pytest.raises(ValueError, match="launches"):
        BREAKING.looks(0.05, -1)
    with pytest.raises(ValueError, match="launches"):
        agreeing(-1, 0.05)


@given(launches=st.integers(0, 60))
def test_evidence_is_fair_over_all_signs(launches: int) -> None:
    """The mean of the e-value over all equally likely signs is exactly 1."""
    mean = math.fsum(
        stats.binom.pmf(beyond, launches, 0.5) * sign_evidence(beyond, launches)
        for beyond in range(launches + 1)
    )
    assert mean == pytest.approx(1.0, rel=1e-9)


@given(beyond=st.integers(0, 200), more=st.integers(0, 200))
def test_laws_of_evidence(beyond: int, more: int) -> None:
    """It rises with every launch beyond, falls with every other, and doubles at the most."""
    launches = beyond + more
    now = sign_evidence(beyond, launches)
    assert now < sign_evidence(beyond + 1, launches + 1) <= 2 * now
    assert sign_evidence(beyond, launches + 1) < now
    if more:
        assert sign_evidence(beyond + 1, launches) > now


def test_the_least_number_of_launches_is_as_written() -> None:
    """8 launches at 0.01, 13 at 0.01 / 28; one that disagrees costs five more; none overflow."""
    assert fewest(0.01) == 8
    assert fewest(0.01 / 28) == 13
    assert [agreeing(count, 0.01) for count in (7, 8, 12, 13)] == [None, 8, 12, 12]
    # In the long run the share 0.5 decides: what is held grows when 1.5^p * 0.5^(1 - p) > 1.
    assert agreeing(100_000, 0.01) == pytest.approx(100_000 * math.log(2) / math.log(3), rel=1e-3)


@pytest.mark.parametrize("name", NOISES)
def test_no_change_is_rarely_called_one_under_any_symmetric_noise(name: str) -> None:
    """The chance that a bound ever excludes 0 in 60 launches is at most alpha, whatever the
    noise, and it is not kept by being asleep.
    """
    random = np.random.default_rng(11)
    runs, alpha = 1000, 0.05
    signs = NOISES[name](random, (runs, 60)) > 0
    counts = np.cumsum(signs, axis=1)
    needed = np.array([agreeing(count + 1, alpha) or 10**9 for count in range(60)])
    alarms = int((counts >= needed).any(axis=1).sum())
    assert alarms <= stats.binom.isf(1e-4, runs, alpha)
    assert alarms >= 1 or name == "with ties"  # a tie is not beyond


def test_a_coin_that_is_not_fair_is_noticed() -> None:
    """The check above can fail: noise shifted by 0.3 sd is called a change far more often."""
    random = np.random.default_rng(11)
    counts = np.cumsum(random.normal(size=(1000, 60)) + 0.3 > 0, axis=1)
    needed = np.array([agreeing(count + 1, 0.05) or 10**9 for count in range(60)])
    assert (counts >= needed).any(axis=1).sum() > stats.binom.isf(1e-4, 1000, 0.05)
