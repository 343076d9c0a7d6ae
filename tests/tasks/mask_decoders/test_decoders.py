"""Networks that other projects export: every output convention says the same masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pytest_perfgate.errors import DataError, RecipeError
from pytest_perfgate.tasks.instances import Input, Instances, Output
from pytest_perfgate.tasks.instances.data import MaskPrediction

from tests.tasks.mask_scenes import ellipse

pytest.importorskip("faster_coco_eval", reason="pip install 'pytest-perfgate[detection]'")

SIDE = 64
BOXES = np.array([[8, 8, 32, 40], [30, 20, 60, 60]], np.float32)
MIDDLES = (np.array([20.0, 24.0]), np.array([45.0, 40.0]))
RADII = (np.array([9.0, 12.0]), np.array([11.0, 14.0]))
SCORES = np.array([0.9, 0.6], np.float32)
LABELS = np.array([2, 0])
CLASSES = 3


def discs(side: int = SIDE) -> npt.NDArray[np.float32]:
    """Scores of two masks, (2, side, side): 0.98 within, 0.02 without."""
    scale = side / SIDE
    inside = [ellipse(m * scale, r * scale, side) for m, r in zip(MIDDLES, RADII, strict=True)]
    return np.where(np.stack(inside), 0.98, 0.02).astype(np.float32)


def logits(scores: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """The inverse of the sigmoid."""
    return np.log(scores / (1 - scores)).astype(np.float32)


def read(decode: str, outputs: tuple[Any, ...], size: int = SIDE, **options: Any) -> MaskPrediction:
    """The masks of one image of `size` x `size`, which the network sees as 64 x 64."""
    task = Instances()
    wanted = Output.model_validate({"decode": decode, "options": options, "score_threshold": 0.25})
    stages = task.pipeline(Input.model_validate({"size": [SIDE, SIDE]}), wanted)
    _, meta = stages.preprocess([np.zeros((size, size, 3), np.uint8)])
    (prediction,) = stages.postprocess(outputs, meta)
    assert isinstance(prediction, MaskPrediction)
    return prediction


def encoded(name: str) -> tuple[Any, ...]:
    """Both objects in a convention."""
    grid = logits(discs())  # a prototype for each object
    onehot = np.zeros((2, CLASSES), np.float32)
    onehot[[0, 1], LABELS] = SCORES
    own = np.eye(2, dtype=np.float32)
    centred = np.concatenate([(BOXES[:, :2] + BOXES[:, 2:]) / 2, BOXES[:, 2:] - BOXES[:, :2]], 1)
    if name == "ultralytics_seg":
        return np.concatenate([centred, onehot, own], axis=1).T[None], grid[None]
    if name == "ultralytics_seg_nms":
        rows = np.concatenate([BOXES, SCORES[:, None], LABELS[:, None], own], axis=1)
        return np.concatenate([rows, np.zeros((3, 8))])[None].astype(np.float32), grid[None]
    if name == "mask_rcnn":
        return BOXES, LABELS + 1, SCORES, discs()[:, None]
    if name == "mmdeploy_mask":
        rows = np.concatenate([BOXES, SCORES[:, None]], axis=1)
        return rows[None], LABELS[None], discs()[None]
    if name == "mask_queries":
        chances = np.concatenate([onehot, 1 - onehot.sum(1, keepdims=True)], axis=1)
        return np.log(chances + 1e-9)[None], grid[None]
    maps = np.full((1, CLASSES, SIDE, SIDE), 0.02, np.float32)
    for label, mask in zip(LABELS, discs(), strict=True):
        maps[0, label] = np.maximum(maps[0, label], mask)
    return (maps,)


NAMES = (
    "ultralytics_seg",
    "ultralytics_seg_nms",
    "mask_rcnn",
    "mmdeploy_mask",
    "mask_queries",
    "regions",
)


@pytest.mark.parametrize("size", [64, 160])
@pytest.mark.parametrize("name", NAMES)
def test_every_convention_says_the_same(name: str, size: int) -> None:
    """Categories, and the pixels of masks in the picture's size but for their edge."""
    prediction = read(name, encoded(name), size)
    order = np.argsort(-prediction.categories)
    assert prediction.categories[order].tolist() == [2, 0]
    if name not in {"regions", "mask_queries"}:  # their scores are those of the mask's pixels too
        np.testing.assert_allclose(prediction.scores[order], SCORES, rtol=1e-5)
    for place, row in enumerate(order.tolist()):
        pixels = prediction.masks.pixels(row)
        expected = discs(size)[place] > 0.5
        both = (pixels & expected).sum() / (pixels | expected).sum()
        assert both > 0.9
        left, top, right, bottom = prediction.boxes[row]
        rows, columns = np.nonzero(pixels)
        assert columns.min() >= left - 1
        assert rows.max() <= bottom + 1
        assert top < bottom
        assert left < right


def test_masks_are_those_of_ultralytics() -> None:
    """Combined prototypes enlarged by torch's bilinear interpolation, cut off by the box, above 0:
    `process_mask_native`, pixel by pixel.
    """
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(4)
    prototypes = random.normal(size=(1, 8, 16, 16)).astype(np.float32)
    coefficients = random.normal(size=(2, 8)).astype(np.float32)
    table = encoded("ultralytics_seg_nms")[0][:, :, :6]
    rows = np.concatenate([table[0, :2], coefficients], axis=1)[None].astype(np.float32)
    prediction = read("ultralytics_seg_nms", (rows, prototypes), 160)
    combined = torch.from_numpy(np.einsum("mk,khw->mhw", coefficients, prototypes[0]))
    large = torch.nn.functional.interpolate(combined[None], size=(160, 160), mode="bilinear")[0]
    for row in range(2):
        left, top, right, bottom = BOXES[row] * 2.5
        down, across = np.mgrid[:160, :160]
        inside = (across >= left) & (across < right) & (down >= top) & (down < bottom)
        expected = (large[row].numpy() > 0) & inside
        np.testing.assert_array_equal(prediction.masks.pixels(row), expected)


def test_masks_over_a_box_are_pasted_as_by_detectron2() -> None:
    """28 x 28 scores, by torch's `grid_sample` at the middles of the picture's pixels."""
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(5)
    masks = random.random((2, 1, 28, 28)).astype(np.float32)
    boxes = np.array([[3.3, 8.7, 31.2, 50.1], [-4.0, 20.5, 40.5, 70.0]], np.float32)
    prediction = read("mask_rcnn", (boxes, LABELS + 1, SCORES, masks), 96, mask_threshold=0.4)
    for row, (left, top, right, bottom) in enumerate(boxes * 1.5):
        middle = np.arange(96) + 0.5
        down = (middle - top) / (bottom - top) * 2 - 1
        across = (middle - left) / (right - left) * 2 - 1
        grid = np.stack(np.meshgrid(across, down), axis=-1).astype(np.float32)
        pasted = torch.nn.functional.grid_sample(
            torch.from_numpy(masks[[row]]), torch.from_numpy(grid)[None], align_corners=False
        )[0, 0].numpy()
        apart = prediction.masks.pixels(row) != (pasted > 0.4)
        assert (np.abs(pasted[apart] - 0.4) < 1e-4).all()
    many = np.repeat(masks, CLASSES + 1, axis=1)
    many[:, 0] = 0.0
    each = read("mask_rcnn", (boxes, LABELS + 1, SCORES, many), 96, mask_threshold=0.4)
    assert each.content() == prediction.content()


def test_queries_score_as_transformers_scores_them() -> None:
    """Class score times the mean score of the mask's pixels (Mask2Former)."""
    random = np.random.default_rng(6)
    masks = random.normal(size=(1, 5, 16, 16)).astype(np.float32)
    classes = random.normal(size=(1, 5, CLASSES + 1)).astype(np.float32)
    prediction = read("mask_queries", (classes, masks))
    chances = np.exp(classes[0]) / np.exp(classes[0]).sum(1, keepdims=True)
    scores = 1 / (1 + np.exp(-masks[0]))
    quality = np.array([one[above].mean() for one, above in zip(scores, masks[0] > 0, strict=True)])
    expected = (chances[:, :-1] * quality[:, None]).reshape(-1)
    np.testing.assert_allclose(
        prediction.scores, np.sort(expected[expected >= 0.25])[::-1], rtol=1e-4
    )
    plain = read("mask_queries", (classes, masks), mask_quality=False)
    assert plain.scores.max() == pytest.approx(chances[:, :-1].max(), rel=1e-4)


def test_an_object_without_a_pixel_is_left_out() -> None:
    """A box whose mask is below the threshold everywhere is no object."""
    masks = np.full((2, 1, 28, 28), 0.1, np.float32)
    masks[0] = 0.9
    prediction = read("mask_rcnn", (BOXES, LABELS + 1, SCORES, masks))
    assert prediction.categories.tolist() == [2]


@pytest.mark.parametrize(
    ("decode", "outputs", "words"),
    [
        ("ultralytics_seg", (np.zeros((1, 8, 5)),), "the outputs have shapes [(1, 8, 5)]"),
        ("ultralytics_seg", (np.zeros((1, 36, 5)), np.zeros((1, 32, 4, 4))), "ultralytics_seg_nms"),
        ("ultralytics_seg_nms", (np.zeros((1, 5, 9)), np.zeros((1, 2, 4, 4))), "2 mask prototypes"),
        ("mask_rcnn", (BOXES, LABELS, SCORES), "masks (M, 1, h, w)"),
        ("mask_rcnn", (BOXES, LABELS + 1, SCORES, np.full((2, 28, 28), 255.0)), "0 to 1"),
        ("mask_rcnn", (BOXES, LABELS + 9, SCORES, np.zeros((2, 4, 28, 28))), "a class 11"),
        ("regions", (np.full((1, 3, 8, 8), 7.0),), "the scores go from 7 to 7"),
        ("mask_queries", (np.zeros((1, 5, 4)), np.zeros((1, 6, 8, 8))), "(N, Q, h, w)"),
    ],
)
def test_outputs_of_another_convention_are_refused(
    decode: str, outputs: tuple[Any, ...], words: str
) -> None:
    """With their shapes or values, and what is valid."""
    with pytest.raises(DataError) as error:
        read(decode, outputs)
    assert words in str(error.value)


def test_an_unknown_decoder_is_an_error_with_the_known_ones() -> None:
    """Those of masks, not of boxes."""
    with pytest.raises(
        RecipeError, match=r"no mask decoder 'ultralytics'\s+valid: .*ultralytics_seg"
    ):
        read("ultralytics", ())
