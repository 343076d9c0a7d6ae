"""Large pictures in overlapping tiles: where they lie, and what becomes of their predictions."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.tasks.classification import Classification
from pytest_perfgate.tasks.detection import Detection, Input, Output
from pytest_perfgate.tasks.detection.data import Prediction
from pytest_perfgate.tasks.detection.merging import merged
from pytest_perfgate.tasks.pixels.geometry import Geometry, Placed, grouped
from pytest_perfgate.tasks.pixels.network_options import OtherInput
from pytest_perfgate.tasks.pixels.tiles import check_tiles, starts
from pytest_perfgate.tasks.segmentation import Output as Classes
from pytest_perfgate.tasks.segmentation import Segmentation

from tests.worker.scenes import Yolo, scenes

TILE = 64


def tiles(**keys: Any) -> Input:
    """Options of tiles of 64 pixels."""
    return Input(size=(TILE, TILE), resize="tiles", **keys)


def sliced(side: int, tile: int, overlap: float) -> list[int]:
    """As SAHI's `get_slice_bboxes` walks along a side."""
    begins, low = [], 0
    while True:
        high = low + tile
        if high >= side:
            begins.append(max(0, side - tile))
            return begins
        begins.append(low)
        low = high - int(overlap * tile)


@given(side=st.integers(1, 700), tile=st.integers(1, 300), overlap=st.floats(0, 0.9))
@settings(max_examples=200, deadline=None)
def test_tiles_cover_a_side_as_sahi_cuts_it(side: int, tile: int, overlap: float) -> None:
    """Every pixel is in a tile, neighbours overlap as declared, and the last ends with the side."""
    begins = starts(side, tile, overlap)
    assert begins == sliced(side, tile, overlap)
    assert begins[0] == 0
    assert side <= tile or begins[-1] + tile == side
    for before, after in itertools.pairwise(begins):
        assert 0 < after - before <= tile - int(overlap * tile)


def test_each_tile_is_an_input_of_the_pixels_that_it_covers() -> None:
    """At the picture's own scale, row by row; each knows where it lies, and its picture."""
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 256, size, np.uint8) for size in ((90, 150, 3), (50, 64, 3))]
    stages = Detection().pipeline(tiles(overlap=0.25, pad_value=114), Output())
    inputs, placed = stages.preprocess(pictures)
    corners = [(-place.offset[0], -place.offset[1]) for place in placed]
    assert corners == [(0, 0), (48, 0), (86, 0), (0, 26), (48, 26), (86, 26), (0, 0)]
    assert [place.part for place in placed[:2]] == [(0, 6), (1, 6)]
    assert grouped(placed) == [slice(0, 6), slice(6, 7)]
    for image, (x, y) in zip(inputs.images[:6], corners, strict=False):
        cut = pictures[0][y : y + TILE, x : x + TILE]
        assert np.array_equal(image, cut.transpose(2, 0, 1) * np.float32(1 / 255))
    assert np.allclose(inputs.images[6][:, 50:], 114 / 255)


@given(
    height=st.integers(1, TILE),
    width=st.integers(1, TILE),
    pad=st.sampled_from(["end", "around"]),
)
@settings(max_examples=30, deadline=None)
def test_a_picture_no_larger_than_a_tile_is_as_without_tiles(
    height: int, width: int, pad: Any
) -> None:
    """Padded and not resized, with the same predictions."""
    plain = Input(size=(TILE, TILE), resize="letterbox", scale_up=False, pad=pad, pad_value=9)
    picture = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    rows = np.random.default_rng(width).uniform(0, 60, (1, 6, 30)).astype(np.float32)
    rows[:, 4:] /= 60
    results = []
    for pixels in (plain, tiles(pad=pad, pad_value=9)):
        stages = Detection().pipeline(pixels, Output(decode="ultralytics"))
        inputs, placed = stages.preprocess([picture])
        (one,) = stages.postprocess((rows,), placed)
        results.append((inputs.images, one.boxes, one.scores, one.categories))
    for ours, other in zip(*results, strict=True):
        assert np.array_equal(ours, other)


def suppressed(predictions: Any, threshold: float, metric: str) -> list[tuple[Any, ...]]:
    """The obvious own implementation: all boxes by score, each against those that were kept."""
    rows = sorted(
        (
            (float(score), int(category), tuple(map(float, box)))
            for one in predictions
            for box, score, category in zip(one.boxes, one.scores, one.categories, strict=True)
        ),
        key=lambda row: -row[0],
    )
    kept: list[tuple[Any, ...]] = []
    for score, category, box in rows:
        for _, other, better in kept:
            width = min(box[2], better[2]) - max(box[0], better[0])
            height = min(box[3], better[3]) - max(box[1], better[1])
            inner = max(0.0, width) * max(0.0, height)
            first, second = ((one[2] - one[0]) * (one[3] - one[1]) for one in (box, better))
            whole = min(first, second) if metric == "ios" else first + second - inner
            if other == category and inner / whole > threshold:
                break
        else:
            kept.append((score, category, box))
    return kept


@pytest.mark.parametrize("metric", ["ios", "iou"])
@given(seed=st.integers(0, 10_000), threshold=st.sampled_from([0.3, 0.5, 0.7]))
@settings(max_examples=30, deadline=None)
def test_boxes_of_tiles_are_merged_as_by_hand(metric: Any, seed: int, threshold: float) -> None:
    """Greedily, within a category, by the overlap that is declared."""
    random = np.random.default_rng(seed)
    predictions = []
    for _ in range(3):
        corner = random.integers(0, 60, (20, 2))
        boxes = np.concatenate([corner, corner + random.integers(4, 40, (20, 2))], axis=1)
        scores = np.sort(random.permutation(1_000)[:20] / 1_000)[::-1]
        predictions.append(
            Prediction(
                boxes.astype(np.float32), scores.astype(np.float32), random.integers(0, 2, 20)
            )
        )
    wanted = Output(tile_match_metric=metric, tile_match_threshold=threshold)
    placed = [Placed((1.0, 1.0), (100, 100), part=(index, 3)) for index in range(3)]
    (ours,) = merged(predictions, placed, wanted)
    expected = suppressed(predictions, threshold, metric)
    assert [tuple(map(float, box)) for box in ours.boxes] == [box for *_, box in expected]
    assert [int(category) for category in ours.categories] == [row[1] for row in expected]


def test_a_detector_sees_each_object_of_a_large_picture_once() -> None:
    """Objects that several tiles show, and those that a tile's edge cuts."""
    data = scenes(4)
    pixels = Input(size=(96, 96), resize="tiles", overlap=0.4)
    stages = Detection().pipeline(pixels, Output(decode="ultralytics", score_threshold=0.3))
    session = Yolo()
    for row, picture in enumerate(data.images):
        inputs, placed = stages.preprocess([picture])
        assert len(inputs) == len(placed) > 2
        outputs = [session.run(inputs.take([index]))[0] for index in range(len(inputs))]
        rows = max(output.shape[2] for output in outputs)
        padded = [np.pad(one, ((0, 0), (0, 0), (0, rows - one.shape[2]))) for one in outputs]
        (found,) = stages.postprocess((np.concatenate(padded),), placed)
        own = data.instances.image == row
        corners = data.instances.boxes[own]
        corners = np.concatenate([corners[:, :2], corners[:, :2] + corners[:, 2:]], axis=1)
        expected = sorted(map(tuple, corners.astype(float)))
        assert sorted(map(tuple, found.boxes.astype(float))) == expected


def slid(logits: Any, placed: Any, shape: tuple[int, int]) -> Any:
    """MMSegmentation's `slide_inference`: the mean of what tiles give (C, H, W)."""
    total, count = np.zeros((logits.shape[1], *shape), np.float32), np.zeros(shape, np.float32)
    for tile, place in zip(logits, placed, strict=True):
        x, y = -place.offset[0], -place.offset[1]
        total[:, y : y + TILE, x : x + TILE] += tile
        count[y : y + TILE, x : x + TILE] += 1
    return total / count


@pytest.mark.parametrize("form", ["classes", "binary"])
def test_maps_of_tiles_are_averaged_where_they_overlap(form: Any) -> None:
    """Scores of a map as large as its tile; a picture of one tile is as without tiles."""
    picture = np.zeros((90, 130, 3), np.uint8)
    stages = Segmentation().pipeline(tiles(overlap=0.5), Classes(format=form))
    _, placed = stages.preprocess([picture])
    channels = 3 if form == "classes" else 1
    random = np.random.default_rng(1)
    logits = random.normal(size=(len(placed), channels, TILE, TILE)).astype(np.float32)
    (ours,) = stages.postprocess((logits,), placed)
    mean = slid(logits, placed, (90, 130))
    expected = mean.argmax(axis=0) if form == "classes" else (mean[0] >= 0).astype(int)
    assert (ours.labels == expected).mean() > 0.9999  # ties of rounding aside
    small = np.zeros((40, 50, 3), np.uint8)
    plain = Input(size=(TILE, TILE), resize="letterbox", scale_up=False)
    results = [Segmentation().pipeline(pixels, Classes(format=form)) for pixels in (plain, tiles())]
    alone = [one.postprocess((logits[:1],), one.preprocess([small])[1])[0] for one in results]
    assert np.array_equal(alone[0].labels, alone[1].labels)
    assert np.array_equal(alone[0].scores, alone[1].scores)


def test_scores_of_points_are_those_of_the_averaged_map() -> None:
    """The points at which scores are compared between recipes."""
    stages = Segmentation().pipeline(tiles(), Classes(activation="none"))
    _, placed = stages.preprocess([np.zeros((90, 130, 3), np.uint8)])
    logits = np.random.default_rng(2).uniform(size=(len(placed), 2, TILE, TILE))
    logits = logits.astype(np.float32)
    (ours,) = stages.postprocess((logits,), placed)
    from pytest_perfgate.tasks.segmentation.data import sample_points

    rows, columns = sample_points(90, 130)
    expected = slid(logits, placed, (90, 130))[:, rows, columns].T
    np.testing.assert_allclose(ours.scores, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("task", "pixels", "output", "problem"),
    [
        (Classification(), tiles(), None, "does not merge predictions of tiles"),
        (
            Detection(),
            tiles(others={"sizes": OtherInput(rule="original_size")}),
            Output(),
            "is of the whole picture",
        ),
        (Detection(), tiles(), Output(postprocess="a.b:c"), "a function of the project"),
        (Detection(), tiles(), Output(decode="rtdetr"), "in pixels of the whole picture"),
        (Detection(), tiles(), Output(decode="nms_rows"), "no row for each tile"),
        (Segmentation(), tiles(), Classes(format="labels"), "cannot be averaged"),
    ],
)
def test_what_cannot_be_merged_is_refused(
    task: Any, pixels: Input, output: Any, problem: str
) -> None:
    """When the suite is read; what can be is not."""

    def check(task: Any, pixels: Input, output: Any) -> None:
        check_tiles(task, pixels, output)
        task.check_together(pixels, output)

    with pytest.raises(RecipeError, match=problem):
        check(task, pixels, output)
    check(Detection(), tiles(), Output())


@pytest.mark.parametrize(
    "keys",
    [
        {"resize": "tiles"},
        {"resize": "letterbox", "size": (64, 64), "overlap": 0.5},
        {"resize": "stretch", "size": (64, 64), "tile_batch": 2},
        {"resize": "tiles", "size": (64, 64), "multiple": 32},
        {"resize": "tiles", "size": (64, 64), "crop": 32},
    ],
)
def test_keys_that_tiles_do_not_have_are_refused(keys: dict[str, Any]) -> None:
    """And keys of tiles beside another method."""
    with pytest.raises(RecipeError):
        Input(**keys)


def test_the_first_tile_stands_for_the_size_of_all() -> None:
    """What is compared with a file's input."""
    assert {Geometry(tiles()).place(*size).network for size in ((20, 30), (200, 90))} == {(64, 64)}
