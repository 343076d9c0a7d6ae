"""Budgets on each class, and scores at an operating point."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.verdict import Verdict
from pytest_perfgate.suite.budgets import read_budget
from pytest_perfgate.suite.tables import BudgetTable, Place
from pytest_perfgate.tasks.detection import METRICS, Detection, Output
from pytest_perfgate.tasks.detection.coco_scores import evaluate
from pytest_perfgate.tasks.detection.data import DetectionData, Prediction
from pytest_perfgate.verdicts import class_bounds
from pytest_perfgate.verdicts.accuracy_intervals import (
    accuracy_difference,
    accuracy_interval,
    classes_of,
    of_class,
)
from pytest_perfgate.verdicts.evidence import Evidence
from pytest_perfgate.verdicts.judge import judge

from tests.verdicts.judging import NOW, RISK, recipe
from tests.verdicts.test_precision import CATEGORIES, detect, scenes

pytest.importorskip("faster_coco_eval", reason="pip install 'pytest-perfgate[detection]'")


def measured(name: str, accuracy: Accuracy) -> RecipeRecord:
    """A recipe with these scores."""
    return recipe(name, 0.01).model_copy(update={"accuracy": accuracy})


def without(predictions: list[Prediction], category: int, share: float) -> list[Prediction]:
    """Predictions that lost a share of the detections of one category."""
    random = np.random.default_rng(0)
    left = []
    for one in predictions:
        kept = (one.categories != category) | (random.random(len(one.scores)) >= share)
        left.append(Prediction(one.boxes[kept], one.scores[kept], one.categories[kept]))
    return left


def verdict(
    data: DetectionData,
    before: list[Prediction],
    after: list[Prediction],
    *limits: Limit,
    metric: str = "map",
) -> Verdict:
    """The verdict on a candidate beside its reference."""
    evidence = Evidence(
        record=measured("candidate", evaluate(data, after)),
        reference=measured("reference", evaluate(data, before)),
    )
    return judge(Budget(metric, limits), METRICS[metric], evidence, RISK, NOW)


DROP = Limit(LimitKind.DROP, 0.25, "0.25")
CLASS_DROP = Limit(LimitKind.CLASS_DROP, 0.05, "0.05")


def test_a_class_that_is_lost_breaks_the_budget_and_is_named() -> None:
    """The mean keeps its limit; the class that lost most of its detections does not."""
    data, boxes = scenes(1, images=120)
    before = detect(boxes, 2, miss=0.02)
    result = verdict(data, before, without(before, 2, 0.7), DROP, CLASS_DROP)
    whole, by_class = result.limits
    assert whole.status == "PASS"
    assert (result.status, by_class.status, by_class.kind) == ("FAIL", "FAIL", "per_class.drop")
    assert result.reason.startswith("map of 2 is -0.")
    assert result.reason.endswith("to its reference reference: per_class.drop 0.05 is broken")
    both = without(without(before, 2, 0.9), 0, 0.6)
    (note,) = verdict(data, before, both, CLASS_DROP).limits[0].notes
    assert note.startswith("also: map of 0 is -0.")


def test_classes_that_keep_their_scores_keep_the_budget() -> None:
    """Identical predictions; and one class less is not decided by few images."""
    data, boxes = scenes(1, images=20)
    before = detect(boxes, 2)
    kept = verdict(data, before, before, CLASS_DROP)
    assert kept.status == "PASS"
    assert "and so by each of 4 classes" in kept.reason
    few = verdict(data, before, without(before, 1, 0.1), CLASS_DROP)
    assert few.status == "INCONCLUSIVE"
    assert few.reason.startswith("map of 1 is ")


def test_classes_that_are_not_judged_are_named() -> None:
    """One that nothing in the data is of; and one that the reference never finds, of which a drop
    proves nothing. Where there is no other class there is no PASS.
    """
    data, boxes = scenes(1, images=60)
    categories = [*data.coco["categories"], {"id": 5, "name": "unused"}]
    data = DetectionData(data.images, {**data.coco, "categories": categories})
    before = without(detect(boxes, 2), 3, 1.1)
    (note,) = evaluate(data, before).notes
    assert note == "map is the mean over 4 classes; no image has an object to find of: unused"
    kept = verdict(data, before, before, CLASS_DROP)
    assert kept.status == "PASS"
    assert "and so by each of 3 classes" in kept.reason
    assert "not judged, since nothing in the data is of them: unused" in kept.reason
    assert "map of the reference is 0, and cannot become worse: 3" in kept.reason
    for category in range(3):
        before = without(before, category, 1.1)
    assert verdict(data, before, before, CLASS_DROP).status == "ERROR"


def test_a_lower_limit_of_each_class() -> None:
    """Absolute: no reference is asked."""
    data, boxes = scenes(3, images=120)
    predictions = without(detect(boxes, 4, miss=0.02), 3, 0.95)
    low = Limit(LimitKind.CLASS_MIN, 0.5, "0.5")
    result = verdict(data, predictions, predictions, low, metric="map50")
    assert result.status == "FAIL"
    assert result.reason.startswith("map50 of 3 is 0.0")
    none = Limit(LimitKind.CLASS_MIN, 0.0, "0")
    assert verdict(data, predictions, predictions, none).status == "PASS"


def test_the_chance_of_a_wrong_fail_is_divided_among_the_classes() -> None:
    """That of a wrong pass is not: all classes must keep the limit."""
    data, boxes = scenes(5)
    one = evaluate(data, detect(boxes, 6))
    other = evaluate(data, detect(boxes, 7))
    evidence = Evidence(record=measured("candidate", one), reference=measured("reference", other))
    compared, shared = class_bounds.of_classes(CLASS_DROP, METRICS["map"], evidence, RISK)
    assert [metric.name for metric, _ in compared] == [f"map of {name}" for name in classes_of(one)]
    assert len(compared) == CATEGORIES
    assert shared == replace(RISK, fail=RISK.fail / CATEGORIES)
    for name, (_, bounds) in zip(classes_of(one), compared, strict=True):
        pair = of_class(one, name), of_class(other, name)
        fail = accuracy_difference(*pair, "map", 2 * RISK.fail / CATEGORIES)
        keep = accuracy_difference(*pair, "map", 2 * RISK.keep)
        assert fail is not None
        assert keep is not None
        assert (bounds.fail_low, bounds.fail_high) == (fail.low, fail.high)
        assert (bounds.keep_low, bounds.keep_high) == (keep.low, keep.high)


def test_the_score_of_a_class_is_the_evaluators() -> None:
    """Average precision of one category, as the report lists it."""
    data, boxes = scenes(8)
    accuracy = evaluate(data, detect(boxes, 9))
    for name, value in accuracy.per_category.items():
        assert of_class(accuracy, name).values["map"] == pytest.approx(value, abs=1e-9)


def test_without_scores_by_class_there_is_an_error() -> None:
    """A reference of other images, or a record without matches."""
    data, boxes = scenes(10, images=12)
    others, other_boxes = scenes(11, images=12)
    here, there = evaluate(data, detect(boxes, 1)), evaluate(others, detect(other_boxes, 1))
    unmatched = here.model_copy(update={"matches": None})
    for record, reference, reason in (
        (here, there, "was evaluated on other images or annotations than the reference"),
        (unmatched, here, "not measured by class on both sides"),
    ):
        evidence = Evidence(
            record=measured("candidate", record), reference=measured("reference", reference)
        )
        budget = Budget("map", (CLASS_DROP,))
        result = judge(budget, METRICS["map"], evidence, RISK, NOW)
        assert result.status == "ERROR"
        assert reason in result.reason


def budget(table: dict[str, Any], metric: str = "map", *, is_reference: bool = False) -> Budget:
    """A budget as a suite file has it."""
    place = Place("recipes.toml")
    written = place.validate(BudgetTable, table, "budgets.map")
    return read_budget(place, metric, written, "budgets.map", METRICS, is_reference)


def test_limits_on_each_class_are_read() -> None:
    """Both kinds, beside others; with the rules of their like."""
    result = budget({"drop": 0.01, "per_class": {"drop": 0.05, "min": 0.3}})
    assert [(limit.kind.value, limit.value) for limit in result.limits] == [
        ("drop", 0.01),
        ("per_class.min", 0.3),
        ("per_class.drop", 0.05),
    ]
    for table, metric, is_reference, problem in (
        ({"per_class": {}}, "map", False, "has no limit"),
        ({"per_class": {"drop": 0.1}}, "agreement", False, "per_class.drop does not fit"),
        ({"per_class": {"drop": 0.1}}, "map", True, "this recipe is the reference"),
        ({"per_class": {"drops": 0.1}}, "map", False, "'drops' is not a key"),
        ({"per_class": {"min": 7}}, "map", False, r"map is in \[0, 1\]"),
    ):
        with pytest.raises(RecipeError, match=problem):
            budget(table, metric, is_reference=is_reference)


POINT = {"operating_point": {"score": 0.5, "iou": 0.5}}


def scene() -> tuple[DetectionData, list[Prediction]]:
    """Two pictures: a hit, a second box on its object, a miss, a box of another category, one with
    a low score, one on a crowd.
    """
    boxes = [(1, 1, [0, 0, 10, 10], 0), (1, 2, [20, 0, 10, 10], 0), (2, 1, [0, 0, 40, 40], 1)]
    coco = {
        "images": [{"id": 1}, {"id": 2}],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "annotations": [
            {"id": row, "image_id": image, "category_id": category, "bbox": box, "iscrowd": crowd}
            for row, (image, category, box, crowd) in enumerate(boxes, 1)
        ],
    }
    data = DetectionData([np.full((64, 64, 3), index, np.uint8) for index in range(2)], coco)
    first = Prediction(
        np.array([[0, 0, 10, 10], [1, 0, 10, 10], [20, 0, 30, 10], [20, 0, 30, 10]], np.float32),
        np.array([0.9, 0.8, 0.7, 0.4], np.float32),
        np.array([0, 0, 0, 1], np.int64),
    )
    second = Prediction(
        np.array([[5, 5, 15, 15]], np.float32), np.array([0.6], np.float32), np.array([0])
    )
    return data, [first, second]


def test_scores_at_an_operating_point_by_hand() -> None:
    """One hit of three detections and of two objects; what lies on a crowd does not count."""
    data, predictions = scene()
    task, output = Detection(), Output.model_validate(POINT)
    accuracy = evaluate(data, predictions).with_ratios(task.score_at(data, predictions, output))
    values = {name: accuracy.values[name] for name in ("precision", "recall", "f1")}
    assert values == pytest.approx({"precision": 1 / 3, "recall": 1 / 2, "f1": 2 / 5})
    assert accuracy.unmeasured == {}
    lower = Output.model_validate({"operating_point": {"score": 0.3, "iou": 0.5}})
    sums = task.score_at(data, predictions, lower)
    assert [float(part.sum()) for part in sums["precision"]] == [2, 4]
    nothing = [Prediction(one.boxes[:0], one.scores[:0], one.categories[:0]) for one in predictions]
    none = evaluate(data, nothing).with_ratios(task.score_at(data, nothing, output))
    assert (none.values["precision"], none.values["recall"]) == (0.0, 0.0)


def test_a_budget_at_the_operating_point_breaks_while_map_holds() -> None:
    """Scores that shrink in the same order keep map, and leave nothing above the threshold."""
    data, boxes = scenes(12, images=60)
    before = detect(boxes, 13)
    after = [Prediction(one.boxes, one.scores * np.float32(0.5), one.categories) for one in before]
    task, output = Detection(), Output.model_validate(POINT)
    records = [
        measured(name, evaluate(data, side).with_ratios(task.score_at(data, side, output)))
        for name, side in (("candidate", after), ("reference", before))
    ]
    evidence = Evidence(record=records[0], reference=records[1])
    statuses = {
        metric: judge(
            Budget(metric, (replace(DROP, value=0.1),)), METRICS[metric], evidence, RISK, NOW
        ).status
        for metric in ("map", "recall")
    }
    assert statuses == {"map": "PASS", "recall": "FAIL"}
    accuracy = records[1].accuracy
    assert accuracy is not None
    interval = accuracy_interval(accuracy, "recall", 0.05)
    assert interval.low < interval.estimate < interval.high


def test_without_an_operating_point_the_budget_is_an_error_that_says_so() -> None:
    """It never passes, and the line to write is the next step."""
    data, boxes = scenes(14, images=12)
    accuracy = evaluate(data, detect(boxes, 15))
    record = measured("candidate", accuracy).model_copy(update={"unmeasured": accuracy.unmeasured})
    limit = Limit(LimitKind.MIN, 0.1, "0.1")
    result = judge(Budget("recall", (limit,)), METRICS["recall"], Evidence(record), RISK, NOW)
    assert result.status == "ERROR"
    assert result.reason == "recall was not measured: no operating point is declared"
    assert result.next_step.startswith("set operating_point = { score = 0.25, iou = 0.5 }")
    with pytest.raises(ValueError, match=r"below score_threshold = 0\.3"):
        Output.model_validate({"score_threshold": 0.3, "operating_point": {"score": 0.25}})
