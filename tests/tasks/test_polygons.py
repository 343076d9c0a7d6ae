"""Overlap of quadrilaterals: equal to shapely's, and laws of areas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pytest_perfgate.tasks.polygons import areas, overlap, rotated, suppress

sides = st.floats(1, 50)
UNIT = [(0.0, 0.0, 1.0, 1.0, 0.0)]
boxes = st.tuples(st.floats(-20, 20), st.floats(-20, 20), sides, sides, st.floats(-4, 4))


@settings(max_examples=150, deadline=None)
@given(st.lists(boxes, min_size=1, max_size=4), st.lists(boxes, min_size=1, max_size=4))
@example([*UNIT, *UNIT, (0.0, 17.0, 47.015625, 34.5, 0.7110521370298679)], UNIT)
def test_overlap_is_that_of_shapely(
    one: list[tuple[float, ...]], two: list[tuple[float, ...]]
) -> None:
    """Of boxes turned by any angle; also with the first ones again, and turned by a right angle."""
    shapely = pytest.importorskip("shapely", reason="pip install 'pytest-perfgate[test]'")
    again = [(x, y, height, width, angle + np.pi / 2) for x, y, width, height, angle in one]
    left, right = rotated(np.array(one)), rotated(np.array([*two, *one, *again]))
    result = overlap(left, right)
    for row, corners in enumerate(left):
        for column, other in enumerate(right):
            first, second = shapely.Polygon(corners), shapely.Polygon(other)
            # On a grid: of two of the same corners but for the last bit GEOS says, else, that they
            # do not meet.
            inner = shapely.intersection(first, second, grid_size=1e-12).area
            expected = inner / (first.area + second.area - inner)
            assert result[row, column] == pytest.approx(expected, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(boxes, boxes, st.floats(-1000, 1000))
def test_overlap_moves_with_the_boxes(
    one: tuple[float, ...], two: tuple[float, ...], far: float
) -> None:
    """It is symmetric, within 0 and 1, 1 for itself, and the same far from the origin."""
    left, right = rotated(np.array([one])), rotated(np.array([two]))
    value = overlap(left, right).item()
    assert 0.0 <= value <= 1.0 + 1e-12
    assert overlap(right, left).item() == pytest.approx(value, abs=1e-9)
    assert overlap(left, left).item() == pytest.approx(1.0, abs=1e-9)
    assert overlap(left + far, right + far).item() == pytest.approx(value, abs=1e-8)


def test_a_quadrilateral_that_turns_inward_keeps_its_area() -> None:
    """An arrow's head, of which half lies in the box, whichever way round it is given."""
    arrow = np.array([[[0.0, 0], [10, 5], [0, 10], [4, 5]]])
    box = np.array([[[0.0, 0], [20, 0], [20, 5], [0, 5]]])
    assert areas(arrow).item() == 30.0
    expected = 15 / (30 + 100 - 15)
    assert overlap(arrow, box).item() == pytest.approx(expected)
    assert overlap(arrow[:, ::-1], box[:, ::-1]).item() == pytest.approx(expected)


def test_suppression_keeps_the_best_of_each_class() -> None:
    """Turned boxes on one place stay when they hardly overlap; a box without a number goes."""
    corners = rotated(
        np.array(
            [
                [50, 50, 40, 4, 0.0],
                [50, 50, 40, 4, 0.02],
                [50, 50, 40, 4, 1.5],
                [50, 50, 40, 4, 0.0],
                [np.nan, 50, 40, 4, 0.0],
            ]
        )
    )
    scores = np.array([0.8, 0.9, 0.7, 0.6, 0.95])
    categories = np.array([0, 0, 0, 1, 0])
    assert suppress(corners, scores, categories, 0.5, 10).tolist() == [1, 2, 3]
    assert suppress(corners, scores, categories, 0.5, 1).tolist() == [1]
