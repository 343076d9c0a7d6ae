"""The likely cause of a reference that does not work as declared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pytest_perfgate.records.accuracy import Accuracy, Doubt
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind, Recipe, RuntimeSpec
from pytest_perfgate.tasks.classification import Classification, Output
from pytest_perfgate.tasks.classification.data import Called, ClassificationData
from pytest_perfgate.tasks.detection import Detection, Input
from pytest_perfgate.tasks.detection import Output as Boxes
from pytest_perfgate.tasks.pixels.network_options import OtherInput
from pytest_perfgate.worker.reference_check import below_minimum, doubt_by_trial, doubt_of
from pytest_perfgate.worker.reference_trial import Trial
from typing_extensions import override

from tests.worker.scenes import SIDE, RtDetr, Yolo, scenes, suite_of

HALF = 40


class TakesMinusOneToOne:
    """Dark pictures are below 0, bright ones above: scores (N, 2), bright first."""

    def run(self, inputs: Any) -> tuple[Any, ...]:
        """The scores of images (N, 3, H, W)."""
        level = inputs.images.mean(axis=(1, 2, 3))
        return (np.stack([level, -level], axis=1),)


def test_the_cause_is_looked_for_on_images_of_all_classes_of_a_sorted_folder() -> None:
    """The network calls everything by the name of the first class, without `mean` and `std`."""
    pytest.importorskip("sklearn", reason="pip install 'pytest-perfgate[classification]'")
    images = [np.full((4, 4, 3), grey, np.uint8) for grey in [200] * HALF + [50] * HALF]
    validation = ClassificationData(images, [0] * HALF + [1] * HALF, ["bright", "dark"])
    data = suite_of(validation, Input(), Output(), Classification())
    predictions = [Called(np.array([1.0, 0.0], np.float32))] * (2 * HALF)
    session: Any = TakesMinusOneToOne()
    accuracy = data.task.evaluate(validation, predictions)
    doubt, tried = doubt_of(data, session, predictions, accuracy)
    assert doubt is not None
    assert tried
    assert doubt.next_step.startswith("[suite.input] mean = ")
    assert ": accuracy is 1.0000 in place of 0." in doubt.next_step
    assert "on 32 images" in doubt.next_step


@pytest.fixture(scope="module")
def pictures() -> Any:
    """Forty annotated pictures of four shapes."""
    pytest.importorskip("faster_coco_eval", reason="pip install 'pytest-perfgate[detection]'")
    return scenes(40)


def checked(data: Any, session: Any) -> tuple[Doubt | None, bool, Accuracy]:
    """What the check of a reference says of its evaluation."""
    validation = data.split("validation")
    predictions: list[Any] = []
    for image in validation.images:
        inputs, meta = data.pipeline.preprocess([image])
        predictions += data.pipeline.postprocess(session.run(inputs), meta)
    accuracy = data.task.evaluate(validation, predictions)
    return *doubt_of(data, session, predictions, accuracy), accuracy


def sized(**keys: Any) -> Input:
    """Options of an RT-DETR with these keys; those of `sizes` are of its second input."""
    sizes = {"rule": "original_size", "order": "wh"} | keys.pop("sizes", {})
    return Input(size=(SIDE, SIDE), others={"orig_target_sizes": OtherInput(**sizes)}, **keys)


SIZES = '[suite.input.others] orig_target_sizes = { rule = "original_size", order = "wh" }'
BOXED = Input(size=(SIDE, SIDE), resize="letterbox")


@pytest.mark.parametrize(
    ("session", "pixels", "decode", "lines"),
    [
        (RtDetr(), sized(sizes={"order": "hw"}), "rtdetr", [SIZES]),
        (
            RtDetr(),
            sized(sizes={"rule": "network_size"}),
            "rtdetr",
            ['[suite.output] options = { units = "network" }', SIZES],
        ),
        (RtDetr(), sized(resize="letterbox"), "rtdetr", ['[suite.input] resize = "stretch"']),
        (
            Yolo(),
            Input(size=(SIDE, SIDE), color="BGR"),
            "ultralytics",
            ['[suite.input] color = "RGB" and [suite.input] resize = "letterbox"'],
        ),
        (Yolo(), Input(size=(SIDE, SIDE)), "ultralytics", ['[suite.input] resize = "letterbox"']),
        (
            Yolo(),
            BOXED.model_copy(update={"color": "BGR"}),
            "ultralytics",
            ['[suite.input] color = "RGB"', "[suite.output] options = { classes = [1, 0] }"],
        ),
    ],
    ids=["order", "rule", "padding", "both", "stretched", "colours"],
)
def test_a_wrong_declaration_is_named(
    pictures: Any, session: Any, pixels: Input, decode: str, lines: list[str]
) -> None:
    """A detector that scores a fraction of what it can is doubted, and the line to write is named
    with both scores. What explains it as well is named beside it.
    """
    doubt, tried, _ = checked(suite_of(pictures, pixels, Boxes(decode=decode)), session)
    assert doubt is not None
    assert tried
    assert all(line in doubt.next_step for line in lines), doubt
    assert "on 20 images" in doubt.next_step


@pytest.mark.parametrize(
    ("session", "pixels", "decode"),
    [(RtDetr(), sized(), "rtdetr"), (Yolo(), BOXED, "ultralytics")],
    ids=["rtdetr", "yolo"],
)
def test_a_right_declaration_is_not_doubted(
    pictures: Any, session: Any, pixels: Input, decode: str
) -> None:
    """Nothing is suspicious, so nothing is tried; and if it were, nothing would be named."""
    data = suite_of(pictures, pixels, Boxes(decode=decode))
    doubt, tried, _ = checked(data, session)
    assert doubt is None
    assert not tried
    assert doubt_by_trial(Trial(data, session, len(pictures.images))) is None


class Weak:
    """A detector that misses most squares, whatever its input is: its scores are noise."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)

    def run(self, inputs: Any) -> tuple[Any, ...]:
        """Some of the squares, by chance."""
        (rows,) = Yolo().run(inputs)
        return (rows[:, :, self._random.random(rows.shape[2]) < 0.3],)


def test_a_detector_that_is_weak_is_not_doubted(pictures: Any) -> None:
    """Its low score is suspicious; no alternative is better beyond noise, and luck is none."""
    doubt, tried, accuracy = checked(suite_of(pictures, BOXED, Boxes(decode="ultralytics")), Weak())
    assert 0.1 < accuracy.values["map"] < 0.5
    assert tried
    assert doubt is None


def test_a_reference_below_a_limit_of_its_own_is_suspicious(pictures: Any) -> None:
    """Whatever its score: `min` says what its owner expects."""
    data = suite_of(pictures, BOXED, Boxes(decode="ultralytics"))
    accuracy = Accuracy(
        values={"map": 0.7, "map50": 0.9}, images=60, data_digest="", predictions_digest=""
    )

    def recipe(metric: str, value: float) -> Recipe:
        limit = Limit(LimitKind.MIN, value, str(value))
        return Recipe("a", "", "a", (), 0, RuntimeSpec("r"), (Budget(metric, (limit,)),))

    assert below_minimum(data, recipe("map", 0.8), accuracy)
    assert not below_minimum(data, recipe("map", 0.6), accuracy)
    assert not below_minimum(data, recipe("latency_p50", 0.6), accuracy)


class Whole(Detection):
    """A task that scores its whole split alone."""

    @override
    def part(self, data: Any, rows: Any) -> None:
        """None of it."""
        return


def test_a_task_that_scores_no_part_is_tried_on_the_whole(pictures: Any) -> None:
    """The predictions of some images change, and both scores are those of all."""
    pixels = Input(size=(SIDE, SIDE))
    data = suite_of(pictures, pixels, Boxes(decode="ultralytics"), Whole())
    doubt, _, _ = checked(data, Yolo())
    assert doubt is not None
    assert doubt.next_step.startswith('[suite.input] resize = "letterbox": map is ')
    assert doubt.next_step.endswith("on 40 images, 20 of them predicted so")
