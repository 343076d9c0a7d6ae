"""Reliability of scores: the error is zero when scores say what they should, and bounded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.stats.reliability import reliability


def test_scores_that_are_right_as_often_as_they_say_have_no_error() -> None:
    """Eight of ten right at 0.8, one of four at 0.25."""
    scores = np.array([0.8] * 10 + [0.25] * 4)
    right = np.array([True] * 8 + [False] * 2 + [True] + [False] * 3)
    result = reliability(scores, right)
    assert result is not None
    assert result.error == pytest.approx(0.0, abs=1e-12)
    assert [(bucket.count, round(bucket.right, 2)) for bucket in result.bins] == [
        (4, 0.25),
        (10, 0.8),
    ]


def test_the_error_by_hand() -> None:
    """Guo et al.'s equation 3: 3/4 * |1 - 0.6| + 1/4 * |0 - 0.95|."""
    result = reliability(np.array([0.6, 0.6, 0.6, 0.95]), np.array([True, True, True, False]))
    assert result is not None
    assert result.error == pytest.approx(0.75 * 0.4 + 0.25 * 0.95)


def test_nothing_detected_has_no_reliability() -> None:
    """Not zero: not measured."""
    assert reliability(np.zeros(0), np.zeros(0, dtype=bool)) is None


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_the_error_is_a_share_and_no_detection_is_lost(rows: list[tuple[float, bool]]) -> None:
    """For any scores, 0 and 1 included."""
    scores, right = (np.array(column) for column in zip(*rows, strict=True))
    result = reliability(scores, right)
    assert result is not None
    assert 0 <= result.error <= 1
    assert sum(bucket.count for bucket in result.bins) == len(rows)
    assert [bucket.score for bucket in result.bins] == sorted(
        bucket.score for bucket in result.bins
    )
