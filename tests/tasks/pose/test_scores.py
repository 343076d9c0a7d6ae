"""Scores by keypoints: equal to pycocotools', and to be computed again from the stored matches."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import DataError
from pytest_perfgate.stats.average_precision import mean_average_precision
from pytest_perfgate.tasks.coco.keypoints import PERSON
from pytest_perfgate.tasks.pose import METRICS, Pose
from pytest_perfgate.tasks.pose.data import PoseData, Poses, as_poses
from pytest_perfgate.tasks.pose.losses import truth
from pytest_perfgate.verdicts.accuracy_intervals import (
    accuracy_difference,
    accuracy_interval,
)

from tests.tasks.pose.scenes import scene

pytest.importorskip("faster_coco_eval", reason="pip install 'pytest-perfgate[detection]'")
NAMES = ("oks_map", "oks_map50", "oks_map75", "oks_map_medium", "oks_map_large")


def official(data: PoseData, predictions: list[Poses]) -> dict[str, float]:
    """The metrics by pycocotools, from the data's own tables."""
    api = pytest.importorskip("pycocotools.coco", reason="pip install 'pytest-perfgate[test]'")
    from pycocotools.cocoeval import COCOeval

    rows = [
        {
            "image_id": entry["id"],
            "category_id": int(kind) + 1,
            "keypoints": [float(number) for point in points for number in (*point[:2], 1)],
            "score": float(score),
        }
        for entry, one in zip(data.coco["images"], predictions, strict=True)
        for points, score, kind in zip(one.points, one.scores, one.categories, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = api.COCO()
        truth.dataset = data.coco
        truth.createIndex()
        evaluator = COCOeval(truth, truth.loadRes(rows), "keypoints")
        evaluator.params.kpt_oks_sigmas = np.array(data.sigmas)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return dict(zip(NAMES, map(float, evaluator.stats), strict=False))


@pytest.mark.parametrize("seed", range(12))
def test_scores_are_those_of_pycocotools(seed: int) -> None:
    """Crowds, objects without keypoints, sizes, several categories, equal scores: to 1e-6."""
    data, predictions = scene(seed, categories=1 + seed % 3, levels=5 * (seed % 2))
    accuracy = Pose().evaluate(data, predictions)
    reference = official(data, predictions)
    for name in NAMES:
        if reference[name] < 0:
            assert name not in accuracy.values
        else:
            assert accuracy.values[name] == pytest.approx(reference[name], abs=1e-6), name


@pytest.mark.parametrize("seed", range(6))
def test_matches_give_the_scores_again(seed: int) -> None:
    """So that an interval is about the very score that is judged."""
    data, predictions = scene(seed, categories=1 + seed % 2, levels=4 * (seed % 2))
    accuracy = Pose().evaluate(data, predictions)
    assert accuracy.matches is not None
    table = accuracy.matches.table()
    for name, bits in (("oks_map", "map"), ("oks_map50", "map50"), ("oks_map75", "map75")):
        assert mean_average_precision(table, bits) == pytest.approx(accuracy.values[name], abs=1e-9)
        interval = accuracy_interval(accuracy, name, 0.05)
        assert interval.low < accuracy.values[name] < interval.high


def test_recipes_are_compared_image_by_image() -> None:
    """The same detections differ by nothing; moved keypoints are proven worse."""
    data, predictions = scene(3, images=60)
    moved = [replace(one, points=one.points + np.float32([14, 0, 0])) for one in predictions]
    one, other = (Pose().evaluate(data, side) for side in (predictions, moved))
    same = accuracy_difference(one, one, "oks_map", 0.05)
    assert same is not None
    assert same.identical
    worse = accuracy_difference(other, one, "oks_map", 0.05)
    assert worse is not None
    assert worse.high < 0


def test_the_seventeen_keypoints_of_a_person_have_cocos_sigmas() -> None:
    """They need no declaration."""
    from pycocotools.cocoeval import Params

    assert list(PERSON.values()) == pytest.approx(Params("keypoints").kpt_oks_sigmas, abs=1e-12)


def test_data_without_annotations_have_no_score_but_agree() -> None:
    """A recipe is compared with its reference."""
    data, predictions = scene(1)
    alone = PoseData(data.images, {**data.coco, "annotations": []}, annotated=False)
    accuracy = Pose().evaluate(alone, predictions)
    assert accuracy.values == {}
    assert set(accuracy.unmeasured) == set(NAMES)
    task = Pose()
    packed = task.pack(predictions)
    sums = task.compare(packed, packed)
    assert set(sums) == {name for name, one in METRICS.items() if one.against_reference}
    assert (sums["agreement"][0] == sums["agreement"][1]).all()
    assert (sums["score_shift"][0] == 0).all()


def test_agreement_falls_with_keypoints_and_with_scores() -> None:
    """A third of the keypoints moves, or a detection is lost; scores that halve shift."""
    _, predictions = scene(2, images=20)
    task, packed = Pose(), Pose().pack(predictions)

    def compared(**changes: Any) -> dict[str, float]:
        sums = task.compare(packed | changes, packed)
        return {name: float(top.sum() / bottom.sum()) for name, (top, bottom) in sums.items()}

    moved = packed["points"].copy()
    moved[:, 1, 0] += 300
    assert compared(points=moved)["agreement"] == pytest.approx(2 / 3, abs=1e-9)
    assert compared(points=moved)["score_shift"] == 0.0
    halved = compared(scores=packed["scores"] / 2)
    assert halved["agreement"] < 0.8
    assert halved["score_shift"] > 0.2
    assert compared()["agreement"] == 1.0


def test_images_that_got_worse_are_those_whose_keypoints_moved() -> None:
    """The worst first; the boxes have keypoints, and the OKS of each side."""
    data, _ = scene(5, images=8)
    sure = [as_poses((one.points, one.scores * 0.9, one.categories)) for one in truth(data)]
    index = next(row for row, one in enumerate(sure) if len(one.scores) > 1)
    ours = [*sure]
    ours[index] = replace(sure[index], points=sure[index].points + np.float32([25, 0, 0]))
    task = Pose()
    (image,) = task.worse(data, task.pack(ours), task.pack(sure), 4)
    assert image.image == index
    assert image.loss > 0.1
    before = {box.object: box.score or 0.0 for box in image.reference if box.object is not None}
    after = {box.object: box.score or 0.0 for box in image.recipe if box.object is not None}
    assert sum(before.values()) - sum(after.values()) == pytest.approx(image.loss, abs=1e-3)
    assert all(len(box.points) == 3 for box in image.reference)
    _, objects = task.objects(data, index)
    counts = [
        entry["num_keypoints"]
        for entry in data.coco["annotations"]
        if entry["image_id"] == data.coco["images"][index]["id"] and not entry["iscrowd"]
    ]
    assert [len(box.points) for box in objects] == [count for count in counts if count]


def test_a_network_with_other_keypoints_is_refused() -> None:
    """The error names both numbers, and the option where the data's are among the network's."""
    data, predictions = scene(1)
    few, fewer = scene(1, keypoints=2)
    with pytest.raises(DataError, match=r"(?s)gives 2 keypoints, and the data has 3.*leave the"):
        Pose().evaluate(data, fewer)
    with pytest.raises(DataError, match=r"(?s)3 keypoints, and the data has 2.*= \[0, 1\]"):
        Pose().evaluate(few, predictions)


def test_a_keypoint_without_a_label_is_named() -> None:
    """Nothing of the scores would see a network that lost it."""
    data, predictions = scene(1)
    for entry in data.coco["annotations"]:
        if entry.get("keypoints"):
            entry["keypoints"][3:6] = [0, 0, 0]
    blind = PoseData(data.images, data.coco, data.sigmas)
    notes = Pose().evaluate(blind, predictions).notes
    name = blind.keypoints.names[1]
    assert f"nothing is known of keypoints that no object has a label of: {name}" in notes


def test_keypoints_in_another_order_are_doubted_with_the_order() -> None:
    """And those outside of every picture; the network as it is, is not."""
    data, predictions = scene(4, images=60)
    sure = [replace(one, scores=np.full_like(one.scores, 0.9)) for one in predictions]
    task = Pose()

    def doubt(changed: list[Poses]) -> str:
        accuracy = task.evaluate(data, changed)
        problem = task.doubt(data, changed, accuracy, task.Output())
        return f"{problem.problem}; {problem.next_step}" if problem else ""

    assert doubt(sure) == ""
    turned = [replace(one, points=one.points[:, [2, 0, 1]]) for one in sure]
    assert "keypoints = [1, 2, 0]" in doubt(turned)
    away = [replace(one, points=one.points + np.float32([500, 0, 0])) for one in sure]
    assert "outside of their picture" in doubt(away)
