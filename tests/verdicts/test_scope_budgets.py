"""Budgets on sets, on all or the worst of them, and on slices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pytest_perfgate.baselines.baseline import Baseline, StoredMetric
from pytest_perfgate.metric import Metric, Over, Scope
from pytest_perfgate.records.accuracy import Accuracy, Matches, Packed, Ratio, Slicing
from pytest_perfgate.records.launch_values import level
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.records.verdict import Verdict
from pytest_perfgate.tasks.classification import METRICS as CLASSIFYING
from pytest_perfgate.tasks.classification.scores import score_classes
from pytest_perfgate.tasks.detection import METRICS
from pytest_perfgate.tasks.detection.coco_scores import evaluate
from pytest_perfgate.tasks.detection.data import DetectionData
from pytest_perfgate.units import Unit
from pytest_perfgate.verdicts.accuracy_intervals import of_images
from pytest_perfgate.verdicts.evidence import Base, Evidence
from pytest_perfgate.verdicts.judge import judge
from pytest_perfgate.verdicts.shown_values import summarise

from tests.verdicts.judging import NOW, RISK, recipe, stored
from tests.verdicts.test_precision import detect, scenes

ACCURACY = CLASSIFYING["accuracy"]
NIGHT = ACCURACY.at(Scope("night"))
ALL = ACCURACY.at(Scope("all", Over.ALL))
WORST = ACCURACY.at(Scope("worst", Over.WORST))
CAMERA = ACCURACY.at(Scope("camera", Over.SLICES))


def called(right: int, images: int, seed: int = 0, digest: str = "") -> Accuracy:
    """An evaluation of `images`, of which `right` are called by their class."""
    labels = np.arange(images) % 3
    wrong = np.random.default_rng(seed).permutation(images)[: images - right]
    top = labels.copy()
    top[wrong] = (top[wrong] + 1) % 3
    scores = np.eye(3)[top] * 0.8 + 0.1
    return score_classes(scores, labels.tolist(), ["a", "b", "c"], digest or f"{images}", ())


def sets(plain: int, night: int, day: int) -> Accuracy:
    """Right ones of 400 validation images, of 300 at night and of 200 by day."""
    return (
        called(plain, 400).with_set("night", called(night, 300)).with_set("day", called(day, 200))
    )


def verdict(
    metric: Metric,
    kind: LimitKind,
    value: float,
    ours: Accuracy,
    theirs: Accuracy | None = None,
    baseline: Baseline | None = None,
    base: Accuracy | None = None,
) -> Verdict:
    """The verdict on a candidate beside a reference."""
    evidence = Evidence(
        record=recipe("candidate", 0.01).model_copy(update={"accuracy": ours}),
        reference=recipe("reference", 0.01).model_copy(update={"accuracy": theirs}),
        baseline=baseline,
        base=base and Base("main", recipe("candidate", 0.01).model_copy(update={"accuracy": base})),
        metrics={one.name: one for one in (ACCURACY, NIGHT, ALL, WORST, CAMERA)},
    )
    budget = Budget(metric.name, (Limit(kind, value, str(value)),))
    return judge(budget, metric, evidence, RISK, NOW)


GOOD = sets(380, 280, 190)
DARK = sets(380, 200, 190)


def test_a_loss_on_one_set_breaks_its_budget_alone() -> None:
    """The validation images keep the limit, and so does the other set."""
    assert verdict(ACCURACY, LimitKind.DROP, 0.01, DARK, GOOD).status == "PASS"
    lost = verdict(NIGHT, LimitKind.DROP, 0.01, DARK, GOOD)
    assert lost.status == "FAIL"
    assert lost.reason == (
        "accuracy@night is -0.2667 to its reference reference: drop 0.01 is broken"
    )
    assert lost.value == pytest.approx(200 / 300)
    assert lost.limits[0].sample == 300
    assert verdict(NIGHT, LimitKind.MIN, 0.9, DARK).status == "FAIL"
    day = ACCURACY.at(Scope("day"))
    assert verdict(day, LimitKind.DROP, 0.01, DARK, GOOD).status == "PASS"


def test_a_limit_on_all_sets_holds_for_each() -> None:
    """One set that breaks it breaks it, and is named; the chance of a wrong FAIL is shared."""
    lost = verdict(ALL, LimitKind.DROP, 0.01, DARK, GOOD)
    assert lost.status == "FAIL"
    assert lost.reason.startswith("accuracy@night is -0.2667")
    both = verdict(ALL, LimitKind.DROP, 0.01, sets(200, 200, 190), GOOD)
    assert both.limits[0].notes == (
        "also: accuracy@night is -0.2667 to its reference reference: drop 0.01 is broken",
    )
    kept = verdict(ALL, LimitKind.DROP, 0.01, GOOD, GOOD)
    assert kept.status == "PASS"
    assert kept.reason.endswith(", the worst of 3 sets")
    assert verdict(ALL, LimitKind.MIN, 0.8, DARK).status == "FAIL"
    assert verdict(ALL, LimitKind.MIN, 0.8, GOOD).status == "PASS"


def test_the_worst_set_is_compared_with_the_worst_set() -> None:
    """A loss where scores stay above those of the worst set is none of this budget's; one on the
    worst set is.
    """
    dark = sets(380, 150, 190)
    easy = sets(300, 150, 190)
    assert verdict(WORST, LimitKind.DROP, 0.05, easy, dark).status == "PASS"
    assert verdict(ALL, LimitKind.DROP, 0.05, easy, dark).status == "FAIL"
    darker = verdict(WORST, LimitKind.DROP, 0.05, sets(380, 60, 190), dark)
    assert darker.status == "FAIL"
    assert darker.value == pytest.approx(60 / 300)
    assert darker.reason == (
        "accuracy@worst is -0.3000 to its reference reference: drop 0.05 is broken; the worst is "
        "accuracy@night"
    )
    assert verdict(WORST, LimitKind.MIN, 0.4, dark).status == "PASS"
    assert verdict(WORST, LimitKind.MIN, 0.7, dark).status == "FAIL"
    other = verdict(WORST, LimitKind.DROP, 0.05, sets(100, 150, 190), dark)
    assert other.status == "FAIL"
    assert other.reason.endswith("the worst is accuracy")


def test_the_worst_set_has_no_narrower_bounds_than_it_itself() -> None:
    """With one candidate on both sides the bounds are its own at the shared level; with several
    they hold those of each.
    """
    dark, darker = sets(380, 150, 190), sets(380, 140, 190)
    at = verdict(WORST, LimitKind.DROP, 0.05, darker, dark).limits[0]
    own = verdict(NIGHT, LimitKind.DROP, 0.05, darker, dark).limits[0]
    assert None not in {at.low, at.high, own.low, own.high}
    assert at.estimate == pytest.approx(own.estimate)
    assert at.low < own.low < own.high < at.high  # type: ignore[operator] # not None, see above
    close = verdict(WORST, LimitKind.DROP, 0.05, sets(200, 150, 100), sets(202, 151, 101)).limits[0]
    assert close.low is not None
    assert close.low < 0 < (close.high or 0)


def test_a_set_that_was_not_measured_never_passes() -> None:
    """Of the recipe, of the reference, and as one of all."""
    alone = called(380, 400)
    assert verdict(NIGHT, LimitKind.MIN, 0.1, alone).status == "ERROR"
    assert verdict(NIGHT, LimitKind.DROP, 0.5, GOOD, alone).status == "ERROR"
    assert verdict(ALL, LimitKind.DROP, 0.5, GOOD, alone).status == "ERROR"
    assert verdict(WORST, LimitKind.DROP, 0.5, GOOD, alone).status == "ERROR"
    blind = GOOD.with_set("night", called(280, 300).model_copy(update={"values": {}, "ratios": {}}))
    assert verdict(WORST, LimitKind.MIN, 0.1, blind).status == "ERROR"
    assert verdict(ALL, LimitKind.MIN, 0.1, blind).status == "ERROR"
    assert verdict(CAMERA, LimitKind.MIN, 0.1, GOOD).status == "ERROR"


def with_baseline(accuracy: Accuracy) -> Baseline:
    """A baseline that holds these scores."""
    values = {
        one.name: StoredMetric(unit=Unit.SCORE, value=value)
        for one in (ACCURACY, NIGHT, ACCURACY.at(Scope("day")), WORST)
        if (value := level(recipe("x", 0.01).model_copy(update={"accuracy": accuracy}), one))
        is not None
    }
    return stored(0.01).model_copy(update={"metrics": values, "accuracy": accuracy})


@pytest.mark.parametrize("metric", [NIGHT, ALL, WORST], ids=lambda metric: metric.name)
def test_a_regression_on_a_set_is_against_the_stored_scores_of_that_set(metric: Metric) -> None:
    """Red and green against the baseline and against another version; other images have none."""
    before = with_baseline(GOOD)
    assert verdict(metric, LimitKind.REGRESSION, 0.01, DARK, baseline=before).status == "FAIL"
    assert verdict(metric, LimitKind.REGRESSION, 0.01, GOOD, baseline=before).status == "PASS"
    assert verdict(metric, LimitKind.REGRESSION, 0.01, DARK, base=GOOD).status == "FAIL"
    other = called(280, 300, digest="other")
    moved = GOOD.with_set("night", other)
    result = verdict(metric, LimitKind.REGRESSION, 0.01, moved, baseline=before)
    assert result.status == "NO BASELINE"
    assert "other data of the set 'night'" in result.reason
    lacking = with_baseline(called(380, 400))
    result = verdict(metric, LimitKind.REGRESSION, 0.01, GOOD, baseline=lacking)
    assert result.status == "NO BASELINE"


def slices(accuracy: Accuracy, *counts: int, least: int = 30) -> Accuracy:
    """The same with slices of the first images, of the next ones, and so on."""
    members = np.zeros((len(counts), accuracy.images), dtype=np.bool_)
    start = 0
    for row, count in enumerate(counts):
        members[row, start : start + count] = True
        start += count
    names = tuple(f"camera={row}" for row in range(len(counts)))
    camera = Slicing(by="camera", names=names, members=Packed.of(members), least=least)
    return accuracy.model_copy(update={"slices": {"camera": camera}})


def broken_in(first: int, last: int, images: int = 400) -> Accuracy:
    """All images are right but for those of a range."""
    labels = np.arange(images) % 3
    top = labels.copy()
    top[first:last] = (top[first:last] + 1) % 3
    scores = np.eye(3)[top] * 0.8 + 0.1
    return score_classes(scores, labels.tolist(), ["a", "b", "c"], "images", ())


def test_a_slice_that_is_lost_is_red_while_all_images_are_green() -> None:
    """The worst slice is named with its count; the other ones are kept."""
    ours = slices(broken_in(300, 330), 300, 60, 40)
    theirs = broken_in(0, 0)
    assert verdict(ACCURACY, LimitKind.DROP, 0.15, ours, theirs).status == "PASS"
    lost = verdict(CAMERA, LimitKind.DROP, 0.15, ours, theirs)
    assert lost.status == "FAIL"
    assert lost.reason == (
        "accuracy@camera=1 is -0.5000 to its reference reference: drop 0.15 is broken"
    )
    assert lost.limits[0].sample == 60
    assert verdict(CAMERA, LimitKind.MIN, 0.8, ours).status == "FAIL"
    kept = verdict(CAMERA, LimitKind.DROP, 0.15, slices(theirs, 300, 60, 40), theirs)
    assert kept.status == "PASS"
    assert kept.reason.endswith("the worst of 3 slices")
    before = with_baseline(theirs)
    assert verdict(CAMERA, LimitKind.REGRESSION, 0.15, ours, baseline=before).status == "FAIL"
    assert verdict(CAMERA, LimitKind.REGRESSION, 0.15, ours, base=theirs).status == "FAIL"


def test_slices_that_are_too_small_say_so() -> None:
    """They are named with their counts, and where no slice is large enough nothing passes."""
    ours = slices(broken_in(300, 320), 300, 20, 80)
    kept = verdict(CAMERA, LimitKind.DROP, 0.15, ours, broken_in(0, 0))
    assert kept.status == "PASS"
    assert kept.reason.endswith("of 2 slices; too small to judge: camera=1 (20 images)")
    none = verdict(CAMERA, LimitKind.DROP, 0.15, slices(ours, 300, 20, least=1000), ours)
    assert none.status == "ERROR"
    assert "no slice of accuracy@camera is large enough to judge: camera=0 (300 images)" in (
        none.reason
    )


PRECISE = METRICS["precision"].at(Scope("camera", Over.SLICES))


def detections(finding: int, truth: int = 100, images: int = 100) -> Accuracy:
    """Precision over images with one object in each of the first `truth`; the recipe finds
    something in the first `finding` images, nine in ten times rightly.
    """
    there = (np.arange(images) < finding).astype(float)
    right = there * (np.arange(images) % 10 > 0)
    empty = np.zeros(0)
    matches = Matches(
        thresholds=(0.5,),
        categories=("a",),
        image=Packed.of(empty.astype(np.int32)),
        category=Packed.of(empty.astype(np.int16)),
        score=Packed.of(empty.astype(np.float32)),
        hits=Packed.of(empty.astype(np.uint16)),
        ignored=Packed.of(empty.astype(np.uint16)),
        truth=Packed.of((np.arange(images) < truth).astype(np.int32)[:, None]),
    )
    bare = Accuracy(
        values={}, images=images, data_digest=f"{truth}", predictions_digest=f"{finding}"
    )
    sums = {"precision": (right, there)}
    return bare.model_copy(update={"matches": matches}).with_ratios(sums)


def test_a_slice_on_which_nothing_is_found_is_no_small_slice() -> None:
    """A recipe without a precision there has lost it: beside a reference, a base or a baseline that
    has one, and under an absolute limit where there are objects.
    """
    blind, before = slices(detections(60), 60, 40), detections(100)
    assert verdict(PRECISE, LimitKind.MIN, 0.5, slices(before, 60, 40)).status == "PASS"
    lost = verdict(PRECISE, LimitKind.MIN, 0.5, blind)
    assert lost.status == "ERROR"
    assert lost.reason == (
        "precision@camera=1 was not measured: the recipe has no value on 40 images"
    )
    assert lost.next_step == "compare the slices of 'candidate' with its reference's in the report"
    values = {"precision": StoredMetric(unit=Unit.SCORE, value=before.values["precision"])}
    kept = stored(0.01).model_copy(update={"metrics": values, "accuracy": before})
    for result in (
        verdict(PRECISE, LimitKind.DROP, 0.5, blind, before),
        verdict(PRECISE, LimitKind.REGRESSION, 0.5, blind, base=before),
        verdict(PRECISE, LimitKind.REGRESSION, 0.5, blind, baseline=kept),
    ):
        assert result.status == "ERROR"
        assert result.reason.endswith(
            "precision@camera=1 was not measured: the recipe has no value on 40 images, and what "
            "it is compared with has 0.9000"
        )


def test_a_slice_without_objects_says_nothing() -> None:
    """Nor does one on which neither side has a value."""
    empty = slices(detections(60, truth=60), 60, 40)
    silent = verdict(PRECISE, LimitKind.MIN, 0.5, empty)
    assert silent.status == "PASS"
    assert silent.reason.endswith("too small to judge: camera=1 (40 images without a value)")
    both = verdict(PRECISE, LimitKind.DROP, 0.5, empty, detections(60, truth=60))
    assert both.status == "PASS"


def test_the_slices_of_a_set_are_those_of_its_images() -> None:
    """The slicing lies on the set, and the validation images have none."""
    camera = ACCURACY.at(Scope("camera", Over.SLICES, "night"))
    plain = called(380, 400)
    ours = plain.with_set("night", slices(broken_in(300, 360), 300, 100))
    theirs = plain.with_set("night", broken_in(0, 0))
    assert verdict(camera, LimitKind.DROP, 0.3, ours, theirs).status == "FAIL"
    assert verdict(CAMERA, LimitKind.DROP, 0.3, ours, theirs).status == "ERROR"


@pytest.mark.parametrize("images", [20, 40])
def test_slices_have_no_scores_of_corrupted_images(images: int) -> None:
    """They may be of fewer images, and stand for groups of them where there are many."""
    rows = Packed.of(np.ones(images))
    under = Ratio(numerator=rows, denominator=rows)
    ours = called(30, 40)
    ours = ours.model_copy(
        update={"ratios": {**ours.ratios, "robustness": under, "accuracy@fog": under}}
    )
    cut = of_images(ours, np.arange(40) < 25)
    assert cut.ratios.keys() == ours.ratios.keys() - {"robustness", "accuracy@fog"}
    assert not {"robustness", "accuracy@fog"} & cut.values.keys()


def test_the_score_of_a_slice_is_that_of_its_images_evaluated_alone() -> None:
    """Average precision from the matches of some images, whatever the order of the file's ids."""
    pytest.importorskip("faster_coco_eval", reason="pip install 'pytest-perfgate[detection]'")
    whole, boxes = scenes(3, images=40)
    draw = np.random.default_rng(5)
    ids = draw.permutation(40) + 1
    coco = {
        **whole.coco,
        "images": [{**entry, "id": int(ids[entry["id"] - 1])} for entry in whole.coco["images"]],
        "annotations": [
            {**entry, "image_id": int(ids[entry["image_id"] - 1])}
            for entry in whole.coco["annotations"]
        ],
    }
    data = DetectionData(whole.images, coco)
    predictions = detect(boxes, 4)
    members = draw.random(40) < 0.4
    rows = np.flatnonzero(members).tolist()
    alone = evaluate(data.part(rows), [predictions[row] for row in rows])
    cut = of_images(evaluate(data, predictions), members)
    assert cut.images == len(rows)
    for name in ("map", "map50", "map75"):
        assert cut.values[name] == pytest.approx(alone.values[name], abs=1e-9)
    assert METRICS["map"].sliceable
    assert not CLASSIFYING["f1"].sliceable


def test_summaries_hold_each_set_apart() -> None:
    """Value and interval of every set and of the worst one; none for what has several values."""
    record = recipe("candidate", 0.01).model_copy(update={"accuracy": slices(DARK, 200, 200)})
    metrics = {one.name: one for one in (ACCURACY, NIGHT, ALL, WORST, CAMERA)}
    rows = {row.metric: row for row in summarise(Evidence(record=record, metrics=metrics))}
    assert rows.keys() == {"accuracy", "accuracy@night", "accuracy@worst"}
    assert rows["accuracy@night"].value == rows["accuracy@worst"].value == pytest.approx(2 / 3)
    assert rows["accuracy@worst"].low is not None
    assert replace(NIGHT, scope=None).of_set == ""
