"""Scores of oriented boxes: equal to DOTA's, written out from its devkit's definition."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import DataError
from pytest_perfgate.stats.average_precision import mean_average_precision
from pytest_perfgate.tasks.oriented import METRICS, OrientedBoxes
from pytest_perfgate.tasks.oriented.data import Oriented, OrientedData
from pytest_perfgate.verdicts.accuracy_intervals import (
    accuracy_difference,
    accuracy_interval,
    of_class,
)

from tests.tasks.oriented.scenes import CLASSES, scene

shapely = pytest.importorskip("shapely", reason="pip install 'pytest-perfgate[test]'")


def devkit(
    data: OrientedData, predictions: list[Oriented], category: int, threshold: float
) -> float | None:
    """`voc_eval` of DOTA's development kit for one class, with the area under the curve and
    shapely's polygons; None without an object to find.
    """
    truth: list[dict[str, Any]] = []
    for objects, hard in zip(data.objects, data.ignored, strict=True):
        rows = np.flatnonzero(objects.categories == category)
        truth.append(
            {
                "polygons": [shapely.Polygon(objects.corners[row]) for row in rows],
                "difficult": hard[rows],
                "found": [False] * len(rows),
            }
        )
    positives = sum(int((~image["difficult"]).sum()) for image in truth)
    if not positives:
        return None
    detections = [
        (-float(score), index, shapely.Polygon(corners))
        for index, one in enumerate(predictions)
        for corners, score, kind in zip(one.corners, one.scores, one.categories, strict=True)
        if kind == category
    ]
    detections.sort(key=lambda row: row[:2])  # stable, as equal scores stand
    true, false = [], []
    for _, index, polygon in detections:
        image = truth[index]
        overlaps = [
            polygon.intersection(other).area / polygon.union(other).area
            for other in image["polygons"]
        ]
        hit = miss = 0
        if overlaps and max(overlaps) > threshold:
            best = int(np.argmax(overlaps))
            if not image["difficult"][best]:
                hit, miss = (0, 1) if image["found"][best] else (1, 0)
                image["found"][best] = True
        else:
            miss = 1
        true.append(hit)
        false.append(miss)
    hits, misses = np.cumsum(true), np.cumsum(false)
    recall = np.concatenate([[0.0], hits / positives, [1.0]])
    precision = hits / np.maximum(hits + misses, np.finfo(np.float64).eps)
    precision = np.concatenate([[0.0], precision, [0.0]])
    for place in range(len(precision) - 1, 0, -1):
        precision[place - 1] = max(precision[place - 1], precision[place])
    steps = np.flatnonzero(recall[1:] != recall[:-1])
    return float(((recall[steps + 1] - recall[steps]) * precision[steps + 1]).sum())


@pytest.mark.parametrize("seed", range(8))
def test_scores_are_those_of_dotas_devkit(seed: int) -> None:
    """Difficult objects, equal scores, quadrilaterals that are no rectangles: to 1e-6."""
    data, predictions = scene(seed, levels=6 * (seed % 2))
    accuracy = OrientedBoxes().evaluate(data, predictions)
    table = {
        threshold: [devkit(data, predictions, kind, threshold) for kind in range(len(CLASSES))]
        for threshold in (round(0.5 + 0.05 * step, 2) for step in range(10))
    }
    means = {
        threshold: np.mean([one for one in row if one is not None])
        for threshold, row in table.items()
    }
    assert accuracy.values["map50"] == pytest.approx(means[0.5], abs=1e-6)
    assert accuracy.values["map75"] == pytest.approx(means[0.75], abs=1e-6)
    assert accuracy.values["map"] == pytest.approx(np.mean(list(means.values())), abs=1e-6)
    for kind, name in enumerate(CLASSES):
        if table[0.5][kind] is not None:
            assert accuracy.per_category[name] == pytest.approx(table[0.5][kind], abs=1e-6)


def test_matches_give_the_scores_and_those_of_each_class() -> None:
    """An interval is about the very score that is judged, of all classes and of one."""
    data, predictions = scene(3, images=30)
    accuracy = OrientedBoxes().evaluate(data, predictions)
    assert accuracy.matches is not None
    table = accuracy.matches.table()
    for name in ("map", "map50", "map75"):
        assert mean_average_precision(table, name) == pytest.approx(accuracy.values[name], abs=1e-9)
        interval = accuracy_interval(accuracy, name, 0.05)
        assert interval.low < accuracy.values[name] < interval.high
    for name in CLASSES:
        value = of_class(accuracy, name).values["map50"]
        assert value == pytest.approx(accuracy.per_category[name], abs=1e-9)


def test_recipes_are_compared_image_by_image() -> None:
    """Turned boxes are proven worse; the same ones differ by nothing."""
    data, predictions = scene(4, images=60)
    turned = [
        replace(one, corners=(one.corners @ np.float32([[0.6, 0.8], [-0.8, 0.6]])))
        for one in predictions
    ]
    one, other = (OrientedBoxes().evaluate(data, side) for side in (predictions, turned))
    same = accuracy_difference(one, one, "map50", 0.05)
    assert same is not None
    assert same.identical
    worse = accuracy_difference(other, one, "map50", 0.05)
    assert worse is not None
    assert worse.high < 0


def test_agreement_needs_no_labels() -> None:
    """Images alone have no score; a recipe that loses detections agrees less."""
    data, predictions = scene(1, images=20)
    task = OrientedBoxes()
    accuracy = task.evaluate(OrientedData(data.images), predictions)
    assert accuracy.values == {}
    assert set(accuracy.unmeasured) == {"map", "map50", "map75"}
    packed = task.pack(predictions)
    same = task.compare(packed, packed)
    assert set(same) == {name for name, one in METRICS.items() if one.against_reference}
    assert (same["agreement"][0] == same["agreement"][1]).all()
    halved = task.compare(packed | {"scores": packed["scores"] / 2}, packed)
    assert halved["agreement"][0].sum() < 0.9 * halved["agreement"][1].sum()
    assert halved["score_shift"][0].sum() > 0.1 * halved["score_shift"][1].sum()


def test_images_that_got_worse_have_outlines() -> None:
    """The image whose detections are lost, with the corners of its boxes."""
    data, predictions = scene(5, images=8, difficult=0.0)
    sure = [replace(one, scores=np.full_like(one.scores, 0.9)) for one in predictions]
    ours = [*sure]
    ours[2] = Oriented(np.zeros((0, 4, 2), np.float32), sure[2].scores[:0], sure[2].categories[:0])
    task = OrientedBoxes()
    (image,) = task.worse(data, task.pack(ours), task.pack(sure), 4)
    assert image.image == 2
    assert image.recipe == ()
    assert all(len(box.outline) == 4 for box in image.reference)
    _, objects = task.objects(data, 2)
    assert len(objects) == len(data.objects[2].scores)


def test_classes_in_another_order_and_degrees_are_doubted() -> None:
    """With the line that mends it; the detector as it is, is not."""
    data, predictions = scene(6, images=60)
    task = OrientedBoxes()

    def doubt(changed: list[Oriented]) -> str:
        problem = task.doubt(data, changed, task.evaluate(data, changed), task.Output())
        return f"{problem.problem}; {problem.next_step}" if problem else ""

    assert doubt(predictions) == ""
    turned = [replace(one, categories=(one.categories + 1) % 3) for one in predictions]
    assert "classes = [1, 2, 0]" in doubt(turned)
    nothing = [replace(one, corners=one.corners + np.float32(900)) for one in predictions]
    assert "map50 is 0.0000" in doubt(nothing)


def test_more_classes_than_the_data_has_are_refused() -> None:
    """The error names the number and the classes."""
    data, predictions = scene(1)
    more = [replace(one, categories=one.categories + 2) for one in predictions]
    with pytest.raises(
        DataError, match=r"(?s)names a class 4, and the data has 3.*plane, ship, harbor"
    ):
        OrientedBoxes().evaluate(data, more)
