"""Faults in predictions of each kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pytest_perfgate.proving.catalogue import REFUSED, DoesNotApply
from pytest_perfgate.proving.predictions import PREDICTIONS
from pytest_perfgate.tasks.classification.data import Called
from pytest_perfgate.tasks.detection.data import Prediction
from pytest_perfgate.tasks.segmentation.data import Segments

BOXES = Prediction(
    np.array([[10, 10, 30, 20], [5, 5, 9, 9], [0, 0, 4, 4]], np.float32),
    np.array([0.96, 0.54, 0.32], np.float32),
    np.array([1, 0, 2], np.int64),
)
CALLED = Called(np.array([0.62, 0.27, 0.11], np.float32))
MASK = Segments(np.array([[0, 1, 2, 1]], np.uint8), np.array([[0.62, 0.38]], np.float32))


def planted(name: str, prediction: Any) -> Any:
    """The prediction with a fault."""
    return PREDICTIONS[name](prediction)


@pytest.mark.parametrize("prediction", [BOXES, CALLED, MASK])
def test_scores_are_halved_and_rounded(prediction: Any) -> None:
    """Every score, of every task."""
    halved = planted("scores_halved", prediction).scores
    assert np.allclose(halved, prediction.scores / 2)
    assert halved.dtype == np.float32
    rounded = planted("scores_rounded", prediction).scores
    assert np.allclose(rounded * 10, np.rint(prediction.scores * 10))


def test_boxes_are_shifted_and_widened() -> None:
    """By two pixels to the right; by a tenth about their middle."""
    assert (planted("boxes_shifted", BOXES).boxes - BOXES.boxes).tolist() == [[2, 0, 2, 0]] * 3
    wide = planted("boxes_wide", BOXES).boxes
    assert wide[0].tolist() == [9, 10, 31, 20]
    assert planted("boxes_shifted", MASK).labels.tolist() == [[2, 1, 0, 1]]


def test_a_class_is_dropped() -> None:
    """The first class is in no prediction any more; the others stay."""
    assert planted("class_dropped", BOXES).categories.tolist() == [1, 2]
    assert planted("class_dropped", CALLED).scores.tolist() == [0, *CALLED.scores[1:].tolist()]
    assert planted("class_dropped", MASK).labels.tolist() == [[1, 1, 2, 1]]


def test_two_classes_are_swapped() -> None:
    """The first two, and no third one."""
    assert planted("classes_swapped", BOXES).categories.tolist() == [0, 1, 2]
    assert planted("classes_swapped", CALLED).scores.tolist() == CALLED.scores[[1, 0, 2]].tolist()
    assert planted("classes_swapped", MASK).labels.tolist() == [[1, 0, 2, 0]]


def test_detections_are_left_out_and_doubled() -> None:
    """The best alone; each one twice, best first."""
    assert planted("best_only", BOXES).scores.tolist() == BOXES.scores[:1].tolist()
    twice = planted("duplicates", BOXES)
    assert len(twice.boxes) == 2 * len(BOXES.boxes)
    assert twice.scores.tolist() == sorted(twice.scores.tolist(), reverse=True)


@pytest.mark.parametrize("name", ["boxes_wide", "best_only", "duplicates"])
def test_a_fault_of_boxes_does_not_apply_without_boxes(name: str) -> None:
    """It says so, and does not pass for a fault that nobody sees."""
    with pytest.raises(DoesNotApply, match="no boxes") as caught:
        planted(name, CALLED)
    assert caught.value.problem.startswith(REFUSED)
