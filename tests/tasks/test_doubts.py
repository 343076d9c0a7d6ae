"""Accuracies that cannot be those of a working model, and the cause that is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.tasks.classification import Classification, Output
from pytest_perfgate.tasks.classification.class_order import other_order
from pytest_perfgate.tasks.classification.data import Called, ClassificationData
from pytest_perfgate.tasks.detection import Detection
from pytest_perfgate.tasks.detection import Output as Boxes
from pytest_perfgate.tasks.detection.data import DetectionData, Prediction
from pytest_perfgate.tasks.pixels.input_options import Input
from pytest_perfgate.tasks.pixels.network_options import OtherInput
from pytest_perfgate.tasks.pixels.other_inputs import other_inputs

from tests.worker.scenes import scenes


@given(
    order=st.permutations(range(5)),
    share=st.floats(0.8, 1.0),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_a_hidden_order_of_the_classes_is_found(order: list[int], share: float, seed: int) -> None:
    """A network that is right in 80 % and more, its classes in another order: that very order."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 5, 200)
    called = np.where(
        random.random(200) < share, np.array(order)[truth], random.integers(0, 5, 200)
    )
    expected = None if order == sorted(order) else tuple(order)
    moved = np.mean(np.array(order)[truth] != truth)
    if expected is None or moved > 0.5:
        assert other_order(truth, called, 5) == expected


@given(seed=st.integers(0, 999), classes=st.integers(2, 20), count=st.integers(0, 200))
@settings(max_examples=60, deadline=None)
def test_noise_has_no_hidden_order(seed: int, classes: int, count: int) -> None:
    """Calls that have nothing to do with the truth fit no order, however many are tried."""
    random = np.random.default_rng(seed)
    pairs = random.integers(0, classes, (2, count))
    assert other_order(pairs[0], pairs[1], classes) is None


def called(labels: Any, classes: int = 4) -> list[Called]:
    """Predictions whose best class is each of the labels."""
    return [Called(np.eye(classes, dtype=np.float32)[label]) for label in labels]


def classified(labels: list[int], calls: list[int], output: Output | None = None) -> Any:
    """The doubt about these calls."""
    pytest.importorskip("sklearn", reason="pip install 'pytest-perfgate[classification]'")
    images = [np.full((4, 4, 3), index % 250, np.uint8) for index in range(len(labels))]
    data = ClassificationData(images, labels, ["a", "b", "c", "d"])
    task = Classification()
    predictions = called(calls)
    accuracy = task.evaluate(data, predictions)
    return task.doubt(data, predictions, accuracy, output or Output())


LABELS = [0, 1, 2, 3] * 10


def test_classes_in_another_order_are_named_with_the_option_that_sorts_them() -> None:
    """Folders in the order of their names, a network in another: the line to write."""
    swapped = [[2, 1, 0, 3][label] for label in LABELS]
    assert classified(LABELS, LABELS) is None
    result = classified(LABELS, swapped)
    assert "another order" in result.problem
    assert result.next_step == "[suite.output] classes = [2, 1, 0, 3]"
    declared = Output(classes=(7, 5, 3, 1))
    assert "[3, 5, 7, 1]" in classified(LABELS, swapped, declared).next_step


def test_a_classifier_no_better_than_guessing_is_doubted() -> None:
    """It calls everything one class."""
    assert "guessing among 4 classes reaches 0.2500" in classified(LABELS, [0] * 40).problem


SQUARES = [(2.0, 2.0, 12.0, 12.0), (20.0, 20.0, 40.0, 40.0)]


def detected(
    categories: list[int], *, shift: float = 0.0, score: float = 0.9, classes: tuple[int, ...] = ()
) -> Any:
    """The doubt about a detector on twenty images with two objects each, of categories 0 and 1,
    which it calls `categories`.
    """
    pytest.importorskip("faster_coco_eval", reason="pip install 'pytest-perfgate[detection]'")
    images = [np.full((48, 48, 3), index, np.uint8) for index in range(20)]
    coco = {
        "images": [{"id": index, "width": 48, "height": 48} for index in range(20)],
        "annotations": [
            {
                "id": 2 * index + row + 1,
                "image_id": index,
                "category_id": row + 1,
                "bbox": [x, y, right - x, bottom - y],
                "area": (right - x) * (bottom - y),
                "iscrowd": 0,
            }
            for index in range(20)
            for row, (x, y, right, bottom) in enumerate(SQUARES)
        ],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
    }
    data = DetectionData(images, coco)
    boxes = np.array(SQUARES, dtype=np.float32) + np.float32(shift)
    scores = np.full(2, score, dtype=np.float32)
    predictions = [Prediction(boxes, scores, np.array(categories, dtype=np.int64))] * 20
    task = Detection()
    accuracy = task.evaluate(data, predictions)
    output = Boxes(decode="ultralytics", options={"classes": classes} if classes else {})
    return task.doubt(data, predictions, accuracy, output)


def test_a_detector_is_doubted_for_order_scores_and_nothing_found() -> None:
    """Each with its own words; one that is right is not doubted."""
    assert detected([0, 1]) is None
    assert detected([1, 0]).next_step == "[suite.output] options = { classes = [1, 0] }"
    assert "classes = [5, 8]" in detected([1, 0], classes=(8, 5)).next_step
    assert "scores up to 3.5; scores are in [0, 1]" in detected([0, 1], score=3.5).problem
    assert "map50 is 0.0000 (40 detections in 20 images)" in detected([0, 1], shift=100.0).problem


def test_every_alternative_differs_from_what_is_declared_and_says_its_line() -> None:
    """Colour, mean and std, resize; for a detector other decoders and activations too."""
    pixels = Input(size=(8, 8), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    lines = [text for text, *_ in Classification().alternatives(pixels, Output())]
    assert lines[0] == '[suite.input] color = "BGR"'
    assert lines[-1] == '[suite.input] resize = "letterbox"'
    assert any('color = "BGR", scale = 255, mean = [103.53' in line for line in lines)
    assert not any("mean = [0.5" in line for line in lines)
    output = Boxes(decode="detr")
    tried = list(Detection().alternatives(pixels, output))
    assert len({(text, str(one), str(other)) for text, one, other in tried}) == len(tried)
    assert all((one, other) != (pixels, output) for _, one, other in tried)
    assert any("activation" in text for text, *_ in tried)
    assert any('decode = "yolov5"' in text for text, *_ in tried)


def test_other_rules_of_a_second_input_are_tried() -> None:
    """Each order of each size, also beside a function of the project; scales have other orders
    alone, constants none.
    """
    others = {
        "orig_target_sizes": OtherInput(rule="original_size"),
        "scale_factor": OtherInput(rule="scale"),
        "limit": OtherInput(value=0.5),
    }
    pixels = Input(preprocess="pixels:prepare", others=others)
    tried = dict(other_inputs(pixels))
    assert len(tried) == 2 * 3 - 1 + 1
    line = '[suite.input.others] orig_target_sizes = { rule = "original_size", order = "wh" }'
    assert next(iter(tried)) == line
    assert tried[line].others["orig_target_sizes"].order == "wh"
    assert tried[line].others["limit"] is others["limit"]


def test_a_part_of_the_data_scores_as_its_images_do() -> None:
    """The images of some rows with their truth, categories that none of them has included."""
    pytest.importorskip("faster_coco_eval", reason="pip install 'pytest-perfgate[detection]'")
    whole = scenes(12)
    rows = [1, 4, 11]
    part = Detection().part(whole, rows)
    assert part.instances.categories == whole.instances.categories
    for index, row in enumerate(rows):
        assert np.array_equal(part.images[index], whole.images[row])
        ours = part.instances.boxes[part.instances.image == index]
        assert np.array_equal(ours, whole.instances.boxes[whole.instances.image == row])
    labelled = ClassificationData(whole.images, [index % 2 for index in range(12)], ["a", "b"])
    part = Classification().part(labelled, rows)
    assert (list(part.labels), part.classes) == ([1, 0, 1], labelled.classes)
