"""The stages around inference: pixels in, boxes out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.errors import DataError, RecipeError
from pytest_perfgate.tasks.boxes import overlap, suppress
from pytest_perfgate.tasks.detection import Detection, Input, Output


def pipeline(output: dict[str, Any] | None = None, **options: Any) -> Any:
    """The stages as declared."""
    return Detection().pipeline(Input.model_validate(options), Output.model_validate(output or {}))


def image(height: int, width: int, value: int = 255) -> Any:
    """One plain image."""
    return np.full((height, width, 3), value, np.uint8)


def test_pixels_are_scaled_ordered_and_normalised() -> None:
    """(pixel / 255 - mean) / std, in the order of channels that was asked."""
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[..., 0] = 255
    inputs, _ = pipeline(color="BGR", mean=(0.5, 0.5, 0.5), std=(0.5, 0.25, 0.5)).preprocess(
        [pixels]
    )
    assert inputs.images.dtype == np.float32
    np.testing.assert_allclose(inputs.images[0, :, 0, 0], [-1, -2, 1], atol=1e-6)


@pytest.mark.parametrize("pad", ["end", "around"])
@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
@pytest.mark.parametrize("shape", [(30, 90), (90, 30), (64, 64)])
def test_a_box_goes_to_the_network_and_back(pad: str, resize: str, shape: tuple[int, int]) -> None:
    """A bright area, found in the network's input, comes back where it was in the image."""
    pixels = image(*shape, 0)
    pixels[10:20, 12:24] = 255
    stages = pipeline(size=(64, 64), resize=resize, pad=pad)
    inputs, meta = stages.preprocess([pixels])
    assert inputs.images.shape == (1, 3, 64, 64)
    rows, columns = np.nonzero(inputs.images[0, 0] > 0.5)
    box = np.array([[[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]]], np.float32)
    (result,) = stages.postprocess((box, np.ones((1, 1, 1), np.float32)), meta)
    np.testing.assert_allclose(result.boxes, [[12, 10, 24, 20]], atol=1.5)


def test_boxes_of_other_classes_are_suppressed_where_asked() -> None:
    """By default a place may have an object of each class."""
    boxes = np.array([[[0, 0, 8, 8], [0, 0, 8, 7]]], np.float32)
    outputs = boxes, np.array([[[0.9, 0.0], [0.0, 0.8]]], np.float32)
    for agnostic, categories in ((False, [0, 1]), (True, [0])):
        stages = pipeline({"class_agnostic": agnostic}, size=(16, 16))
        (result,) = stages.postprocess(outputs, stages.preprocess([image(16, 16)])[1])
        assert result.categories.tolist() == categories


def test_size_is_rounded_up_to_a_multiple() -> None:
    """The rest is padding."""
    inputs, _ = pipeline(multiple=32).preprocess([image(33, 20)])
    assert inputs.images.shape == (1, 3, 64, 32)
    assert inputs.images[0, :, :33, :20].min() == 1.0
    assert inputs.images[0, :, 33:].max() == 0.0


@pytest.mark.parametrize(
    "sizes",
    [
        (16, 32),
        (32, 16),
    ],
)
def test_images_of_different_sizes_need_a_size(sizes: tuple[int, int]) -> None:
    """Without `size`, one batch holds images of one size, whichever comes first."""
    with pytest.raises(DataError, match="different sizes"):
        pipeline().preprocess([image(side, side) for side in sizes])


def test_padding_has_one_value() -> None:
    """What is not image looks the same to the network, however it came about."""
    mean = (0.5, 0.5, 0.5)
    wide, _ = pipeline(mean=mean, size=(32, 32), resize="letterbox").preprocess([image(20, 40)])
    rounded, _ = pipeline(mean=mean, multiple=32).preprocess([image(20, 20)])
    assert wide.images[0, 0, -1, -1] == rounded.images[0, 0, -1, -1]


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"size": (32, 32), "resize": "letterbox"}, (slice(16, 32), slice(0, 32))),
        ({"size": (32, 32), "resize": "letterbox", "pad": "around"}, (slice(0, 8), slice(0, 32))),
        ({"multiple": 64}, (slice(20, 64), slice(40, 64))),
    ],
)
def test_padding_has_the_declared_value(options: dict[str, Any], place: tuple[Any, ...]) -> None:
    """Where there is no image, the network sees the grey that it was trained with."""
    inputs, _ = pipeline(pad_value=114, mean=(0.5, 0.5, 0.5), **options).preprocess([image(20, 40)])
    np.testing.assert_allclose(inputs.images[(0, slice(None), *place)], 114 / 255 - 0.5, atol=1e-6)
    assert (inputs.images == 0.5).any()  # the image itself is white


def test_a_picture_in_the_middle_has_as_much_on_both_sides() -> None:
    """An odd pixel goes right and below, as trainers that pad around have it."""
    stages = pipeline(size=(32, 32), resize="letterbox", pad="around", pad_value=1)
    inputs, (where,) = stages.preprocess([image(17, 32)])
    rows = np.flatnonzero(inputs.images[0, 0, :, 0] == 1)
    assert (rows[0], 32 - 1 - rows[-1]) == (7, 8)
    assert where.offset == (0, 7)


def test_results_are_filtered_sorted_cut_and_clipped() -> None:
    """Low scores go, the best come first, at most so many, inside the image."""
    boxes = np.array([[[-5, 0, 10, 10], [20, 20, 30, 99], [40, 0, 50, 9], [0, 40, 9, 50]]], "f4")
    scores = np.array([[[0.3], [0.9], [0.04], [0.2]]], np.float32)
    stages = pipeline({"max_detections": 2})
    _, meta = stages.preprocess([image(64, 64)])
    (result,) = stages.postprocess((boxes, scores), meta)
    np.testing.assert_array_equal(result.boxes, [[20, 20, 30, 64], [0, 0, 10, 10]])
    np.testing.assert_allclose(result.scores, [0.9, 0.3])
    assert result.boxes.dtype == result.scores.dtype == np.float32


def test_boxes_without_area_or_number_are_left_out() -> None:
    """A box of no width, and one that is not a number, are no results."""
    boxes = np.array([[[5, 5, 5, 9], [np.nan, 0, 4, 4], [1, 1, 4, 4]]], np.float32)
    stages = pipeline()
    _, meta = stages.preprocess([image(8, 8)])
    (result,) = stages.postprocess((boxes, np.full((1, 3, 1), 0.5, np.float32)), meta)
    np.testing.assert_array_equal(result.boxes, [[1, 1, 4, 4]])


@pytest.mark.parametrize(
    "shapes",
    [
        [(1, 5, 3), (1, 5, 2)],
        [(1, 5, 4)],
        [(1, 5, 4), (1, 6, 2)],
        [(1, 5, 4), (1, 5)],
    ],
)
def test_outputs_of_other_shapes_are_explained(shapes: list[tuple[int, ...]]) -> None:
    """The shapes found and the shapes expected stand in the error."""
    stages = pipeline()
    _, meta = stages.preprocess([image(8, 8)])
    with pytest.raises(DataError, match="shapes"):
        stages.postprocess(tuple(np.ones(shape, np.float32) for shape in shapes), meta)


def test_an_unknown_decoder_or_option_is_an_error() -> None:
    """The decoder's own options are checked by the decoder."""
    with pytest.raises(RecipeError, match="no decoder 'boxes'"):
        pipeline({"decode": "boxes"})
    with pytest.raises(ValueError, match="threshhold"):
        pipeline({"decode": "text_map", "options": {"threshhold": 0.5}})


def naive(boxes: Any, scores: Any, categories: Any, limit: float) -> list[int]:
    """Suppression as its definition says, one pair at a time."""
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        rivals = [other for other in kept if categories[other] == categories[index]]
        if all(overlap(boxes[[index]], boxes[[other]])[0, 0] <= limit for other in rivals):
            kept.append(int(index))
    return kept


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(0, 25) | st.sampled_from([31, 32, 33, 64, 65, 300]),
    most=st.sampled_from([1, 7, 1000]),
)
def test_suppression_is_the_definition(seed: int, count: int, most: int) -> None:
    """The vectorised form keeps what the plain definition keeps, per category, up to `most`."""
    random = np.random.default_rng(seed)
    boxes = random.integers(-8, 16 + count, (count, 4)).astype(np.float32)
    boxes[:, 2:] = boxes[:, :2] + random.integers(1, 16, (count, 2))
    scores = (random.integers(1, 6, count) / 8).astype(np.float32)
    categories = random.integers(0, 3, count)
    got = suppress(boxes, scores, categories, 0.45, most)
    assert got.tolist() == naive(boxes, scores, categories, 0.45)[:most]


def test_one_broken_box_does_not_stop_suppression() -> None:
    """Good boxes are suppressed as ever beside one that is not a number."""
    boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 9], [np.nan] * 4], np.float32)
    kept = suppress(boxes, np.array([0.9, 0.8, 0.7], np.float32), np.zeros(3, np.int64), 0.5, 9)
    assert 1 not in kept.tolist()


def test_text_regions_become_grown_boxes() -> None:
    """A region becomes its box, grown by area * unclip / perimeter; small ones are noise."""
    page = np.zeros((1, 1, 60, 80), np.float32)
    page[0, 0, 20:30, 20:60] = 0.8  # 40 x 10: grows by 400 * 1.5 / 100 = 6
    page[0, 0, 50:52, 5:7] = 0.9
    stages = pipeline({"decode": "text_map", "options": {"unclip": 1.5}})
    _, meta = stages.preprocess([image(60, 80)])
    (result,) = stages.postprocess((page,), meta)
    np.testing.assert_allclose(result.boxes, [[14, 14, 66, 36]])
    np.testing.assert_allclose(result.scores, [0.8], rtol=1e-5)
    with pytest.raises(DataError, match=r"output has shape"):
        stages.postprocess((page[0],), meta)


def test_an_empty_page_has_no_text() -> None:
    """No region, no box, no error."""
    stages = pipeline({"decode": "text_map"})
    _, meta = stages.preprocess([image(8, 8)])
    (result,) = stages.postprocess((np.zeros((1, 1, 8, 8), np.float32),), meta)
    assert result.boxes.shape == (0, 4)
