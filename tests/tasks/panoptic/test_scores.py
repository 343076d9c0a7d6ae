"""Panoptic quality: equal to hotcoco's, which follows panopticapi, with intervals from images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.panoptic import METRICS, PanopticSegmentation
from pytest_perfgate.tasks.panoptic.data import Panoptic, PanopticData, Segment, panoptic
from pytest_perfgate.tasks.panoptic.scores import unpack
from pytest_perfgate.verdicts.accuracy_intervals import accuracy_difference, accuracy_interval

from tests.tasks import panoptic_scenes as scenes

Image = pytest.importorskip("PIL.Image", reason="pip install 'pytest-perfgate[segmentation]'")


def official(folder: Path, data: PanopticData, predictions: list[Panoptic]) -> dict[str, float]:
    """PQ, SQ and RQ of all classes, things and stuff, from files, as COCO's results are scored."""
    evaluator = pytest.importorskip("hotcoco.panoptic", reason="pip install hotcoco")
    truth = scenes.coco(data)
    results: dict[str, Any] = {**truth, "annotations": []}
    for name in ("true", "ours"):
        (folder / name).mkdir()
    for row, prediction in enumerate(predictions):
        ids = prediction.map() * 513
        for name, pixels in (("true", data.maps[row]), ("ours", ids)):
            Image.fromarray(scenes.picture(pixels)).save(folder / name / f"{row}.png")
        results["annotations"].append(
            {
                "image_id": row + 1,
                "file_name": f"{row}.png",
                "segments_info": [
                    {"id": (number + 1) * 513, "category_id": 10 * int(category) + 5}
                    for number, category in enumerate(prediction.categories)
                ],
            }
        )
    for name, table in (("true", truth), ("ours", results)):
        (folder / f"{name}.json").write_text(json.dumps(table))
    scored = evaluator.pq_compute(
        str(folder / "true.json"),
        str(folder / "ours.json"),
        str(folder / "true"),
        str(folder / "ours"),
    )
    groups = {"": "All", "_things": "Things", "_stuff": "Stuff"}
    return {
        f"{name}{suffix}": scored[group][name]
        for suffix, group in groups.items()
        for name in ("pq", "sq", "rq")
    }


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("crowd", [0.0, 0.4])
def test_scores_are_those_of_the_reference_evaluator(
    tmp_path: Path, seed: int, crowd: float
) -> None:
    """With pixels of nothing on both sides, crowds, wrong classes, lost and surplus segments."""
    data, predictions = scenes.scene(seed, crowd=crowd)
    accuracy = PanopticSegmentation().evaluate(data, predictions)
    assert accuracy.values == pytest.approx(official(tmp_path, data, predictions), abs=1e-6)
    assert 0 < accuracy.values["pq"] < 1
    assert accuracy.values.keys() <= METRICS.keys()


def test_labelled_pixels_alone_are_no_perfect_segment() -> None:
    """Two right pixels of a segment that is larger match nothing: the others count in the union."""
    true = np.ones((4, 4), np.int64)
    data = PanopticData(
        [np.zeros((4, 4, 3), np.uint8)], [true], [[Segment(1, 0)]], ("grass", "cow"), (False, True)
    )
    few = np.zeros((4, 4), np.int64)
    few[0, :2] = 1
    accuracy = PanopticSegmentation().evaluate(data, [panoptic(few, np.array([0]))])
    assert accuracy.values["pq"] == 0
    assert "no image or prediction has a segment of: cow" in accuracy.notes[0]
    assert {"pq_things", "score_shift"} <= accuracy.unmeasured.keys()


def test_perfect_maps_score_one_and_prove_no_perfection() -> None:
    """One more segment that is lost is reckoned with."""
    data, _ = scenes.scene(3, count=12)
    accuracy = PanopticSegmentation().evaluate(data, scenes.perfect(data))
    assert accuracy.values == pytest.approx(dict.fromkeys(accuracy.values, 1.0))
    interval = accuracy_interval(accuracy, "pq", 0.05)
    assert 0.8 < interval.low < 1.0
    assert accuracy.per_category == pytest.approx(dict.fromkeys(scenes.CLASSES, 1.0))


def test_the_interval_of_a_mean_is_that_of_a_bootstrap_over_images() -> None:
    """Counts of drawn images are summed before they are divided."""
    data, predictions = scenes.scene(11, count=120)
    task = PanopticSegmentation()
    accuracy = task.evaluate(data, predictions)
    from pytest_perfgate.tasks.panoptic.scores import _tally

    tally, _ = _tally(data, predictions)
    random, draws = np.random.default_rng(1), []
    for _ in range(400):
        rows = random.integers(len(predictions), size=len(predictions))
        drawn = type(tally)(tally.matches[rows], tally.overlaps[rows], tally.lone[rows])
        draws.append(drawn.values("pq")[drawn.present].mean())
    interval = accuracy_interval(accuracy, "pq", 0.05)
    width = np.quantile(draws, 0.975) - np.quantile(draws, 0.025)
    assert interval.high - interval.low == pytest.approx(width, rel=0.2)


def test_recipes_are_compared_image_by_image() -> None:
    """A recipe that loses some cows is worse; agreement and score_shift need no annotations."""
    data, predictions = scenes.scene(5, count=40)
    task = PanopticSegmentation()
    worse = [
        panoptic(np.where(one.map() > 2, 1, one.map()), one.categories, one.scores)
        if index % 3 == 0
        else one
        for index, one in enumerate(predictions)
    ]
    ours, other = task.evaluate(data, worse), task.evaluate(data, predictions)
    difference = accuracy_difference(ours, other, "pq_things", 0.05)
    assert difference is not None
    assert difference.high < 0
    packed = task.pack(predictions)
    same = task.compare(packed, packed)
    assert same["agreement"][0].sum() == same["agreement"][1].sum()
    assert same["score_shift"][0].sum() == 0
    apart = task.compare(task.pack(worse), packed)
    assert apart["agreement"][0].sum() < apart["agreement"][1].sum()
    assert apart["score_shift"][0].sum() > 0
    half = [replace(one, scores=one.scores / 2) for one in predictions if one.scores is not None]
    shifted = task.compare(task.pack(half), packed)
    assert shifted["agreement"][0].sum() == shifted["agreement"][1].sum()
    assert shifted["score_shift"][0].sum() / shifted["score_shift"][1].sum() > 0.2
    for before, after in zip(predictions, unpack(packed), strict=True):
        np.testing.assert_array_equal(before.map(), after.map())
    unscored = task.pack([replace(one, scores=None) for one in predictions])
    assert task.compare(unscored, packed).keys() == {"agreement"}


def test_images_without_segments_are_compared_alone() -> None:
    """Nothing is scored, and a network that finds nothing is in doubt."""
    data, predictions = scenes.scene(5)
    alone, task = PanopticData(data.images), PanopticSegmentation()
    accuracy = task.evaluate(alone, predictions)
    assert (accuracy.values, "pq" in accuracy.unmeasured) == ({}, True)
    assert task.doubt(alone, predictions, accuracy, task.Output()) is None
    nothing = [panoptic(np.zeros((scenes.SIDE,) * 2, int), np.zeros(0, int))] * 6
    doubt = task.doubt(alone, nothing, accuracy, task.Output())
    assert doubt is not None
    assert "finds no segment" in doubt.problem


def test_images_that_lost_segments_are_named() -> None:
    """By the IoU of their segments; the overlay marks what is of another segment."""
    data, _ = scenes.scene(7)
    task, right = PanopticSegmentation(), scenes.perfect(data)
    wrong = list(right)
    wrong[4] = panoptic(np.where(right[4].map() == 2, 1, right[4].map()), right[4].categories)
    wrong[4] = replace(wrong[4], scores=np.full(len(wrong[4].categories), 0.9, np.float32))
    (image,) = task.worse(data, task.pack(wrong), task.pack(right), 4)
    assert image.image == 4
    assert image.loss >= 1
    assert image.recipe_overlay != image.reference_overlay
    assert len(task.objects(data, 4)[1]) == len(data.segments[4])
    assert {box.score for box in image.reference} == {1.0}


def test_classes_in_another_order_are_in_doubt() -> None:
    """With the option that puts them right."""
    data, _ = scenes.scene(9, count=30)
    task, right = PanopticSegmentation(), scenes.perfect(data)
    other = [replace(one, categories=(one.categories + 1) % 4) for one in right]
    doubt = task.doubt(data, other, task.evaluate(data, other), task.Output())
    assert doubt is not None
    assert "classes = [1, 2, 3, 0]" in doubt.next_step
    assert task.doubt(data, right, task.evaluate(data, right), task.Output()) is None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"categories": np.array([9])}, "the model gives the class 9 for image 0"),
        ({"size": (24, 96)}, "has the shape (24, 96), and its map (48, 48)"),
    ],
)
def test_predictions_that_cannot_be_are_refused(changed: dict[str, Any], words: str) -> None:
    """Maps of another size, and classes beyond the list."""
    data, _ = scenes.scene(1)
    whole = panoptic(np.ones((48, 48), int), np.array([0]), np.array([0.9]))
    with pytest.raises(DataError) as error:
        PanopticSegmentation().evaluate(data, [replace(whole, **changed)] * 6)
    assert words in str(error.value)
