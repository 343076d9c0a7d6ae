"""Outputs of oriented detectors, mapped to the picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.oriented import OrientedBoxes
from pytest_perfgate.tasks.oriented.data import Oriented, as_oriented
from pytest_perfgate.tasks.oriented.output import Output, Reading
from pytest_perfgate.tasks.pixels.geometry import Placed

LETTERBOX = Placed(scale=(0.5, 0.5), original=(200, 300), network=(160, 160), offset=(5, 30))


def read(output: Any, **options: Any) -> Oriented:
    """One image's boxes."""
    (one,) = Reading(Output(**options)).read((np.asarray(output, np.float32),), (LETTERBOX,))
    return one


def test_an_export_of_ultralytics_is_turned_and_mapped() -> None:
    """A quarter of a turn, from x to y; of overlapping boxes of a class the better one stays."""
    rows = [
        [60, 70, 40, 20, 0.1, 0.8, 0.05],
        [60, 70, 40, 20, 0.1, 0.9, np.pi / 2],
        [60, 71, 20, 40, 0.1, 0.7, 0.0],
    ]
    one = read(np.array(rows).T[None])
    assert one.scores.tolist() == pytest.approx([0.9, 0.8])  # a cross overlaps by a third
    assert one.categories.tolist() == [1, 1]
    expected = [[130, 40], [130, 120], [90, 120], [90, 40]]
    assert one.corners[0] == pytest.approx(np.array(expected), abs=1e-3)


def test_rows_with_suppression_inside_are_taken_as_they_are() -> None:
    """Centre, size, score, class, angle; rows without a score are unused, classes chosen."""
    rows = [[60, 70, 40, 20, 0.9, 2, 0.0], [60, 70, 40, 20, 0.8, 1, 0.0], [0] * 7]
    one = read([rows], format="ultralytics_nms")
    assert one.categories.tolist() == [2, 1]
    assert one.corners[0, 0] == pytest.approx([70, 60], abs=1e-3)
    assert read([rows], format="ultralytics_nms", classes=(2,)).categories.tolist() == [0]


def test_degrees_and_other_formats_are_refused_with_the_option() -> None:
    """Angles beyond a turn, logits, and other shapes."""
    row = [60, 70, 40, 20, 0.9, 0, 90.0]
    with pytest.raises(DataError, match=r'(?s)an angle is 90.*angle = "degrees"'):
        read([[row]], format="ultralytics_nms")
    turned = read([[row]], format="ultralytics_nms", angle="degrees")
    assert turned.corners[0] == pytest.approx(
        np.array([[130, 40], [130, 120], [90, 120], [90, 40]]), abs=1e-3
    )
    with pytest.raises(DataError, match=r"shape \(1, 1, 7\)\n *valid: \(N, 4 \+ C \+ 1, A\)"):
        read([[row]])
    with pytest.raises(DataError, match="the scores go from"):
        read(np.array([[60, 70, 40, 20, 9.0, 0.5, 0.0]]).T[None])


def test_ones_own_function_returns_corners() -> None:
    """In any order of scores; something else is refused."""
    corners = np.arange(16.0).reshape(2, 4, 2)
    one = as_oriented((corners, np.array([0.1, 0.9]), np.array([0, 1])))
    assert one.corners[0].tolist() == corners[1].tolist()
    with pytest.raises(DataError, match=r"shapes \(2, 4, 2\), \(1,\)"):
        as_oriented((corners, np.zeros(1), np.zeros(1, int)))
    assert OrientedBoxes().Output().max_detections == 300


def test_tiles_of_a_picture_are_merged() -> None:
    """What two tiles see is one box; the part that a tile's edge cut off goes with it."""
    task = OrientedBoxes()
    pipeline = task.pipeline(
        task.Input.model_validate({"size": [64, 64], "resize": "tiles", "overlap": 0.25}),
        task.Output.model_validate({"format": "ultralytics_nms"}),
    )
    inputs, places = pipeline.preprocess([np.zeros((64, 112, 3), np.uint8)])
    assert inputs.images.shape[0] == len(places) == 2  # from 0 on, and from 48 on
    rows = np.zeros((2, 2, 7), np.float32)
    rows[0, 0] = [50, 30, 20, 8, 0.9, 0, 0.3]
    rows[1, 0] = [4, 30.5, 12, 8, 0.6, 0, 0.3]  # of the same object, cut off
    rows[1, 1] = [40, 30, 20, 8, 0.8, 0, -0.5]
    (merged,) = pipeline.postprocess((rows,), places)
    assert merged.scores.tolist() == pytest.approx([0.9, 0.8])
    assert merged.corners.mean(axis=1) == pytest.approx(np.array([[50, 30], [88, 30]]), abs=1e-3)
