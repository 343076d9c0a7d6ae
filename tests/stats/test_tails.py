"""Few slow images among many: evidence that no noise can fake, and bounds on their share."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.stats.tails import (
    FarRounds,
    far_rounds,
    proven,
    scores,
    share_bound,
    slowest_mean,
    tail,
)
from scipy import stats

Counts = npt.NDArray[np.int64]

LIMIT = math.log(1.5)

ratios = st.lists(
    st.lists(st.floats(-3, 3).map(lambda value: round(value, 6)), min_size=1, max_size=40),
    min_size=1,
    max_size=20,
)


@given(ratios)
@settings(max_examples=30, deadline=None)
def test_exchanged_arms_give_no_more_than_the_opposite(launches: list[list[float]]) -> None:
    """Whatever the change of all images is, a launch scores at most as it would about 0, where
    exchanged arms give the opposite; the tail changes its sign; scores are within 1.
    """
    exchanged = [[-value for value in row] for row in launches]
    there, back = far_rounds(launches, LIMIT), far_rounds(exchanged, LIMIT)
    assert (scores(there) <= -scores(back)).all()
    assert (abs(scores(there)) <= 1).all()
    assert tail(launches) == pytest.approx(-tail(exchanged), abs=1e-9)


@given(ratios, st.floats(-0.3, 0.3))
@settings(max_examples=30, deadline=None)
def test_a_change_of_all_images_is_the_change_of_the_tail(
    launches: list[list[float]], change: float
) -> None:
    """The factor of all images is in the tail once."""
    moved = [[value + change for value in row] for row in launches]
    assert tail(moved) == pytest.approx(tail(launches) + change, abs=1e-9)


@pytest.mark.parametrize(("change", "limit"), [(1.03, 1.05), (1.04, 1.05), (1.3, 1.5), (0.9, 1.05)])
def test_a_change_of_all_images_within_the_limit_is_none_of_few_images(
    change: float, limit: float
) -> None:
    """Noise of 3 % around a change that moves from launch to launch by 1 %: more rounds are beyond
    the limit than beyond its mirror about 0, as many as beyond its mirror about the change.
    """
    random, c = np.random.default_rng(5), math.log(limit)
    for _ in range(10):
        moves = 0.01 * random.normal(size=(30, 1))
        rows = (math.log(change) + moves + 0.03 * random.normal(size=(30, 32))).tolist()
        assert not proven(far_rounds(rows, c), 0.01)
        assert change > 1 or far_rounds(rows, c, to_keep=True).share == pytest.approx(0, abs=0.01)
    slower = [[value - math.log(change) + 2 * c for value in row] for row in rows]
    assert proven(far_rounds(slower, c), 0.01)
    assert far_rounds(slower, c).share > 0.5


@pytest.mark.parametrize("change", [0.9, 0.98, 1.0, 1.03])
def test_slow_images_are_not_kept_whatever_all_images_do(change: float) -> None:
    """One image in twenty takes three times as long among images that are faster or slower in all,
    in noise as large as the limit of 5 %.
    """
    random = np.random.default_rng(6)
    rows = math.log(change) + 0.03 * random.normal(size=(30, 32))
    rows += math.log(3) * (random.random(rows.shape) < 0.05)
    assert share_bound(far_rounds(rows.tolist(), math.log(1.05), to_keep=True), 0.01) > 1 / 30


@pytest.mark.parametrize(
    "far", [0.002, 0.05, 0.4], ids=["few far rounds", "some far rounds", "most rounds far"]
)
def test_unchanged_code_is_rarely_proven_slower(far: float) -> None:
    """Looked at again and again, up to 40 launches whose rounds depend on each other: at most
    alpha, and the check is not asleep.
    """
    random, alpha, runs = np.random.default_rng(3), 0.05, 400
    # A launch draws a side and how strongly its far rounds lean to it; 32 rounds follow.
    lean = 0.5 + 0.5 * random.random((runs, 40)) * random.choice([-1, 1], size=(runs, 40))
    counts = random.binomial(32, far, size=(runs, 40))
    up = random.binomial(counts, lean)
    red = sum(
        any(
            proven(far_rounds_of(row_up[:count], row_count[:count]), alpha)
            for count in range(4, 41, 3)
        )
        for row_up, row_count in zip(up, counts, strict=True)
    )
    assert red <= stats.binom.isf(1e-4, runs, alpha)
    assert red >= 1 or far < 0.01


def far_rounds_of(up: Counts, count: Counts) -> FarRounds:
    """Far rounds of launches of 32, `up` of `count` above the limit."""
    return FarRounds(up.astype(float), (count - up).astype(float), np.full(len(up), 32.0))


def test_one_image_in_twenty_three_times_as_long_is_proven_in_a_dozen_launches() -> None:
    """With noise of 2 %; the median of the same rounds says nothing."""
    random = np.random.default_rng(0)
    noise = 0.03 * random.normal(size=(12, 32))
    slow = noise + math.log(3) * (np.arange(12 * 32).reshape(12, 32) % 20 == 0)
    far = far_rounds(slow.tolist(), LIMIT)
    assert proven(far, 0.01)
    assert not proven(far_rounds(noise.tolist(), LIMIT), 0.01)
    assert math.exp(tail(slow.tolist())) == pytest.approx(2.9, abs=0.3)
    assert abs(float(np.median(slow))) < 0.01


def test_a_share_is_bounded_only_by_launches_that_could_have_shown_it() -> None:
    """Four launches of 32 rounds without a slow image: less than one in thirty; three, or four of
    eight rounds, prove nothing.
    """
    nothing = np.zeros((4, 32)).tolist()
    assert share_bound(far_rounds(nothing, LIMIT), 0.05) < 1 / 30
    assert share_bound(far_rounds(nothing[:3], LIMIT), 0.05) == math.inf
    assert share_bound(far_rounds([row[:8] for row in nothing], LIMIT), 0.05) > 0.1
    all_slow = np.ones((4, 32)).tolist()
    assert share_bound(far_rounds(all_slow, LIMIT), 0.05) == math.inf


def test_the_bound_holds_at_every_look() -> None:
    """Slow images at a share of 4 %, up to 30 launches: the bound is ever below it in at most 5 %
    of the runs.
    """
    random, runs = np.random.default_rng(4), 300
    up = random.binomial(32, 0.04, size=(runs, 30))
    wrong = sum(
        any(share_bound(far_rounds_of(row[:n], row[:n]), 0.05) < 0.04 for n in (4, 8, 15, 29))
        for row in up
    )
    assert wrong <= stats.binom.isf(1e-4, runs, 0.05)


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=100))
@settings(max_examples=50, deadline=None)
def test_the_slowest_mean_lies_between_the_mean_and_the_slowest(times: list[float]) -> None:
    """Of 40 times it is the mean of two; a time that belongs to it in part counts in part."""
    value = slowest_mean(times)
    assert sum(times) / len(times) <= value * (1 + 1e-9)
    assert value <= max(times) * (1 + 1e-9)
    assert slowest_mean([1.0] * 38 + [2.0, 4.0]) == pytest.approx(3.0)
    assert slowest_mean([1.0] * 28 + [2.0, 4.0]) == pytest.approx((4.0 + 0.5 * 2.0) / 1.5)


def test_bad_input_is_refused() -> None:
    """No launches, an empty one, a value that is no number, a wrong limit or alpha."""
    for bad in ([], [[]], [[math.nan]], [[0.0], []]):
        with pytest.raises(ValueError, match=r"launches|finite"):
            far_rounds(bad, LIMIT)
    for limit in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="limit"):
            far_rounds([[0.0]], limit)
    far = far_rounds([[0.0]] * 4, LIMIT)
    for alpha in (0.0, 1.0):
        for ask in (proven, share_bound):
            with pytest.raises(ValueError, match="alpha"):
                ask(far, alpha)
    with pytest.raises(ValueError, match="no times"):
        slowest_mean([])
