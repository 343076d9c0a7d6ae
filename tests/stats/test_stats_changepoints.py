"""Steps and drift: planted ones are found, noise is left alone, scale does not matter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import ruptures
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pytest_perfgate.stats.changepoints import (
    FEWEST,
    band,
    beside,
    noise,
    penalty,
    trend,
)
from pytest_perfgate.stats.levels import SHORTEST, may_have_levels

Array = NDArray[np.float64]
ALPHA = 1e-4


def test_a_planted_step_is_found_where_it_is() -> None:
    """Its night, its size, and an interval that holds the truth."""
    generator = np.random.default_rng(1)
    values = generator.normal(size=365)
    values[200:] += 3.0
    (step,) = trend(values, ALPHA).steps
    assert step.earliest <= 200 <= step.latest
    assert step.latest - step.earliest <= 6
    assert step.low < 3.0 < step.high
    assert step.high - step.low < 0.6


@pytest.mark.parametrize(("length", "size"), [(SHORTEST, 7.0), (10, 4.0), (60, 1.8)])
def test_the_newest_level_is_found_while_it_is_short(length: int, size: float) -> None:
    """Three nights are enough for a large step, a small one takes more: in 9 of 10 series."""
    generator = np.random.default_rng(length)
    hits = 0
    for _ in range(50):
        values = generator.normal(size=365)
        values[-length:] += size
        steps = trend(values, ALPHA).steps
        hits += any(step.earliest <= 365 - length <= step.latest for step in steps)
    assert hits >= 45


def test_three_nights_in_the_middle_are_a_level() -> None:
    """A level that came and went: both of its edges are steps, in 9 of 10 series."""
    generator = np.random.default_rng(11)
    hits = 0
    for _ in range(50):
        values = generator.normal(size=200)
        values[100 : 100 + SHORTEST] += 8.0
        hits += [step.at for step in trend(values, ALPHA).steps] == [100, 100 + SHORTEST]
    assert hits >= 45


@pytest.mark.parametrize("length", [1, 2])
def test_one_or_two_bad_nights_are_no_level(length: int) -> None:
    """However bad they were, in the middle and at the end."""
    generator = np.random.default_rng(3)
    for start in (100, 365 - length):
        values = generator.normal(size=365)
        values[start : start + length] += 40.0
        assert trend(values, ALPHA).steps == ()


def _autoregressive(generator: np.random.Generator, count: int, memory: float = 0.3) -> Array:
    shocks = generator.normal(size=count)
    values = np.zeros(count)
    for at in range(1, count):
        values[at] = memory * values[at - 1] + shocks[at]
    return values


def test_a_slow_wave_is_noise_with_a_memory() -> None:
    """Nights that remember 0.9 of the one before wander for weeks; a step that is large beside
    what they wander is a step all the same.
    """
    generator = np.random.default_rng(12)
    wrong = hits = 0
    for _ in range(40):
        values = _autoregressive(generator, 365, 0.9)
        wrong += bool(trend(values, 0.01).steps)
        values[150:] += 30.0
        hits += any(step.earliest <= 150 <= step.latest for step in trend(values, 0.01).steps)
    assert wrong <= 4
    assert hits >= 36


NOISES: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "normal": lambda generator, count: generator.normal(size=count),
    "heavy tails": lambda generator, count: generator.standard_t(3, count),
    "skewed": lambda generator, count: generator.lognormal(0, 0.5, count),
    "rounded": lambda generator, count: np.round(generator.normal(size=count)),
    "remembers": _autoregressive,
}


@pytest.mark.slow
@pytest.mark.parametrize("count", [20, 90, 365])
@pytest.mark.parametrize("kind", sorted(NOISES))
def test_noise_is_left_alone(kind: str, count: int) -> None:
    """At a level of 1 % a series of noise is said to have changed in at most 2.5 % of 400 draws:
    what a true rate of 1 % exceeds once in 200 tests.
    """
    generator = np.random.default_rng(count)
    wrong = 0
    for _ in range(400):
        result = trend(NOISES[kind](generator, count), 0.01)
        wrong += bool(result.steps) or result.drift is not None
    assert wrong <= 10


SERIES = st.lists(st.floats(-100, 100), min_size=FEWEST, max_size=60)


@settings(max_examples=150, deadline=None)
@given(values=SERIES, scale=st.sampled_from([2.0**-20, 0.25, 8.0, 2.0**20]))
def test_scaling_changes_sizes_and_nothing_else(values: list[float], scale: float) -> None:
    """Milliseconds or seconds: the same nights (powers of two, so that no rounding interferes)."""
    array = np.array(values)
    one, other = trend(array, 0.01), trend(array * scale, 0.01)
    assert [(step.at, step.earliest, step.latest) for step in one.steps] == [
        (step.at, step.earliest, step.latest) for step in other.steps
    ]
    for before, after in zip(one.steps, other.steps, strict=True):
        assert after.size == pytest.approx(before.size * scale, rel=1e-6)
    assert (one.drift is None) == (other.drift is None)
    if one.drift and other.drift:
        assert other.drift.slope == pytest.approx(one.drift.slope * scale, rel=1e-6)


@settings(max_examples=150, deadline=None)
@given(values=SERIES)
def test_turning_a_series_over_turns_its_changes_over(values: list[float]) -> None:
    """What rises in one falls in the other, at the same nights."""
    array = np.array(values)
    one, other = trend(array, 0.01), trend(-array, 0.01)
    assert [step.at for step in one.steps] == [step.at for step in other.steps]
    assert [step.size for step in one.steps] == pytest.approx([-s.size for s in other.steps])


@settings(max_examples=300, deadline=None)
@given(
    values=st.lists(st.floats(-8, 8), min_size=FEWEST, max_size=80),
    price=st.floats(3, 60),
)
def test_the_quick_look_never_hides_a_level(values: list[float], price: float) -> None:
    """Where PELT finds a step, the look that spares its time has let the series through."""
    array = np.array(values)
    model = ruptures.KernelCPD(kernel="linear", min_size=SHORTEST)
    result = model.fit(array.reshape(-1, 1)).predict(pen=price)
    if len(result) > 1:
        assert may_have_levels(array, price)


def test_a_slow_drift_is_no_staircase() -> None:
    """A ramp is one drift with its slope, not many steps; a step on it is found beside it."""
    generator = np.random.default_rng(5)
    values = generator.normal(size=365) * 0.01 + np.linspace(0, 0.1, 365)
    result = trend(values, ALPHA)
    assert result.steps == ()
    assert result.drift is not None
    assert result.drift.low < 0.1 / 364 < result.drift.high
    values[250:] += 0.2
    both = trend(values, ALPHA)
    assert [step.at for step in both.steps] == [250]
    assert both.drift is not None
    assert both.drift.slope == pytest.approx(0.1 / 364, rel=0.25)


def test_a_step_is_no_drift() -> None:
    """Though its trend is as significant as can be."""
    generator = np.random.default_rng(6)
    values = generator.normal(size=365) * 0.01
    values[180:] += 0.1
    result = trend(values, ALPHA)
    assert len(result.steps) == 1
    assert result.drift is None


def test_what_is_always_the_same_needs_no_noise() -> None:
    """A size or score of no noise: any change that stays is a step, one bad night is none."""
    values = np.full(100, 0.75)
    assert trend(values, ALPHA).steps == ()
    values[50] = 0.5
    assert trend(values, ALPHA).steps == ()
    values[60:] = 0.7501
    (step,) = trend(values, ALPHA).steps
    assert (step.at, step.earliest, step.latest) == (60, 60, 60)
    assert step.size == pytest.approx(0.0001, rel=1e-3)
    assert noise(values) == 0.0


def test_few_nights_say_nothing() -> None:
    """Below eight there is nothing to compare with."""
    assert trend(np.array([1.0, 1.0, 1.0, 9.0, 9.0, 9.0, 9.0]), ALPHA).steps == ()
    assert beside(np.ones(FEWEST - 1), 5.0, 0.05) is None


def test_the_band_holds_the_next_night_as_often_as_it_says() -> None:
    """A prediction interval of 95 % over 4,000 normal series."""
    generator = np.random.default_rng(8)
    inside = sum(
        low <= after <= high
        for before, after in ((generator.normal(size=12), generator.normal()) for _ in range(4000))
        for low, high in [band(before, 0.05)]
    )
    assert 0.94 < inside / 4000 < 0.96


def test_a_smaller_alpha_and_more_nights_ask_for_more() -> None:
    """The price of a step rises with what is searched."""
    assert penalty(365, 1e-6) > penalty(365, 1e-2)
    assert penalty(2000, 1e-2) > penalty(365, 1e-2)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -1.0])
def test_a_level_that_is_none_is_refused(alpha: float) -> None:
    """0 and 1 are no chances of error."""
    with pytest.raises(ValueError, match="alpha"):
        trend(np.ones(20), alpha)


def test_what_is_not_finite_is_refused() -> None:
    """A night that was not measured is left out by the caller, not guessed here."""
    with pytest.raises(ValueError, match="finite"):
        trend(np.array([1.0] * 10 + [np.nan]), 0.05)
