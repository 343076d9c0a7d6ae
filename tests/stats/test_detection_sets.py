"""Detections in another order are the same answer; anything else is not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.stats.detection_sets import set_difference


def ranked(count: int = 300, images: int = 2) -> Any:
    """Rows (images, count, 6) of corners, score and class, the best first."""
    random = np.random.default_rng(3)
    rows = random.random((images, count, 6)) * [640, 640, 640, 640, 1, 9]
    rows[:, :, 4] = np.linspace(0.9, 0.1, count)
    return rows


def test_two_that_change_places_are_the_same_set() -> None:
    """In one output or in several, with their number beside them, padded or not."""
    one = ranked()
    other = one.copy()
    other[0, [7, 8]] = one[0, [8, 7]]
    assert set_difference([one], [other], 2) == 0.0
    parts = [[rows[:, :, :4], rows[:, :, 4], rows[:, :, 5]] for rows in (one, other)]
    counts = np.full((2, 1), 300)
    assert set_difference([counts, *parts[0]], [counts, *parts[1]], 2) == 0.0
    rows = one[0], other[0]  # of any image, as ONNX's own suppression gives them
    assert set_difference([rows[0]], [rows[1]], 1) == 0.0


def test_a_row_that_moved_is_as_far_as_its_column_is_large() -> None:
    """A hundredth of a score is one, beside corners of hundreds of pixels."""
    one = ranked(20)
    other = one[:, ::-1].copy()
    other[1, 3, 4] += 0.009
    assert set_difference([one], [other], 2) == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize(("changed", "same"), [(6, True), (7, False)])
def test_of_fifty_ranked_rows_one_may_come_or_go(changed: int, same: bool) -> None:
    """As at a threshold; in their number, too."""
    one = ranked()
    other = one.copy()
    other[0, -changed:, :4] += 1000
    assert (set_difference([one], [other], 2) == 0.0) == same
    assert (set_difference([one[:1]], [one[:1, :-changed]], 1) == 0.0) == same


def test_rows_of_anchors_are_all_there() -> None:
    """Nothing was decided: one that is wrong is no detection at a threshold."""
    one = np.random.default_rng(1).random((1, 100, 5))
    other = one.copy()
    other[0, 50] += 1
    assert set_difference([one], [other], 1) > 0.3


def test_images_do_not_change_places() -> None:
    """Nor do their scores of classes, or maps."""
    one = ranked()
    assert set_difference([one], [one[::-1]], 2) > 0.01
    logits = np.random.default_rng(1).random((8, 10))
    assert set_difference([logits], [logits[::-1]], 8) == math.inf
    maps = np.random.default_rng(1).random((2, 4, 8, 8))
    assert set_difference([maps], [maps], 2) == math.inf


def test_what_is_not_finite_is_in_no_set() -> None:
    """On either side."""
    one, other = ranked(20), ranked(20)
    other[0, 2, 1] = math.nan
    assert set_difference([one], [other], 2) == math.inf
    assert set_difference([other], [one], 2) == math.inf
