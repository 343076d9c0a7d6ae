"""Agreement of two recipes, and how far their scores moved, whatever the truth is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.stats.ratio import bootstrap
from pytest_perfgate.tasks.detection.agreement import compare, pack, unpack
from pytest_perfgate.tasks.detection.data import Prediction
from pytest_perfgate.tasks.pairing import CONFIDENT


def prediction(*result: tuple[float, float, int]) -> Prediction:
    """Detections (left edge, score, category) of boxes 10 x 10, best first."""
    ordered = sorted(result, key=lambda pair: -pair[1])
    return Prediction(
        boxes=np.array([[x, 0, x + 10, 10] for x, _, _ in ordered], np.float32).reshape(-1, 4),
        scores=np.array([score for _, score, _ in ordered], np.float32),
        categories=np.array([category for _, _, category in ordered], np.int64),
    )


detections = st.lists(
    st.tuples(
        st.integers(0, 60).map(float),
        st.integers(1, 99).map(lambda percent: percent / 100),
        st.integers(0, 1),
    ),
    max_size=6,
    unique_by=lambda pair: pair[1],
)
images = st.lists(detections.map(lambda result: prediction(*result)), min_size=1, max_size=4)


def values(ours: list[Prediction], other: list[Prediction]) -> tuple[float, float]:
    """Agreement and score shift."""
    result = compare(ours, other)
    (common, both), (moved, counted) = result["agreement"], result["score_shift"]
    return (
        common.sum() / both.sum() if both.sum() else 1.0,
        moved.sum() / counted.sum() if counted.sum() else 0.0,
    )


def test_by_hand() -> None:
    """One pair with another score, one confident detection without a partner on either side."""
    ours = [prediction((0, 0.9, 0), (30, 0.5, 0))]
    other = [prediction((1, 0.7, 0), (50, 0.4, 0))]
    agreement, shift = values(ours, other)
    assert agreement == pytest.approx(2 / 4)
    assert shift == pytest.approx((0.2 + 0.5 + 0.4) / 3)


def test_another_category_or_too_little_overlap_is_no_pair() -> None:
    """The same place as another thing, and the same thing five pixels away: nothing agrees."""
    ours = [prediction((0, 0.9, 0))]
    assert values(ours, [prediction((0, 0.9, 1))]) == pytest.approx((0.0, 0.9))
    assert values(ours, [prediction((5, 0.9, 0))]) == pytest.approx((0.0, 0.9))


def test_a_collapsed_score_is_a_shift_not_an_absence() -> None:
    """Below what is confident it still has its partner: the shift is the difference."""
    ours, other = [prediction((0, 0.2, 0))], [prediction((0, 0.8, 0))]
    assert values(ours, other) == pytest.approx((0.0, 0.6))


@given(images)
@settings(max_examples=60, deadline=None)
def test_identical_predictions_agree_wholly(some: list[Prediction]) -> None:
    """Exactly 1 and 0, with nothing found too."""
    assert values(some, some) == (1.0, 0.0)


@given(images, images, st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_sides_and_orders_do_not_matter(
    mine: list[Prediction], other: list[Prediction], seed: int
) -> None:
    """Swapped sides, images in another order, detections in another order: the same values."""
    count = min(len(mine), len(other))
    mine, other = mine[:count], other[:count]
    result = values(mine, other)
    assert values(other, mine) == pytest.approx(result)
    order = np.random.default_rng(seed).permutation(count)
    assert values([mine[at] for at in order], [other[at] for at in order]) == pytest.approx(result)
    mixed = []
    for prediction in mine:
        turn = np.random.default_rng(seed).permutation(len(prediction.scores))
        mixed.append(
            Prediction(prediction.boxes[turn], prediction.scores[turn], prediction.categories[turn])
        )
    assert values(mixed, other) == pytest.approx(result)


@given(images, st.floats(0.1, 1.0), st.floats(0.1, 1.0))
@settings(max_examples=60, deadline=None)
def test_the_lower_the_scores_the_larger_the_shift(
    some: list[Prediction], one: float, two: float
) -> None:
    """Boxes that do not move: scaling scores down further never brings the shift back."""
    alone = [  # one detection per image, so that each keeps its partner
        Prediction(prediction.boxes[:1], prediction.scores[:1], prediction.categories[:1])
        for prediction in some
    ]

    def scaled(by: float) -> list[Prediction]:
        return [
            Prediction(prediction.boxes, prediction.scores * by, prediction.categories)
            for prediction in alone
        ]

    more, less = sorted((one, two))
    assert values(scaled(more), alone)[1] >= values(scaled(less), alone)[1] - 1e-6
    assert values(scaled(more), alone)[0] <= values(scaled(less), alone)[0]


@given(images)
@settings(max_examples=30, deadline=None)
def test_what_is_packed_comes_back(some: list[Prediction]) -> None:
    """Arrays and back: the same detections in the same images."""
    back = unpack(pack(some))
    assert len(back) == len(some)
    for one, other in zip(some, back, strict=True):
        assert np.array_equal(one.boxes, other.boxes)
        assert np.array_equal(one.scores, other.scores)
        assert np.array_equal(one.categories, other.categories)


def test_other_images_are_refused() -> None:
    """Two sides of different length cannot be compared."""
    with pytest.raises(ValueError, match="1 and 2 images"):
        compare([prediction()], [prediction(), prediction()])


@pytest.mark.slow
def test_the_interval_holds_the_truth() -> None:
    """Images drawn from one known distribution: 95 % intervals hold its ratio 92 to 99 times in
    100.
    """
    random = np.random.default_rng(4)
    truth, held, runs = 0.3, 0, 400
    for _ in range(runs):
        bottom = random.integers(1, 6, 80).astype(float)
        top = random.binomial(bottom.astype(int), truth).astype(float)
        low, high = bootstrap((top, bottom)).bounds(0.05)
        held += low <= truth <= high
    assert 0.92 <= held / runs <= 0.99


def test_a_paired_difference_is_surer_than_two_ratios() -> None:
    """What is hard for both cancels; the same draw gives the same bounds again."""
    random = np.random.default_rng(5)
    bottom = random.integers(1, 6, 200).astype(float)
    hard = random.random(200)
    one, other = (bottom * np.clip(hard + shift, 0, 1) for shift in (0.0, 0.02))
    pair = bootstrap((other, bottom), (one, bottom))
    alone = bootstrap((one, bottom))
    assert pair.error < alone.error / 3
    assert bootstrap((other, bottom), (one, bottom)) == pair


def test_nothing_to_divide_by_is_refused() -> None:
    """No confident detection anywhere gives no ratio, and unequal sides no difference."""
    nothing = (np.zeros(3), np.zeros(3))
    with pytest.raises(ValueError, match="divide"):
        bootstrap(nothing)
    with pytest.raises(ValueError, match="same images"):
        bootstrap((np.ones(3), np.ones(3)), (np.ones(2), np.ones(2)))
    assert CONFIDENT == 0.3
