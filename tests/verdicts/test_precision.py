"""Average precision from matches: COCO's numbers, and a bootstrap that tells the truth."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.stats.average_precision import Ranked, Table, mean_average_precision
from pytest_perfgate.stats.image_bootstrap import paired_bootstrap
from pytest_perfgate.tasks.detection.coco_scores import evaluate
from pytest_perfgate.tasks.detection.data import DetectionData, Prediction
from pytest_perfgate.verdicts.accuracy_intervals import accuracy_difference, accuracy_interval

CATEGORIES = 4


def scenes(seed: int, images: int = 80) -> tuple[DetectionData, list[list[Any]]]:
    """Random boxes on images that all differ, and those boxes by image."""
    random = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    boxes: list[list[Any]] = []
    for image in range(images):
        ours = []
        for _ in range(int(random.integers(0, 5))):
            corner, size = random.uniform(0, 200, 2), random.uniform(20, 80, 2)
            category = int(random.integers(CATEGORIES))
            ours.append((*corner, *size, category))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image + 1,
                    "category_id": category + 1,
                    "bbox": [*map(float, corner), *map(float, size)],
                    "area": float(size.prod()),
                    "iscrowd": 0,
                }
            )
        boxes.append(ours)
    pictures = [np.full((4, 4, 3), index % 250, np.uint8) for index in range(images)]
    coco = {
        "images": [{"id": index + 1} for index in range(images)],
        "annotations": annotations,
        "categories": [{"id": index + 1, "name": str(index)} for index in range(CATEGORIES)],
    }
    return DetectionData(pictures, coco), boxes


def detect(boxes: list[list[Any]], seed: int, miss: float = 0.1) -> list[Prediction]:
    """What a detector of some quality would say: misses, shifts, wrong categories, extra boxes."""
    random = np.random.default_rng(seed)
    predictions = []
    for ours in boxes:
        rows = []
        for x, y, width, height, category in ours:
            if random.random() < miss:
                continue
            shift = random.normal(0, 2.5, 4)
            label = category if random.random() < 0.9 else int(random.integers(CATEGORIES))
            corners = np.array([x, y, x + width, y + height]) + shift
            rows.append((*corners, round(random.random(), 2), label))
        for _ in range(int(random.integers(0, 3))):
            corner, size = random.uniform(0, 200, 2), random.uniform(20, 80, 2)
            label = int(random.integers(CATEGORIES))
            rows.append((*corner, *(corner + size), round(0.7 * random.random(), 2), label))
        table = np.array(rows, dtype=np.float32).reshape(-1, 6)
        table = table[np.argsort(-table[:, 4], kind="stable")]
        predictions.append(Prediction(table[:, :4], table[:, 4], table[:, 5].astype(np.int64)))
    return predictions


def table_of(accuracy: Accuracy) -> Table:
    """The matches of a record as arrays."""
    matches = accuracy.matches
    assert matches is not None
    return Table(
        matches.image.array(),
        matches.category.array(),
        matches.score.array(),
        matches.hits.array(),
        matches.truth.array(),
        len(matches.thresholds),
    )


@pytest.mark.parametrize("seed", range(6))
def test_scores_are_those_of_pycocotools(seed: int) -> None:
    """Our evaluation, and average precision computed again from its matches, are COCO's."""
    coco_module = pytest.importorskip("pycocotools.coco", reason="pip install pycocotools")
    eval_module = pytest.importorskip("pycocotools.cocoeval")
    data, boxes = scenes(seed)
    predictions = detect(boxes, seed + 100)
    accuracy = evaluate(data, predictions)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco_module.COCO()
        truth.dataset = data.coco
        truth.createIndex()
        rows = [
            {
                "image_id": index + 1,
                "category_id": int(category) + 1,
                "bbox": [float(b[0]), float(b[1]), float(b[2] - b[0]), float(b[3] - b[1])],
                "score": float(score),
            }
            for index, prediction in enumerate(predictions)
            for b, score, category in zip(
                prediction.boxes, prediction.scores, prediction.categories, strict=True
            )
        ]
        judged = eval_module.COCOeval(truth, truth.loadRes(rows), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    for name, index in (("map", 0), ("map50", 1), ("map75", 2)):
        assert accuracy.values[name] == pytest.approx(judged.stats[index], abs=1e-9)
    table = table_of(accuracy)
    assert mean_average_precision(table) == pytest.approx(judged.stats[0], abs=1e-9)
    assert mean_average_precision(table, "map50") == pytest.approx(judged.stats[1], abs=1e-9)
    once = np.ones((len(table.truth), 1), dtype=np.int64)
    per_category = Ranked(table, tuple(range(10))).score(once).mean(axis=(1, 2))
    assert per_category == pytest.approx(list(accuracy.per_category.values()), abs=1e-9)


def test_identical_predictions_differ_by_exactly_nothing() -> None:
    """No bootstrap is needed to see it, and no doubt is left."""
    data, boxes = scenes(1)
    accuracy = evaluate(data, detect(boxes, 2))
    difference = accuracy_difference(accuracy, accuracy, "map", 1e-6)
    assert difference is not None
    assert (difference.estimate, difference.low, difference.high) == (0, 0, 0)
    assert difference.identical


def test_other_images_are_not_compared() -> None:
    """Two evaluations over different data have no difference."""
    one, boxes = scenes(1)
    other, others = scenes(2)
    first, second = evaluate(one, detect(boxes, 3)), evaluate(other, detect(others, 3))
    assert accuracy_difference(first, second, "map", 0.05) is None


def test_the_same_comparison_gives_the_same_answer_and_swapped_the_mirrored() -> None:
    """Seeded: re-running changes nothing; a - b is -(b - a)."""
    data, boxes = scenes(4)
    good, bad = evaluate(data, detect(boxes, 5)), evaluate(data, detect(boxes, 6, miss=0.4))
    one = paired_bootstrap(table_of(good), table_of(bad))
    assert one == paired_bootstrap(table_of(good), table_of(bad))
    mirrored = paired_bootstrap(table_of(bad), table_of(good))
    assert mirrored.value == pytest.approx(-one.value)
    assert mirrored.error == pytest.approx(one.error)
    difference = accuracy_difference(bad, good, "map", 0.01)
    assert difference is not None
    assert difference.high < 0


def test_an_interval_stays_on_the_scale() -> None:
    """Bounds of a score are scores."""
    data, boxes = scenes(7, images=12)
    accuracy = evaluate(data, detect(boxes, 8))
    interval = accuracy_interval(accuracy, "map50", 1e-9)
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
