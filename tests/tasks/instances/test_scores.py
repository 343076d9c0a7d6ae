"""Scores of masks: equal to pycocotools', and to be computed again from the stored matches."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import DataError
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.stats.average_precision import mean_average_precision
from pytest_perfgate.tasks.detection.output import OperatingPoint
from pytest_perfgate.tasks.instances import METRICS, Instances
from pytest_perfgate.tasks.instances.data import InstanceData, MaskPrediction
from pytest_perfgate.tasks.masks.runs import Masks
from pytest_perfgate.verdicts.accuracy_intervals import accuracy_difference, accuracy_interval

from tests.tasks import mask_scenes

pytest.importorskip("faster_coco_eval", reason="pip install 'pytest-perfgate[detection]'")
AVERAGES = ("mask_map", "mask_map50", "mask_map75")
SIZES = ("mask_map_small", "mask_map_medium", "mask_map_large")


def official(data: InstanceData, predictions: list[MaskPrediction]) -> list[float]:
    """AP, AP50, AP75 and AP of small, medium and large objects, by pycocotools."""
    api = pytest.importorskip("pycocotools.coco", reason="pip install 'pytest-perfgate[test]'")
    from pycocotools import mask
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = api.COCO()
        truth.dataset = {
            **data.coco,
            "annotations": [dict(one) for one in data.coco["annotations"]],
        }
        truth.createIndex()
        for entry in truth.dataset["annotations"]:
            entry["area"] = float(mask.area(truth.annToRLE(entry)))
        rows = [
            {
                "image_id": entry["id"],
                "category_id": int(category) + 1,
                "segmentation": table,
                "score": float(score),
            }
            for entry, result in zip(data.coco["images"], predictions, strict=True)
            for table, score, category in zip(
                result.masks.tables(), result.scores, result.categories, strict=True
            )
        ]
        evaluator = COCOeval(truth, truth.loadRes(rows), "segm")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return [float(value) for value in evaluator.stats[:6]]


def again(accuracy: Accuracy) -> list[float]:
    """AP, AP50 and AP75 from the stored matches."""
    matches = accuracy.matches
    assert matches is not None
    table = matches.table()
    return [mean_average_precision(table, bits) for bits in (tuple(range(10)), (0,), (5,))]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    "kind",
    [{}, {"crowd": 0.3}, {"levels": 4}, {"ids": (2**53 + 1, 2**53 + 2, 2**53, 7)}, {"large": True}],
    ids=["plain", "crowds", "equal scores", "large ids", "all sizes"],
)
def test_scores_are_those_of_pycocotools(seed: int, kind: dict[str, Any]) -> None:
    """Polygons and runs, crowds, equal scores, sizes; and the matches give the scores again."""
    data, predictions = mask_scenes.scene(seed, **kind)
    if data.instances.crowd.all():
        pytest.skip("nothing to find")
    accuracy = Instances().evaluate(data, predictions)
    expected = dict(zip((*AVERAGES, *SIZES), official(data, predictions), strict=True))
    for name, value in accuracy.values.items():
        assert value == pytest.approx(expected[name], abs=1e-6), name
    assert all(expected[name] == -1 for name in expected.keys() - accuracy.values.keys())
    assert again(accuracy) == pytest.approx([accuracy.values[name] for name in AVERAGES], abs=1e-6)


def test_perfect_masks_score_one_and_boxes_do_not_matter() -> None:
    """The mask is what is compared: one shifted by half its width finds nothing at 0.5."""
    data, _ = mask_scenes.scene(3)
    perfect, shifted = [], []
    for image in range(5):
        rows = np.flatnonzero(data.instances.image == image)
        masks = data.masks(rows, image)
        pixels = [masks.pixels(row) for row in range(len(masks))]
        sure, kinds = [0.9] * len(rows), data.instances.category[rows].tolist()
        perfect.append(mask_scenes.predicted(pixels, sure, kinds))
        moved = [np.roll(one, 25, axis=1) for one in pixels]
        wrong = mask_scenes.predicted(moved, sure, kinds)
        shifted.append(
            MaskPrediction(perfect[-1].boxes, wrong.scores, wrong.categories, wrong.masks)
        )
    task = Instances()
    assert task.evaluate(data, perfect).values["mask_map"] == pytest.approx(1.0)
    accuracy = task.evaluate(data, shifted)
    assert accuracy.values["mask_map50"] < 0.05
    doubt = task.doubt(data, shifted, accuracy, task.Output())
    assert doubt is not None
    assert "masks are at another place than their boxes" in doubt.problem
    assert task.doubt(data, perfect, task.evaluate(data, perfect), task.Output()) is None


def test_scores_have_intervals_and_pairs() -> None:
    """From the images: a score with its bounds, and the difference of two recipes."""
    data, predictions = mask_scenes.scene(5, ids=tuple(range(1, 31)))
    worse = [
        one if index % 3 else mask_scenes.predicted([], [], [])
        for index, one in enumerate(predictions)
    ]
    task = Instances()
    ours, other = (task.evaluate(data, side) for side in (worse, predictions))
    for name in AVERAGES:
        interval = accuracy_interval(other, name, 0.05)
        assert interval.low < other.values[name] < interval.high
        difference = accuracy_difference(ours, other, name, 0.05)
        assert difference is not None
        assert difference.high < 0
    sizes = accuracy_difference(ours, other, "mask_map_small", 0.05)
    assert sizes is not None
    assert np.isinf(sizes.low)


def test_the_operating_point_counts_masks() -> None:
    """Two of three objects are matched above the score; a third mask matches nothing."""
    middle = np.array([[30.0, 30.0], [80.0, 30.0], [30.0, 80.0]])
    radii = np.array([12.0, 12.0])
    coco = {
        "images": [{"id": 1, "width": 120, "height": 120}],
        "annotations": [
            {
                "id": row + 1,
                "image_id": 1,
                "category_id": 1,
                "segmentation": [mask_scenes.polygon(at, radii)],
            }
            for row, at in enumerate(middle)
        ],
        "categories": [{"id": 1, "name": "disc"}],
    }
    data = InstanceData([np.zeros((120, 120, 3), np.uint8)], coco)
    discs = [mask_scenes.ellipse(at, radii) for at in middle]
    off = mask_scenes.ellipse(np.array([80.0, 80.0]), radii)
    found = mask_scenes.predicted([*discs, off], [0.9, 0.8, 0.2, 0.7], [0] * 4)
    task = Instances()
    wanted = task.Output(operating_point=OperatingPoint(score=0.5))
    sums = task.score_at(data, [found], wanted)
    values = {name: top.sum() / bottom.sum() for name, (top, bottom) in sums.items()}
    shares = dict.fromkeys(("precision", "recall", "f1"), 2 / 3)
    assert values == pytest.approx({**shares, "confidence": 0.8, "confidence_gap": 0.8 - 2 / 3})
    assert task.score_at(data, [found], task.Output()) == {}


def test_recipes_agree_by_their_masks() -> None:
    """Packed predictions come back whole; agreement and score_shift need no annotations."""
    data, predictions = mask_scenes.scene(8)
    task = Instances()
    packed = task.pack(predictions)
    assert {name: array.dtype.kind for name, array in packed.items()}["runs"] == "u"
    sums = task.compare(packed, packed)
    assert sums["agreement"][0].sum() == sums["agreement"][1].sum() > 0
    assert sums["score_shift"][0].sum() == 0
    from pytest_perfgate.tasks.instances.agreement import unpack

    for before, after in zip(predictions, unpack(packed), strict=True):
        assert before.content() == after.content()
    moved = []
    for one in predictions:
        pixels = [np.roll(one.masks.pixels(row), 30, 1) for row in range(len(one.masks))]
        sure = one.scores.tolist()
        moved.append(mask_scenes.predicted(pixels, sure, one.categories.tolist()))
    apart = task.compare(task.pack(moved), packed)
    assert apart["agreement"][0].sum() < 0.3 * apart["agreement"][1].sum()
    alone = InstanceData(data.images, {**data.coco, "annotations": []}, annotated=False)
    accuracy = task.evaluate(alone, predictions)
    assert accuracy.values == {}
    assert {*AVERAGES, *SIZES} <= accuracy.unmeasured.keys()


def test_images_that_lost_masks_are_named() -> None:
    """A mask that shrinks loses what its IoU falls by, though its score stays."""
    data, _ = mask_scenes.scene(11)
    task, sides = Instances(), []
    for shrink in (False, True):
        side = []
        for image in range(5):
            rows = np.flatnonzero(data.instances.image == image)
            masks = data.masks(rows, image)
            pixels = [masks.pixels(row) for row in range(len(masks))]
            if shrink and image == 2:
                pixels = [one & np.roll(one, 6, 1) for one in pixels]
            kinds = data.instances.category[rows].tolist()
            side.append(mask_scenes.predicted(pixels, [0.9] * len(rows), kinds))
        sides.append(task.pack(side))
    (image,) = task.worse(data, sides[1], sides[0], 4)
    assert image.image == 2
    assert image.loss > 0.1
    assert {box.object for box in image.reference} == set(range(len(task.objects(data, 2)[1])))
    assert task.worse(data, sides[0], sides[0], 4) == []


def test_predictions_that_cannot_be_are_refused() -> None:
    """Masks of another size than their image, and a class beyond the list: one message each."""
    data, predictions = mask_scenes.scene(2)
    task = Instances()
    small = [
        MaskPrediction(one.boxes, one.scores, one.categories, Masks((8, 9), one.masks.texts))
        for one in predictions
    ]
    with pytest.raises(
        DataError, match=r"image 0 .* has masks of 9 x 8 pixels, and the image has 120 x 120"
    ):
        task.evaluate(data, small)
    beyond = [
        MaskPrediction(one.boxes, one.scores, one.categories + 3, one.masks) for one in predictions
    ]
    with pytest.raises(DataError, match=r"names a category \d, and the data has 3") as error:
        task.evaluate(data, beyond)
    assert error.value.valid.startswith("0 to 2")


def test_every_metric_of_truth_can_be_held() -> None:
    """The names of the task's metrics are those of its scores."""
    data, predictions = mask_scenes.scene(1, large=True)
    accuracy = Instances().evaluate(data, predictions)
    assert accuracy.values.keys() | accuracy.unmeasured.keys() <= METRICS.keys()
