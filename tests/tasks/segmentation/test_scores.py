"""Scores of segmentation: equal to reference evaluators, with intervals from the images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.errors import DataError
from pytest_perfgate.stats.ratio import bootstrap
from pytest_perfgate.tasks.segmentation import Segmentation
from pytest_perfgate.tasks.segmentation.data import SegmentationData, Segments
from pytest_perfgate.tasks.segmentation.scores import PackedLabels, compare, evaluate, pack
from pytest_perfgate.verdicts.accuracy_intervals import accuracy_difference, accuracy_interval

from tests.tasks import scenes

sklearn_metrics = pytest.importorskip("sklearn.metrics")


def _flat(data: SegmentationData, predictions: list[Segments]) -> tuple[Any, Any]:
    """All pixels that count, true and predicted."""
    true = np.concatenate([np.asarray(mask).reshape(-1) for mask in data.masks])
    labels = np.concatenate([one.labels.reshape(-1) for one in predictions])
    counts = true != data.ignore_index
    return true[counts], labels[counts]


@settings(deadline=None, max_examples=40)
@given(
    shapes=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=5),
    classes=st.integers(2, 7),
    seed=st.integers(0, 2**32 - 1),
)
def test_scores_are_those_of_scikit_learn(
    shapes: list[tuple[int, int]], classes: int, seed: int
) -> None:
    """For random maps of random sizes, with ignored pixels and absent classes."""
    random = np.random.default_rng(seed)
    used = random.integers(1, classes + 1)  # the last classes are absent
    masks = [random.integers(0, used, shape).astype(np.uint8) for shape in shapes]
    for mask in masks:
        mask[random.random(mask.shape) < 0.2] = 255
    masks[0][0, 0] = 0
    predictions = [
        Segments(random.integers(0, used, shape).astype(np.uint8), channels=classes)
        for shape in shapes
    ]
    images = [np.zeros((*shape, 3), np.uint8) for shape in shapes]
    data = SegmentationData(images, masks, [f"c{index}" for index in range(classes)])
    accuracy = evaluate(data, predictions)
    true, called = _flat(data, predictions)
    present = np.unique(np.concatenate([true, called]))
    expected = sklearn_metrics.jaccard_score(true, called, labels=present, average=None)
    assert accuracy.values["miou"] == pytest.approx(expected.mean(), abs=1e-6)
    assert list(accuracy.per_category) == [f"c{label}" for label in present]
    assert list(accuracy.per_category.values()) == pytest.approx(expected.tolist(), abs=1e-6)
    assert accuracy.values["pixel_accuracy"] == pytest.approx(
        sklearn_metrics.accuracy_score(true, called), abs=1e-6
    )
    for name in ("miou", "pixel_accuracy"):  # an interval is about the value
        ratio = accuracy.ratios[name]
        sums = ratio.numerator.array().sum() / ratio.denominator.array().sum()
        assert sums == pytest.approx(accuracy.values[name], abs=1e-9)


def test_absent_classes_are_left_out_and_named() -> None:
    """Present on either side counts: a class that is only predicted has 0."""
    data = scenes.data(classes=("road", "car", "sky", "boat", "tree"))
    predictions = scenes.noisy()
    predictions = [Segments(one.labels, channels=5) for one in predictions]
    accuracy = evaluate(data, predictions)
    assert list(accuracy.per_category) == ["road", "car", "sky"]
    assert accuracy.notes[-1] == (
        "miou is the mean over 3 classes; no mask or prediction has a pixel of: boat, tree"
    )
    predictions[0].labels[0, 0] = 3
    wrong = evaluate(data, predictions)
    assert wrong.per_category["boat"] == 0.0
    assert wrong.values["miou"] < 0.8 * accuracy.values["miou"]


def test_a_class_that_the_data_has_not_is_wrong_and_no_class() -> None:
    """It lowers the true class's IoU, and adds no class to the mean."""
    data = scenes.data(2)
    labels = [np.where(scenes.blocks(index) == 255, 0, scenes.blocks(index)) for index in range(2)]
    labels[0] = np.where(labels[0] == 1, 3, labels[0])  # no car in the first of two images
    accuracy = evaluate(data, [Segments(one.astype(np.uint8), channels=3) for one in labels])
    assert accuracy.per_category == {"road": 1.0, "car": 0.5, "sky": 1.0}


def test_the_interval_of_miou_is_that_of_a_bootstrap_of_confusions() -> None:
    """Images are drawn, and the confusion of all of them is summed: the standard error is the same
    to a tenth, for one recipe and for the difference of two.
    """
    count = 60
    data = scenes.data(count)
    sides = [scenes.noisy(count, share, seed) for share, seed in ((0.15, 1), (0.25, 2))]
    accuracies = [evaluate(data, side) for side in sides]
    random = np.random.default_rng(0)
    draws = random.multinomial(count, np.full(count, 1 / count), 4000).astype(float)
    drawn = []
    for side in sides:
        both, union = np.zeros((count, 3)), np.zeros((count, 3))
        for index, one in enumerate(side):
            true = scenes.blocks(index)
            for label in range(3):
                ours = (one.labels == label) & (true != 255)
                both[index, label] = (ours & (true == label)).sum()
                union[index, label] = (ours | (true == label)).sum()
        drawn.append(((draws @ both) / (draws @ union)).mean(axis=1))
    sums = [
        (one.ratios["miou"].numerator.array(), one.ratios["miou"].denominator.array())
        for one in accuracies
    ]
    unit = 1 / (3 * count)  # the one class of one image that the bootstrap adds
    for estimate, values in (
        (bootstrap(sums[0]), drawn[0]),
        (bootstrap(*sums), drawn[0] - drawn[1]),
    ):
        error = np.sqrt(max(0.0, estimate.error**2 - unit**2))
        assert error == pytest.approx(values.std(ddof=1), rel=0.1)
    difference = accuracy_difference(*accuracies, "miou", 0.05)
    assert difference is not None
    assert difference.low < difference.estimate < difference.high
    one = accuracy_interval(accuracies[0], "miou", 0.05)
    assert one.low < accuracies[0].values["miou"] < one.high


def test_a_network_that_is_as_wrong_in_every_image_is_proven_wrong() -> None:
    """By 30 images of one spread: they hardly differ, and each has three classes."""
    data = scenes.data(30)
    right, wrong = evaluate(data, scenes.noisy(30, 0.02)), evaluate(data, scenes.noisy(30, 0.6))
    difference = accuracy_difference(wrong, right, "miou", 0.001)
    assert difference is not None
    assert difference.high < -0.1


def test_without_masks_recipes_are_compared_and_not_scored() -> None:
    """`agreement` needs no masks; the reason why there is no miou is kept."""
    data = SegmentationData([np.zeros((24, 32, 3), np.uint8)] * 12)
    accuracy = evaluate(data, scenes.noisy())
    assert accuracy.values == {}
    assert set(accuracy.unmeasured) == {"miou", "pixel_accuracy", "boundary_f"}
    task = Segmentation()
    ours, other = task.pack(scenes.noisy(seed=1)), task.pack(scenes.noisy(seed=2))
    assert set(task.compare(ours, other)) == {"agreement", "score_shift"}
    assert task.worse(data, ours, other, 4) is None


def test_agreement_and_score_shift() -> None:
    """The share of equal pixels, ignored ones too, and how far scores moved; equal predictions
    have 1 and 0.
    """
    one, other = scenes.noisy(seed=1), scenes.noisy(seed=2)
    other = [scenes.segments(two.labels, sure=0.7) for two in other]
    sums = compare(pack(one), pack(other))
    values = {name: top.sum() / bottom.sum() for name, (top, bottom) in sums.items()}
    same = [(a.labels == b.labels).mean() for a, b in zip(one, other, strict=True)]
    assert values["agreement"] == pytest.approx(np.mean(same))
    assert values["score_shift"] == pytest.approx(0.2)
    again = compare(pack(one), pack(one))
    assert [top.sum() / bottom.sum() for top, bottom in again.values()] == [1.0, 0.0]
    labels = [Segments(two.labels) for two in other]
    assert set(compare(pack(one), pack(labels))) == {"agreement"}
    assert "labels" in evaluate(scenes.data(), labels).unmeasured["score_shift"]
    with pytest.raises(ValueError, match="11 and 12 images"):
        compare(pack(one[1:]), pack(other))


@given(
    seed=st.integers(0, 2**32 - 1), shapes=st.lists(st.tuples(*[st.integers(1, 6)] * 2), min_size=1)
)
def test_packed_labels_are_the_same_again(seed: int, shapes: list[tuple[int, int]]) -> None:
    """Of any images, in their order."""
    random = np.random.default_rng(seed)
    predictions = [Segments(random.integers(0, 3, shape).astype(np.uint8)) for shape in shapes]
    unpacked = PackedLabels(pack(predictions))
    assert len(unpacked) == len(shapes)
    for one, again in zip(predictions, unpacked, strict=True):
        np.testing.assert_array_equal(one.labels, again)


@pytest.mark.parametrize(
    ("predictions", "problem", "said"),
    [
        (scenes.noisy(11), "11 predictions for 12 images", ""),
        ([scenes.segments(np.zeros((8, 8)))] * 12, r"shape \(8, 8\), and its mask \(24, 32\)", ""),
        (
            [Segments(np.zeros((24, 32), np.uint8), channels=4)] * 12,
            "gives 4 classes, and the data has 3",
            "background",
        ),
        ([Segments(np.full((24, 32), 7, np.uint8))] * 12, "gives the label 7", "0 to 2"),
    ],
)
def test_predictions_that_do_not_fit(predictions: list[Segments], problem: str, said: str) -> None:
    """An error names the numbers of both sides."""
    with pytest.raises(DataError, match=problem) as caught:
        evaluate(scenes.data(), predictions)
    assert said in str(caught.value)


def test_masks_of_ignored_pixels_alone_are_refused() -> None:
    """Nothing was measured: no score is given."""
    masks = [np.full((24, 32), 255, np.uint8)] * 12
    with pytest.raises(DataError, match="every pixel of every mask is ignored"):
        evaluate(scenes.data(masks=masks), scenes.noisy())


def test_an_evaluation_says_how_far_it_is() -> None:
    """After each image, or a worker with many large ones would count as hung."""
    data, heard = scenes.data(), []
    data.listen(lambda *counts: heard.append(counts))
    evaluate(data, scenes.noisy())
    assert heard == [(count, 12) for count in range(1, 13)] * 2  # evaluated, and digested


def test_a_reference_that_cannot_work_is_doubted() -> None:
    """Classes in another order are named as the option; one class for all pixels is doubted."""
    task = Segmentation()
    data = scenes.data(60)

    def doubt(labels: list[Any]) -> Any:
        predictions = [scenes.segments(one) for one in labels]
        return task.doubt(data, predictions, evaluate(data, predictions), task.Output())

    right = [np.where(scenes.blocks(i) == 255, 0, scenes.blocks(i)) for i in range(60)]
    assert doubt(right) is None
    turned = doubt([(one + 1) % 3 for one in right])
    assert turned.next_step == "[suite.output] classes = [1, 2, 0]"
    constant = doubt([np.zeros_like(one) for one in right])
    assert "'road' for every pixel reaches" in constant.problem
    alone = SegmentationData(data.images)
    predictions = [scenes.segments(np.zeros((24, 32)))] * 60
    silent = task.doubt(alone, predictions, evaluate(alone, predictions), task.Output())
    assert silent is not None
    assert "the class 0 for every pixel" in silent.problem
