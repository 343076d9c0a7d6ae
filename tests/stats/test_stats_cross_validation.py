"""Folds and the variance of scores over them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.stats.cross_validation import assign, corrected_bounds


@given(st.lists(st.integers(0, 12), min_size=20, max_size=60), st.integers(2, 5))
def test_each_image_is_in_one_fold_and_each_group_too(groups: list[int], count: int) -> None:
    """No fold is empty, and none has more than the largest group beyond the smallest fold."""
    if len(set(groups)) < count:
        with pytest.raises(ValueError, match="groups in"):
            assign(groups, count)
        return
    folds = assign(groups, count)
    assert set(folds) == set(range(count))
    assert len({(group, fold) for group, fold in zip(groups, folds, strict=True)}) == len(
        set(groups)
    )
    sizes = [folds.count(fold) for fold in range(count)]
    assert max(sizes) - min(sizes) <= max(groups.count(group) for group in groups)


def test_images_that_stand_alone_are_dealt_out_evenly_and_the_same_way_each_time() -> None:
    """In no order of theirs."""
    folds = assign(range(103), 5)
    assert sorted(folds.count(fold) for fold in range(5)) == [20, 20, 21, 21, 21]
    assert folds == assign(range(103), 5)
    assert folds != assign(range(103), 5, seed=1)
    assert folds[:5] != sorted(folds[:5]) or folds[5:10] != sorted(folds[5:10])


def test_the_variance_is_the_published_one() -> None:
    """Five scores, by hand: s^2 = 0.00025, times 1/5 + 1/4; t of four degrees at 2.5 %: 2.7764."""
    mean, low, high = corrected_bounds([0.80, 0.82, 0.78, 0.81, 0.79], 20, 80, 0.025)
    half = 2.776445 * math.sqrt(0.00025 * (1 / 5 + 20 / 80))
    assert (mean, low, high) == pytest.approx((0.80, 0.80 - half, 0.80 + half), abs=1e-7)
    naive = 2.776445 * math.sqrt(0.00025 / 5)
    assert high - mean > 1.4 * naive


@pytest.mark.parametrize("scores", [[0.5], [0.5, math.nan]])
def test_bounds_of_one_score_or_none_are_refused(scores: list[float]) -> None:
    """Nothing is said of a scatter that is not there."""
    with pytest.raises(ValueError, match="two finite scores"):
        corrected_bounds(scores, 1, 4, 0.05)


def test_equal_scores_are_not_certain() -> None:
    """They scatter by less than folds can show, which is not nothing."""
    _, low, high = corrected_bounds([1.0] * 5, 20, 80, 0.05, least_sd=0.025)
    assert 0.9 < low < 1 < high


def test_bounds_cover_the_score_of_models_on_new_data() -> None:
    """A nearest-mean classifier on drawn data: its expected score lies in the 90 % interval of
    five folds in at least 85 of 100 experiments; in that of s^2 / k in fewer.
    """
    random = np.random.default_rng(4)

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = random.integers(0, 2, count)
        return random.normal(0, 1, (count, 20)) + 0.25 * labels[:, None], labels

    def score(train: tuple[np.ndarray, ...], test: tuple[np.ndarray, ...]) -> float:
        means = [train[0][train[1] == label].mean(axis=0) for label in (0, 1)]
        far = [((test[0] - mean) ** 2).sum(axis=1) for mean in means]
        return float(((far[1] < far[0]) == test[1]).mean())

    new = draw(4000)
    truth = np.mean([score(draw(48), new) for _ in range(200)])
    hits = naive = 0
    for _ in range(100):
        points, labels = draw(60)
        folds = np.array(assign(range(60), 5))
        scores = [
            score(
                (points[folds != k], labels[folds != k]), (points[folds == k], labels[folds == k])
            )
            for k in range(5)
        ]
        _, low, high = corrected_bounds(scores, 12, 48, 0.05)
        hits += low <= truth <= high
        _, low, high = corrected_bounds(scores, 1e-9, 48, 0.05)
        naive += low <= truth <= high
    assert hits >= 85
    assert naive < hits
