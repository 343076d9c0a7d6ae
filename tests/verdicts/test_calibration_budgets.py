"""Budgets on calibration: how often scores are right that say how often they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.metric import Metric
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.records.verdict import Verdict
from pytest_perfgate.tasks.classification import METRICS, Classification, Output
from pytest_perfgate.tasks.classification.data import Called, ClassificationData
from pytest_perfgate.tasks.detection import METRICS as OF_DETECTION
from pytest_perfgate.tasks.detection import Detection
from pytest_perfgate.tasks.detection import Output as DetectionOutput
from pytest_perfgate.tasks.detection.data import Prediction
from pytest_perfgate.verdicts.accuracy_intervals import accuracy_difference, accuracy_interval
from pytest_perfgate.verdicts.evidence import Evidence
from pytest_perfgate.verdicts.judge import judge

from tests.verdicts.judging import NOW, RISK
from tests.verdicts.test_class_budgets import measured
from tests.verdicts.test_precision import detect, scenes

pytest.importorskip("sklearn", reason="pip install 'pytest-perfgate[classification]'")

CLASSES = 4
POINT = Output.model_validate({"operating_point": {"score": 0.6}})


def answers(images: int, seed: int = 0) -> tuple[ClassificationData, np.ndarray[Any, Any]]:
    """Labels drawn by the scores themselves, which are therefore right as often as they say."""
    random = np.random.default_rng(seed)
    scores = random.dirichlet(np.full(CLASSES, 0.4), images).astype(np.float32)
    below = scores.cumsum(axis=1) < random.random((images, 1))
    labels = np.minimum(below.sum(axis=1), CLASSES - 1).tolist()
    pictures = [np.full((2, 2, 3), index % 251, np.uint8) for index in range(images)]
    return ClassificationData(pictures, labels, list("abcd")), scores


def sharper(scores: np.ndarray[Any, Any], power: float = 3.0) -> np.ndarray[Any, Any]:
    """The same top classes, with more confidence than they deserve."""
    raised = scores.astype(float) ** power
    return (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)


def evaluated(data: ClassificationData, scores: np.ndarray[Any, Any]) -> Accuracy:
    """Scores of a classifier, at the operating point too."""
    task, predictions = Classification(), [Called(row) for row in scores]
    accuracy = task.evaluate(data, predictions)
    return accuracy.with_ratios(task.score_at(data, predictions, POINT))


def verdict(
    metric: Metric, limit: Limit, candidate: Accuracy, reference: Accuracy | None = None
) -> Verdict:
    """The verdict on a candidate, beside a reference."""
    evidence = Evidence(
        record=measured("candidate", candidate),
        reference=None if reference is None else measured("reference", reference),
    )
    return judge(Budget(metric.name, (limit,)), metric, evidence, RISK, NOW)


def drop(value: float) -> Limit:
    """A limit on the loss against the reference."""
    return Limit(LimitKind.DROP, value, str(value))


def largest(value: float, kind: LimitKind = LimitKind.MAX) -> Limit:
    """An upper limit."""
    return Limit(kind, value, str(value))


def test_the_error_is_that_of_torchmetrics() -> None:
    """Of classification and of detection, in 15 bins of equal width. Scores on the edge of two bins
    are left out: it belongs to one or the other by the last bit of a product.
    """
    torch = pytest.importorskip("torch", reason="pip install 'pytest-perfgate[torch]'")
    calibration = pytest.importorskip("torchmetrics.functional.classification")
    data, scores = answers(500)
    expected = calibration.multiclass_calibration_error(
        torch.from_numpy(scores), torch.tensor(data.labels), CLASSES, n_bins=15
    )
    accuracy = evaluated(data, scores)
    assert accuracy.values["ece"] == pytest.approx(float(expected), abs=1e-5)

    pytest.importorskip("faster_coco_eval", reason="pip install 'pytest-perfgate[detection]'")
    scenery, boxes = scenes(3, images=100)
    off = np.float32(0.003)
    detected = Detection().evaluate(
        scenery,
        [Prediction(one.boxes, one.scores + off, one.categories) for one in detect(boxes, 4)],
    )
    assert detected.matches is not None
    hits = torch.from_numpy((detected.matches.hits.array() & 1).astype(np.int64))
    confidence = torch.from_numpy(detected.matches.score.array().copy())
    expected = calibration.binary_calibration_error(confidence, hits, n_bins=15)
    assert detected.values["ece"] == pytest.approx(float(expected), abs=1e-5)


def test_sharper_scores_break_their_budgets_while_accuracy_holds() -> None:
    """Each metric of calibration, by its limits; the same top classes keep accuracy exactly."""
    data, scores = answers(1500)
    before, after = evaluated(data, scores), evaluated(data, sharper(scores))
    blunt = evaluated(data, sharper(scores, 0.5))
    for metric, limit, candidate in (
        ("ece", largest(0.05), after),
        ("ece", drop(0.05), after),
        ("ece", largest(0.02, LimitKind.CLASS_MAX), after),
        ("confidence_gap", largest(0.05), after),
        ("confidence_gap", drop(0.03), after),
        ("confidence", drop(0.03), blunt),
        ("coverage", drop(0.1), blunt),
    ):
        result = verdict(METRICS[metric], limit, candidate, before)
        assert result.status == "FAIL", (metric, limit, result.reason)
        kept = verdict(METRICS[metric], replace(limit, value=0.9), candidate, before)
        assert kept.status == "PASS", (metric, limit, kept.reason)
    assert verdict(METRICS["accuracy"], drop(0.001), after, before).status == "PASS"
    whole = verdict(METRICS["ece"], largest(0.02, LimitKind.CLASS_MAX), after)
    assert " of a" in whole.reason or " of b" in whole.reason or " of c" in whole.reason


def test_a_perfect_model_is_not_red_by_chance() -> None:
    """Bins of few images lie off by chance, so that an error of 0.02 cannot be seen on 100 images,
    whatever its value is there; on many images it is proven to be kept.
    """
    for seed in range(20):
        accuracy = evaluated(*answers(100, seed))
        assert accuracy.values["ece"] > 0.03
        assert verdict(METRICS["ece"], largest(0.02), accuracy).status == "INCONCLUSIVE"
    assert verdict(METRICS["ece"], largest(0.06), evaluated(*answers(4000))).status == "PASS"


def test_intervals_hold_the_error_that_all_images_would_have() -> None:
    """Of 50 draws of 400 images nine of ten, for a classifier that is too sure of itself."""
    everything, scores = answers(20_000)
    truth = evaluated(everything, sharper(scores))
    intervals = []
    for seed in range(50):
        data, scores = answers(400, seed + 1)
        intervals.append(accuracy_interval(evaluated(data, sharper(scores)), "ece", 0.1))
    held = sum(one.low <= truth.values["ece"] <= one.high for one in intervals)
    assert held >= 41


def test_a_difference_is_paired() -> None:
    """Two recipes with nearly equal scores differ by little, and that is known."""
    data, scores = answers(600)
    one, other = evaluated(data, sharper(scores, 2.1)), evaluated(data, sharper(scores, 2.0))
    difference = accuracy_difference(one, other, "ece", 0.1)
    alone = accuracy_interval(one, "ece", 0.1)
    assert difference is not None
    assert difference.high - difference.low < 0.5 * (alone.high - alone.low)
    same = accuracy_difference(one, one, "ece", 0.1)
    assert same is not None
    assert same.identical


def test_what_has_no_calibration_is_not_measured() -> None:
    """Logits are no shares, a detector without detections says nothing, and neither passes."""
    data, scores = answers(50)
    logits = Classification().evaluate(data, [Called(row) for row in scores * 9])
    assert logits.unmeasured["ece"] == (
        "scores are not all from 0 to 1; set activation in [suite.output]"
    )
    scenery, _ = scenes(3, images=12)
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
    empty = Detection().evaluate(scenery, [Prediction(*nothing)] * 12)
    assert empty.unmeasured["ece"] == "there are no detections"
    record = measured("candidate", empty).model_copy(update={"unmeasured": empty.unmeasured})
    result = judge(Budget("ece", (largest(0.5),)), OF_DETECTION["ece"], Evidence(record), RISK, NOW)
    assert result.status == "ERROR"
    point = DetectionOutput.model_validate({"operating_point": {"score": 0.5}})
    assert "confidence" not in Detection().score_at(scenery, [Prediction(*nothing)] * 12, point)


def test_a_class_that_is_never_predicted_is_not_calibrated() -> None:
    """Nothing says how often its score is right: no limit on it passes."""
    data, scores = answers(300)
    scores[:, 3] = 0.0
    accuracy = evaluated(data, scores / scores.sum(axis=1, keepdims=True))
    result = verdict(METRICS["ece"], largest(0.9, LimitKind.CLASS_MAX), accuracy)
    assert result.status == "INCONCLUSIVE"
    assert "ece of d" in result.reason


def test_detections_that_shrink_break_the_error_while_map_holds() -> None:
    """Halved scores rank as before; a limit on each class names the worst."""
    data, boxes = scenes(12, images=150)
    before = detect(boxes, 13)
    after = [Prediction(one.boxes, one.scores * np.float32(0.3), one.categories) for one in before]
    task = Detection()
    point = DetectionOutput.model_validate({"operating_point": {"score": 0.1}})
    one, other = (
        task.evaluate(data, side).with_ratios(task.score_at(data, side, point))
        for side in (after, before)
    )
    assert verdict(OF_DETECTION["map"], drop(0.001), one, other).status == "PASS"
    for metric, limit in (
        ("ece", drop(0.05)),
        ("ece", Limit(LimitKind.CLASS_DROP, 0.02, "0.02")),
        ("confidence", drop(0.05)),
        ("confidence_gap", drop(0.05)),
    ):
        result = verdict(OF_DETECTION[metric], limit, one, other)
        assert result.status == "FAIL", (metric, result.reason)


def test_a_class_that_neither_side_predicts_is_not_kept() -> None:
    """Nothing is known of its error on both sides, and equal nothings prove no equality."""
    data, scores = answers(300, 3)
    scores = scores.copy()
    scores[:, 3] = 0.0
    silent = evaluated(data, scores / scores.sum(axis=1, keepdims=True))
    kept = verdict(METRICS["ece"], drop(0.02), silent, silent)
    assert kept.status == "PASS"
    by_class = Limit(LimitKind.CLASS_DROP, 0.02, "0.02")
    result = verdict(METRICS["ece"], by_class, silent, silent)
    assert result.status == "INCONCLUSIVE"
    assert result.reason.startswith("ece of d is ")
