"""Decoders of lists and of raw heads: values by hand, and boxes that come back from each layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pytest_perfgate import registry
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.decoders import corners
from pytest_perfgate.tasks.decoders.anchors import PriorOptions, RetinaFace, prior_boxes
from pytest_perfgate.tasks.detection import Detection, Input, Output

from tests.tasks.decoders.layouts import ENCODED, NETWORK, PICTURE, f4


def results(
    decode: str, outputs: Sequence[Any], images: int = 1, **options: Any
) -> list[list[tuple[list[float], float, int]]]:
    """Box, score and class of every detection of every picture, best first."""
    task = Detection()
    output = {"decode": decode, "options": options, "score_threshold": 0.25}
    stages = task.pipeline(Input(size=NETWORK), Output.model_validate(output))
    _, meta = stages.preprocess([np.zeros((*PICTURE, 3), np.uint8)] * images)
    return [
        [
            (np.round(box, 3).tolist(), round(float(score), 4), int(category))
            for box, score, category in zip(one.boxes, one.scores, one.categories, strict=True)
        ]
        for one in stages.postprocess(tuple(outputs), meta)
    ]


EMPTY = np.zeros((0, 7), np.float32)
ROWS = f4([[0, 2, 4, 8, 10, 3, 0.9], [1, 1, 1, 5, 5, 0, 0.5], [0, 0, 0, 4, 4, 1, 0.3]])


def test_rows_of_a_whole_batch_go_to_their_images() -> None:
    """YOLOv7's columns, and OpenVINO's with a row of -1 at the end."""
    expected = [
        [([4, 8, 16, 20], 0.9, 3), ([0, 0, 8, 8], 0.3, 1)],
        [([2, 2, 10, 10], 0.5, 0)],
        [],
    ]
    assert results("nms_rows", [ROWS], images=3) == expected
    assert results("nms_rows", [EMPTY], images=2) == [[], []]
    pose = np.concatenate([ROWS, np.ones((3, 51), np.float32)], axis=1)
    assert results("nms_rows", [pose], images=3) == expected
    openvino = ROWS[:, [0, 5, 6, 1, 2, 3, 4]] / f4([1, 1, 1, 48, 32, 48, 32])
    openvino = np.concatenate([openvino, f4([[-1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0]])])
    columns = ["image", "class", "score", "box"]
    got = results("nms_rows", [openvino[None, None]], 3, columns=columns, units="fractions")
    assert got == expected


def test_columns_in_another_order_are_an_error() -> None:
    """A row of an image that is not there, a fraction for a class, a score beyond 1."""
    with pytest.raises(DataError, match="row is of image 1, and the batch has 1"):
        results("nms_rows", [ROWS])
    with pytest.raises(DataError, match=r"scores go from 1 to 3"):
        results("nms_rows", [ROWS], 3, columns=["image", "box", "score", "class"])
    with pytest.raises(DataError, match=r"0\.9 stands where a class should be"):
        results("ultralytics_nms", [f4([[[0, 0, 4, 4, 1, 0.9]]])])
    with pytest.raises(ValidationError, match="each once"):
        results("nms_rows", [ROWS], 3, columns=["image", "box", "score", "score"])


def test_paddles_rows_are_in_pixels_of_the_picture() -> None:
    """Class, score and corners; numbers that do not add up are an error."""
    rows = f4([[2, 0.8, 10, 12, 30, 40], [0, 0.6, 1, 2, 3, 4], [1, 0.5, 5, 6, 7, 8]])
    counts = np.array([1, 0, 2], np.int32)
    assert results("paddle", [rows, counts], 3) == [
        [([10, 12, 30, 40], 0.8, 2)],
        [],
        [([1, 2, 3, 4], 0.6, 0), ([5, 6, 7, 8], 0.5, 1)],
    ]
    network = results("paddle", [rows, counts], 3, units="network")
    assert network[0] == [([20, 24, 60, 64], 0.8, 2)]
    nothing = f4([[-1, 0, 0, 0, 0, 0]])
    assert results("paddle", [nothing, np.zeros(1, np.int32)]) == [[]]
    with pytest.raises(DataError, match=r"images have \[1, 0, 1\] boxes, and there are 3 rows"):
        results("paddle", [rows, np.array([1, 0, 1])], 3)


def test_four_outputs_with_a_number_of_boxes() -> None:
    """EfficientNMS' rows beyond the number are unused; TensorFlow Lite's are fractions, y first."""
    boxes = f4([[[2, 4, 8, 10], [0, 0, 4, 4], [9, 9, 12, 12]]])
    scores, classes = f4([[0.9, 0.3, 0.8]]), np.array([[3, 1, 2]], np.int32)
    expected = [[([4, 8, 16, 20], 0.9, 3), ([0, 0, 8, 8], 0.3, 1)]]
    assert results("efficient_nms", [f4([[2]]), boxes, scores, classes]) == expected
    lite = boxes[..., [1, 0, 3, 2]] / f4([32, 48, 32, 48])
    outputs = [lite, classes.astype(np.float32), scores, f4([2])]
    assert results("tflite_postprocess", outputs) == expected
    with pytest.raises(DataError, match=r"outputs have shapes") as caught:
        results("efficient_nms", outputs)
    assert caught.value.valid == "(N, 1), boxes (N, M, 4), scores (N, M), classes (N, M)"


@pytest.mark.parametrize("scores_first", [False, True])
def test_torchvisions_lists_are_of_one_image_and_count_the_background(scores_first: bool) -> None:
    """Label 1 is the first category; masks behind are ignored; whichever list is first."""
    boxes, labels, scores = f4([[2, 4, 8, 10], [0, 0, 4, 4]]), np.array([4, 1]), f4([0.9, 0.5])
    lists = [scores, labels] if scores_first else [labels, scores]
    outputs = [boxes, *lists, np.zeros((2, 1, 32, 48), np.float32)]
    assert results("torchvision", outputs) == [[([4, 8, 16, 20], 0.9, 3), ([0, 0, 8, 8], 0.5, 0)]]
    assert [row[2] for row in results("torchvision", outputs, classes=[1, 4])[0]] == [1, 0]
    empty = [boxes[:0], labels[:0], scores[:0]]
    assert results("torchvision", empty) == [[]]
    with pytest.raises(DataError, match="of one image, and the batch has 2") as caught:
        results("torchvision", outputs, 2)
    assert caught.value.next_step == "[suite] batch = 1"


def test_rt_detr_with_its_post_processing() -> None:
    """Labels, boxes and scores, in pixels of the picture or of the input."""
    labels, scores = np.array([[3, 0], [1, 1]]), f4([[0.9, 0.5], [0.1, 0.4]])
    boxes = f4([[[2, 4, 8, 10], [0, 0, 4, 4]]] * 2)
    first = [([2, 4, 8, 10], 0.9, 3), ([0, 0, 4, 4], 0.5, 0)]
    assert results("rtdetr", [labels, boxes, scores], 2) == [first, [([0, 0, 4, 4], 0.4, 1)]]
    network = results("rtdetr", [labels, boxes, scores], 2, units="network")
    assert network[0][0] == ([4, 8, 16, 20], 0.9, 3)


def test_keypoints_behind_boxes_are_ignored_and_an_angle_is_not() -> None:
    """An oriented box has one more column than a box."""
    row = f4([[[2, 4, 8, 10, 0.9, 3]]])
    plain = results("ultralytics_nms", [row])
    assert plain == [[([4, 8, 16, 20], 0.9, 3)]]
    pose = np.concatenate([row, np.ones((1, 1, 51), np.float32)], axis=2)
    assert results("ultralytics_nms", [pose]) == plain
    masks = np.concatenate([row, np.ones((1, 1, 32), np.float32)], axis=2)
    prototypes = np.zeros((1, 32, 8, 12), np.float32)
    assert results("ultralytics_nms", [masks, prototypes]) == plain
    for other in ([masks], [np.concatenate([row, row[..., :1]], axis=2)]):
        with pytest.raises(DataError, match="outputs have shapes"):
            results("ultralytics_nms", other)


@pytest.mark.parametrize("more", [51, 32])
def test_columns_behind_the_declared_classes_are_ignored(more: int) -> None:
    """Keypoints of a pose export, and masks with their prototypes; others are classes too many."""
    rows = f4([[5, 7, 6, 6, 0.1, 0.9, *[30] * more]]).T[None]
    outputs = [rows, np.zeros((1, 32, 8, 12), np.float32)] if more == 32 else [rows]
    assert results("ultralytics", outputs, class_count=2) == [[([4, 8, 16, 20], 0.9, 1)]]
    table = f4([[5, 7, 6, 6, 1, 0.1, 0.9, *[30] * more]])[None]
    assert results("yolov5", [table, *outputs[1:]], class_count=2) == [[([4, 8, 16, 20], 0.9, 1)]]
    with pytest.raises(DataError, match=r"and 3 are named|this is a segmentation export"):
        results("ultralytics", outputs, class_count=3)
    with pytest.raises(DataError) as caught:
        results("ultralytics", [rows])
    assert "set class_count" in caught.value.next_step


def test_a_cell_of_yolox_by_hand() -> None:
    """Row 1, column 2 of the stride 16: centre (2.5 * 16, 1.25 * 16), size (e * 16, 16)."""
    head = np.full((1, 24 + 6 + 2, 7), -9.0, np.float32)
    head[..., 4:] = 0.0
    head[0, 24 + 1 * 3 + 2] = [0.5, 0.25, 1, 0, 0.8, 0.1, 0.5]
    width, height = 16 * np.e, 16
    (((box, score, category),),) = results("yolox", [head], strides=[8, 16, 32])
    left_top = [2 * (40 - width / 2), 2 * (20 - height / 2)]
    assert box == pytest.approx([*left_top, min(96, 2 * (40 + width / 2)), 2 * 28], abs=1e-3)
    assert (score, category) == (0.4, 1)
    with pytest.raises(DataError, match=r"32 rows, and the strides 8, 16 of .* 32 x 48 make 30"):
        results("yolox", [head], strides=[8, 16])


def test_prior_boxes_are_those_of_ssd300_and_of_retinaface() -> None:
    """8,732 boxes of SSD300: the first cell's four, and the last map's, by its formulas."""
    priors = prior_boxes((300, 300), PriorOptions())
    assert priors.shape == (8732, 4)
    between = (30 * 60) ** 0.5
    root = 2**0.5
    np.testing.assert_allclose(
        priors[:4],
        [
            [4, 4, 30, 30],
            [4, 4, between, between],
            [4, 4, 30 * root, 30 / root],
            [4, 4, 30 / root, 30 * root],
        ],
        rtol=1e-6,
    )
    np.testing.assert_allclose(priors[-4], [150, 150, 264, 264], rtol=1e-6)
    faces = prior_boxes((640, 640), RetinaFace.Options())
    assert faces.shape == (16800, 4)
    np.testing.assert_allclose(faces[[0, 1, 2]], [[4, 4, 16, 16], [4, 4, 32, 32], [12, 4, 16, 16]])


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"sizes": [[30]]}, "sizes has 1 entries, strides 6"),
        ({"max_sizes": [[60]] * 5 + [[60, 70]]}, "max_sizes has other lengths"),
        ({"classes": [1, 1]}, "there twice"),
    ],
)
def test_prior_boxes_that_do_not_fit_are_refused(options: dict[str, Any], problem: str) -> None:
    """When the suite is read."""
    with pytest.raises(ValidationError, match=problem):
        registry.find(registry.DECODERS, "ssd").Options.model_validate(options)


def test_a_prior_box_by_hand() -> None:
    """Offsets move the centre by 0.1 of the prior's size, and stretch it by exp(0.2 * offset)."""
    options = {"strides": [16], "sizes": [[20]], "max_sizes": [], "ratios": []}
    offsets = np.zeros((1, 6, 4), np.float32)
    offsets[0, 4] = [1, -1, 0, 5 * np.log(0.5)]  # row 1, column 1: the prior's centre is (24, 24)
    logits = np.full((1, 6, 3), -9.0, np.float32)
    logits[..., 0] = 9
    logits[0, 4] = [0, 0, np.log(8)]
    for outputs in ((offsets, logits), (logits, offsets)):
        (((box, score, category),),) = results("ssd", outputs, **options)
        assert box == pytest.approx([2 * (26 - 10), 2 * (22 - 5), 2 * (26 + 10), 2 * (22 + 5)])
        assert (score, category) == (0.8, 1)


def _cell(row: Sequence[float]) -> tuple[int, int]:
    """The place of a box on the grid of objects: scores may differ by no more than rounding."""
    return round(row[1] / 32), round(row[2] / 32)


@pytest.mark.parametrize("name", ENCODED)
@given(
    objects=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 3), st.floats(0.3, 0.8)),
        max_size=6,
        unique_by=lambda box: box[:2],
    )
)
@settings(max_examples=25, deadline=None)
def test_boxes_come_back_from_every_layout(
    name: str, objects: list[tuple[int, int, int, float]]
) -> None:
    """Objects on a grid, which overlap nowhere, written as the convention has them and read."""
    objects = sorted(objects, key=lambda one: -one[3])
    boxes = f4([[x * 16 + 1, y * 16 + 2, x * 16 + 13, y * 16 + 15] for x, y, *_ in objects])
    boxes = boxes.reshape(-1, 4)
    scores = f4([score for *_, score in objects])
    classes = np.array([category for *_, category, _ in objects], np.int64)
    encode, options = ENCODED[name]
    (got,) = results(name, encode(boxes, scores, classes), **options)
    one_class = name in {"yunet", "retinaface", "blaze"}
    expected = sorted(
        (
            (score, *box.tolist(), 0 if one_class else int(category))
            for box, score, category in zip(boxes * 2, scores.tolist(), classes, strict=True)
        ),
        key=_cell,
    )
    read = sorted(((score, *box, category) for box, score, category in got), key=_cell)
    assert len(read) == len(expected)
    for ours, other in zip(read, expected, strict=True):
        assert ours == pytest.approx(other, abs=2e-3)


@pytest.mark.parametrize("box_format", ["xyxy", "yxyx", "cxcywh", "xywh"])
@pytest.mark.parametrize("units", ["network", "original", "fractions"])
def test_boxes_in_every_format_and_unit(box_format: str, units: str) -> None:
    """The same box, however its four numbers are written."""
    left, top, right, bottom = 4.0, 8.0, 16.0, 24.0  # in pixels of the picture
    written = {
        "xyxy": [left, top, right, bottom],
        "yxyx": [top, left, bottom, right],
        "cxcywh": [10, 16, 12, 16],
        "xywh": [left, top, 12, 16],
    }[box_format]
    size = f4([64, 96] * 2 if box_format == "yxyx" else [96, 64] * 2)
    by = {"network": 2.0, "original": 1.0, "fractions": size}[units]
    boxes = f4([[written]]) / by
    outputs = [boxes, f4([[[0.9]]])]
    expected = [[([4, 8, 16, 24], 0.9, 0)]]
    assert results("boxes_scores", outputs, box_format=box_format, units=units) == expected


def test_the_background_is_no_category() -> None:
    """Wherever it stands; and it can be none of `classes`' order."""
    boxes, scores = f4([[[0, 0, 4, 4]]]), f4([[[0.6, 0.3, 0.7]]])
    assert [row[2] for row in results("boxes_scores", [boxes, scores])[0]] == [2, 0, 1]
    for background, expected in ((0, [1, 0]), (1, [1, 0]), (2, [0, 1])):
        got = results("boxes_scores", [boxes, scores], background=background)[0]
        assert [row[2] for row in got] == expected
    with pytest.raises(DataError, match="no class 3"):
        results("boxes_scores", [boxes, scores], background=3)


def test_corners_of_no_boxes() -> None:
    """Every format takes an empty list."""
    for box_format in ("xyxy", "yxyx", "cxcywh", "xywh"):
        assert corners(np.zeros((0, 4), np.float32), box_format).shape == (0, 4)
