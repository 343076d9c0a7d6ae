"""Which images got worse: chosen by what the scores of their objects lost, and by nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.tasks.detection import Detection
from pytest_perfgate.tasks.detection.data import DetectionData, Prediction
from pytest_perfgate.tasks.detection.losses import LOSSES, truth
from pytest_perfgate.tasks.losses import NOTICEABLE

NAMES = ("cat", "dog")
PLACES = ([0, 0, 10, 10], [50, 0, 60, 10], [0, 50, 10, 60])


def found(*rows: tuple[int, float, int]) -> Prediction:
    """Detections: place, score, category."""
    return Prediction(
        boxes=np.array([PLACES[place] for place, _, _ in rows], np.float32).reshape(-1, 4),
        scores=np.array([score for _, score, _ in rows], np.float32),
        categories=np.array([category for _, _, category in rows], np.int64),
    )


OBJECTS = found((0, 1.0, 0), (1, 1.0, 1))
GOOD = found((0, 0.9, 0), (1, 0.8, 1))


def test_an_image_is_told_with_its_loss_and_both_sides_boxes() -> None:
    """A lost object counts with its whole score, another with what its score fell by."""
    ours = found((0, 0.4, 0), (2, 0.7, 0))
    (image,) = LOSSES.worse_images([OBJECTS], [ours], [GOOD], NAMES, 4)
    assert image.loss == pytest.approx(0.5 + 0.8, abs=1e-4)
    assert [(box.category, box.object) for box in image.reference] == [("cat", 0), ("dog", 1)]
    # The best first; one lies on no object.
    assert [(box.score, box.object) for box in image.recipe] == [(0.7, None), (0.4, 0)]


def test_another_category_on_the_object_is_a_loss() -> None:
    """A detection of the wrong category does not find the object."""
    ours = found((0, 0.9, 1), (1, 0.8, 1))
    (image,) = LOSSES.worse_images([OBJECTS], [ours], [GOOD], NAMES, 4)
    assert image.loss == pytest.approx(0.9, abs=1e-4)


def test_a_gain_elsewhere_does_not_hide_a_loss() -> None:
    """What one object lost is told, however much another one won."""
    ours = found((0, 0.1, 0), (1, 1.0, 1))
    (image,) = LOSSES.worse_images([OBJECTS], [ours], [GOOD], NAMES, 4)
    assert image.loss == pytest.approx(0.8, abs=1e-4)


@pytest.mark.parametrize("mine", [GOOD, found((0, 0.86, 0), (1, 0.8, 1))])
def test_what_is_as_good_is_not_told(mine: Prediction) -> None:
    """Nothing is shown for the same detections, nor for a loss that nobody would see."""
    assert LOSSES.worse_images([OBJECTS], [mine], [GOOD], NAMES, 4) == []


def test_low_scores_on_nothing_are_left_out() -> None:
    """Only what is paired with an object or confident is handed over."""
    ours = found((2, 0.2, 0))
    (image,) = LOSSES.worse_images([OBJECTS], [ours], [GOOD], NAMES, 4)
    assert image.recipe == ()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.integers(1, 5))
def test_the_worst_come_first_and_no_more_than_asked(scores: list[float], most: int) -> None:
    """For any scores: ordered by loss, at most `most`, none below what is noticeable."""
    ours = [found((0, score, 0), (1, 0.8, 1)) for score in scores]
    count = len(scores)
    images = LOSSES.worse_images([OBJECTS] * count, ours, [GOOD] * count, NAMES, most)
    losses = [image.loss for image in images]
    assert losses == sorted(losses, reverse=True)
    assert len(images) <= most
    assert all(loss >= NOTICEABLE - 1e-4 for loss in losses)
    reported = {image.image for image in images}
    left = [0.9 - score for index, score in enumerate(scores) if index not in reported]
    if len(images) == most:
        assert max(left, default=0.0) <= losses[-1] + 1e-4
    else:
        assert all(loss < NOTICEABLE + 1e-4 for loss in left)


def test_the_ground_truth_is_in_the_order_of_images_without_crowds() -> None:
    """Boxes become corners; ids may be anything; a crowd is no object to find."""
    coco = {
        "images": [{"id": 7, "file_name": "a.png"}, {"id": 3}],
        "annotations": [
            {"id": 1, "image_id": 3, "category_id": 20, "bbox": [1, 2, 3, 4]},
            {"id": 2, "image_id": 7, "category_id": 10, "bbox": [0, 0, 5, 5], "iscrowd": 1},
        ],
        "categories": [{"id": 10, "name": "cat"}, {"id": 20, "name": "dog"}],
    }
    data = DetectionData(images=[np.zeros((8, 8, 3), np.uint8)] * 2, coco=coco)
    first, second = truth(data)
    assert len(first.scores) == 0
    assert second.boxes.tolist() == [[1, 2, 4, 6]]
    assert Detection().objects(data, 0) == ("a.png", ())
    name, (box,) = Detection().objects(data, 1)
    assert (name, box.category, box.box, box.score) == ("", "dog", (1, 2, 4, 6), None)
