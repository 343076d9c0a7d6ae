"""How much images move a score: the jackknife agrees with the bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
from pytest_perfgate.stats.image_bootstrap import bootstrap
from pytest_perfgate.stats.influence import Influence, of_precision, of_ratio

from tests.stats.test_stats_coverage import detectors


def error_of(influence: Influence) -> float:
    """The standard error over images that moves of groups say."""
    weights = influence.counts / influence.counts.sum()
    return float(np.sqrt(((weights * influence.moves) ** 2).sum()))


@pytest.mark.parametrize("images", [60, 450])
def test_moves_of_a_mean_average_precision_have_the_error_of_its_bootstrap(images: int) -> None:
    """Image by image, and in 200 groups of two and three images."""
    table, _ = detectors(np.random.default_rng(0), images)
    influence = of_precision(table, tuple(range(10)))
    drawn = bootstrap(table, draws=400)
    assert influence.value == pytest.approx(drawn.value)
    assert influence.counts.sum() == images
    assert float(influence.moves @ influence.counts) == pytest.approx(0.0, abs=1e-9)
    assert error_of(influence) == pytest.approx(drawn.error, rel=0.15)


@pytest.mark.parametrize("images", [50, 450])
def test_moves_of_a_ratio_are_its_derivative(images: int) -> None:
    """The value moves by them when a group counts a little more."""
    random = np.random.default_rng(1)
    top, bottom = random.random(images), random.integers(1, 5, images).astype(float)
    influence = of_ratio(top, bottom)
    assert influence.value == pytest.approx(top.sum() / bottom.sum())
    member = np.arange(images) % len(influence.counts)
    weights = np.where(member == 3, 1 + 1e-6, 1.0)
    slope = ((weights @ top) / (weights @ bottom) - influence.value) / 1e-6
    share = influence.counts[3] / images
    assert influence.moves[3] * share == pytest.approx(slope, rel=1e-4)


def test_nothing_to_divide_by_is_an_error() -> None:
    """Not a score of 0."""
    with pytest.raises(ValueError, match="nothing to divide by"):
        of_ratio(np.zeros(3), np.zeros(3))
