"""Boxes that cannot be as declared, and the reading that is named instead."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.detection import Detection, Input, Output
from pytest_perfgate.tasks.detection.decoder_doubts import other_readings

PICTURE, NETWORK = (120, 400), (60, 200)  # height and width
LEFT_TOP = np.array([[20, 5], [150, 8], [120, 20], [90, 30], [160, 38], [40, 10]], np.float32)
BOXES = np.concatenate([LEFT_TOP, LEFT_TOP + np.float32([30, 18])], axis=1)
SCORES = np.full((1, len(BOXES), 1), 0.6, np.float32)


def sample(*outputs: Any) -> tuple[tuple[Any, ...], Any]:
    """Outputs of one picture, and how it lies in the network's input."""
    stages = Detection().pipeline(Input(size=NETWORK), Output())
    return outputs, stages.preprocess([np.zeros((*PICTURE, 3), np.uint8)])[1]


def doubted(outputs: tuple[Any, ...], decode: str = "boxes_scores", **options: Any) -> Any:
    """The doubt about outputs that a decoder reads."""
    output = Output(decode=decode, options=options)
    return Detection().doubt_outputs([sample(*outputs)], output)


FRACTIONS = BOXES / np.float32([200, 60, 200, 60])
SIZES = np.concatenate([LEFT_TOP, np.full_like(LEFT_TOP, 18)], axis=1)


@pytest.mark.parametrize(
    ("boxes", "problem", "line"),
    [
        (FRACTIONS, "all 6 boxes lie within 2 pixels", 'units = "fractions"'),
        (SIZES, "boxes have no width or no height", 'box_format = "xywh"'),
        (SIZES, "boxes have no width or no height", 'box_format = "cxcywh"'),
        (BOXES[:, [1, 0, 3, 2]], "boxes lie outside of the picture", 'box_format = "yxyx"'),
        (BOXES * 2, "boxes lie outside of the picture", 'units = "original"'),
    ],
    ids=["fractions", "corner and size", "centre and size", "y first", "original pixels"],
)
def test_boxes_that_cannot_be_name_how_to_read_them(boxes: Any, problem: str, line: str) -> None:
    """The likely unit or format, without any annotation."""
    doubt = doubted((boxes[None], SCORES))
    assert problem in doubt.problem
    assert line in doubt.next_step
    assert doubt.next_step.startswith("try [suite.output] options = { ")


def test_boxes_as_declared_are_not_doubted() -> None:
    """The right reading, and boxes that are too few to say anything."""
    assert doubted((BOXES[None], SCORES)) is None
    assert doubted((FRACTIONS[None], SCORES), units="fractions") is None
    assert doubted((FRACTIONS[None, :4], SCORES[:, :4])) is None


@given(
    objects=st.lists(
        st.tuples(st.floats(0, 190), st.floats(0, 50), st.floats(4, 190), st.floats(4, 50)),
        min_size=1,
        max_size=20,
    )
)
@settings(max_examples=50, deadline=None)
def test_boxes_inside_of_the_picture_are_never_doubted(
    objects: list[tuple[float, float, float, float]],
) -> None:
    """Whatever their places and sizes."""
    rows = np.array(objects, np.float32)
    boxes = np.concatenate([rows[:, :2], np.minimum(rows[:, :2] + rows[:, 2:], (200, 60))], axis=1)
    assert doubted((boxes[None], np.full((1, len(boxes), 2), 0.6, np.float32))) is None


def test_sure_boxes_outside_of_the_picture_are_odd() -> None:
    """More than one in twenty, which a right detector has not; no doubt by themselves."""
    many = np.tile(BOXES, (5, 1))
    scores = np.full((1, len(many), 1), 0.6, np.float32)
    output = Output()

    def odd(outside: int, score: float = 0.6) -> str:
        boxes = many.copy()
        boxes[:outside] += np.float32(500)
        sure = scores.copy()
        sure[:, :outside] = score
        assert doubted((boxes[None], sure)) is None
        return Detection().odd_outputs([sample(boxes[None], sure)], output)

    assert odd(1) == ""
    assert odd(2) == ("2 of 30 boxes with a score of at least 0.3 lie outside of the picture")
    assert odd(2, score=0.1) == ""


def test_outputs_of_another_decoder_name_it() -> None:
    """By their shapes, and where these fit by chance by their scores and boxes. What the decoder
    guesses by itself is not said beside it.
    """
    chances = np.full((1, len(BOXES), 3), 0.05, np.float32)
    chances[..., 1] = 0.9
    middle = np.concatenate([(BOXES[:, :2] + BOXES[:, 2:]) / 2, BOXES[:, 2:] - BOXES[:, :2]], 1)
    rows = np.concatenate([middle[None], chances], axis=2).transpose(0, 2, 1)
    for decode, outputs, likely in (
        ("boxes_scores", (rows,), "ultralytics"),
        ("yolov5", (np.repeat(rows, 5, axis=2),), "ultralytics"),
        ("detr", (BOXES[None], SCORES), "boxes_scores"),
        ("ultralytics", (np.array([[0, *BOXES[0], 1, 0.9]], np.float32),), "nms_rows"),
    ):
        stages = Detection().pipeline(Input(size=NETWORK), Output(decode=decode))
        with pytest.raises(DataError) as caught:
            stages.postprocess(*sample(*outputs))
        assert f'decode = "{likely}"' in caught.value.next_step, caught.value
        assert caught.value.next_step.startswith("try [suite.output] decode = ")


def test_other_readings_differ_from_what_is_declared() -> None:
    """The fewest changes first; options that are no reading stay."""
    output = Output(decode="ultralytics", options={"classes": [1], "units": "fractions"})
    readings = list(other_readings(output))
    assert len({str(other) for _, other in readings} | {str(output)}) == len(readings) + 1
    own = [other.options for _, other in readings if other.decode == "ultralytics"]
    assert len(own) == 3 * 4 - 1
    assert all(options["classes"] == [1] for options in own)
    assert [sorted(options) for options in own[:2]] == [["classes", "units"]] * 2
