"""Classification: scikit-learn's scores, and how sure they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.classification import Classification, Input, Output
from pytest_perfgate.tasks.classification.data import Called, ClassificationData
from pytest_perfgate.tasks.classification.scores import compare, macro_shares
from pytest_perfgate.verdicts.accuracy_intervals import accuracy_difference, accuracy_interval

sklearn = pytest.importorskip("sklearn", reason="pip install 'pytest-perfgate[classification]'")

CLASSES = 4
calls = st.lists(
    st.tuples(st.integers(0, CLASSES - 1), st.integers(0, CLASSES - 1)), min_size=1, max_size=60
)


def data(labels: Any, classes: int = CLASSES) -> ClassificationData:
    """As many images of one colour as there are labels."""
    images = [np.full((4, 4, 3), index % 251, np.uint8) for index in range(len(labels))]
    return ClassificationData(images, list(labels), [f"class {each}" for each in range(classes)])


def called(rows: Any, classes: int = CLASSES) -> list[Called]:
    """Predictions that are sure of these classes."""
    return [Called(np.eye(classes, dtype=np.float32)[row] * 0.8 + 0.05) for row in rows]


@given(calls)
@settings(max_examples=100, deadline=None)
def test_values_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    """Accuracy, and macro precision, recall and F1 over the classes that the data has; the shares
    of images that intervals are made from have these means.
    """
    from sklearn import metrics

    truth, best = (np.array(column) for column in zip(*pairs, strict=True))
    found = Classification().evaluate(data(truth), called(best))
    present = np.unique(truth)
    asked = {"labels": present, "average": "macro", "zero_division": 0.0}
    wanted = {
        "accuracy": metrics.accuracy_score(truth, best),
        "precision": metrics.precision_score(truth, best, **asked),
        "recall": metrics.recall_score(truth, best, **asked),
        "f1": metrics.f1_score(truth, best, **asked),
    }
    assert {name: found.values[name] for name in wanted} == pytest.approx(wanted)
    assert set(found.ratios) == set(wanted)
    for name, ratio in found.ratios.items():
        assert ratio.numerator.array().mean() == pytest.approx(wanted[name])


@given(calls, st.randoms())
@settings(max_examples=50, deadline=None)
def test_the_order_of_images_says_nothing(pairs: list[tuple[int, int]], random: Any) -> None:
    """Neither values nor the shares of images change with it."""
    order = list(range(len(pairs)))
    random.shuffle(order)
    truth, best = (np.array(column) for column in zip(*pairs, strict=True))
    one = macro_shares(truth, best, np.unique(truth))
    other = macro_shares(truth[order], best[order], np.unique(truth))
    for name, shares in one.items():
        np.testing.assert_allclose(shares[order], other[name])


def test_intervals_of_90_percent_hold_the_truth() -> None:
    """Of a classifier that is right 8 times in 10, on classes of different frequency; 120 drawn
    sets of 200 images. Linearised or not, at least 82 of 100 intervals must hold the value on all
    images that there could be, whichever the metric.
    """
    random = np.random.default_rng(4)

    def drawn(count: int) -> tuple[Any, Any]:
        truth = random.choice(CLASSES, count, p=[0.4, 0.3, 0.2, 0.1])
        wrong = random.integers(0, CLASSES, count)
        return truth, np.where(random.random(count) < 0.75, truth, wrong)

    truth, best = drawn(200_000)
    shares = macro_shares(truth, best, np.arange(CLASSES))
    everything = {metric: shares[metric].mean() for metric in ("precision", "recall", "f1")}
    everything["accuracy"] = (truth == best).mean()
    held = dict.fromkeys(everything, 0)
    for _ in range(120):
        truth, best = drawn(200)
        evaluated = Classification().evaluate(data(truth), called(best))
        for metric, value in everything.items():
            interval = accuracy_interval(evaluated, metric, 0.10)
            held[metric] += interval.low <= value <= interval.high
    assert min(held.values()) >= 0.82 * 120, held


def test_a_paired_difference_is_surer_than_two_values() -> None:
    """Two recipes that differ on three images of 200 differ by little, and that is known."""
    random = np.random.default_rng(1)
    truth = random.integers(0, CLASSES, 200)
    best = np.where(random.random(200) < 0.8, truth, random.integers(0, CLASSES, 200))
    other = best.copy()
    wrong = np.flatnonzero(best == truth)[:3]
    other[wrong] = (truth[wrong] + 1) % CLASSES
    one, two = (Classification().evaluate(data(truth), called(each)) for each in (other, best))
    difference = accuracy_difference(one, two, "accuracy", 0.1)
    assert difference is not None
    assert difference.estimate == pytest.approx(-0.015)
    alone = accuracy_interval(one, "accuracy", 0.1)
    assert difference.high - difference.low < 0.5 * (alone.high - alone.low)
    same = accuracy_difference(two, two, "f1", 0.1)
    assert same is not None
    assert same.identical


def test_top_five_is_measured_where_there_are_more_classes() -> None:
    """Rank by rank; with five classes it would always be 1."""
    scores = np.array([[0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]] * 7, np.float32)
    found = Classification().evaluate(data(range(7), 7), [Called(row) for row in scores])
    assert found.values["top5"] == pytest.approx(5 / 7)
    assert found.values["accuracy"] == pytest.approx(1 / 7)
    assert "top5" not in Classification().evaluate(data([0, 1]), called([0, 1])).values


def test_a_true_class_among_equal_scores_is_not_in_front_of_them() -> None:
    """8-bit scores are 0 for most classes: those rank as `argmax` has them, by their order."""
    scores = np.zeros((7, 7), np.float32)
    scores[:, 6] = 1.0
    found = Classification().evaluate(data(range(7), 7), [Called(row) for row in scores])
    assert found.values["top5"] == pytest.approx(5 / 7)  # class 6, and 0 to 3


def test_agreement_and_score_shift_are_held_to_the_reference() -> None:
    """Halved scores keep the classes and move the scores."""
    scores = np.array([[0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    found = compare(scores / 2, scores)
    assert found["agreement"][0].tolist() == [1, 1, 1]
    assert (found["score_shift"][0].sum() / 3) == pytest.approx((0.4 + 0.35 + 0.3) / 3)
    flipped = compare(scores[:, ::-1], scores)
    assert flipped["agreement"][0].tolist() == [0, 0, 0]


def test_a_model_that_gives_nan_is_an_error() -> None:
    """It would be of the first class."""
    with pytest.raises(DataError, match="not numbers"):
        Classification().evaluate(data([0]), [Called(np.full(CLASSES, np.nan, np.float32))])


def test_a_model_of_other_classes_is_an_error() -> None:
    """And says how to name them."""
    with pytest.raises(DataError, match="gives 7 classes, and the data has 4") as caught:
        Classification().evaluate(data([0]), called([0], 7))
    assert "classes = [" in caught.value.next_step


@pytest.mark.parametrize(
    ("activation", "wanted"),
    [("softmax", [0.5, 0.25, 0.25]), ("sigmoid", [2 / 3, 0.5, 0.5]), ("none", [np.log(2), 0, 0])],
)
def test_the_output_becomes_scores(activation: str, wanted: list[float]) -> None:
    """As declared, and in the data's order of classes."""
    task = Classification()
    stages = task.pipeline(Input(), Output(activation=activation))
    inputs, meta = stages.preprocess([np.zeros((4, 4, 3), np.uint8)])
    assert inputs.images.shape == (1, 3, 4, 4)
    logits = np.log(np.array([[2, 1, 1]], np.float32))
    np.testing.assert_allclose(stages.postprocess((logits,), meta)[0].scores, wanted, atol=1e-6)
    chosen = task.pipeline(Input(), Output(activation=activation, classes=(2, 0)))
    np.testing.assert_allclose(
        chosen.postprocess((logits,), meta)[0].scores, [wanted[2], wanted[0]], atol=1e-6
    )
    with pytest.raises(DataError, match="has 3 classes"):
        task.pipeline(Input(), Output(classes=(3, 0))).postprocess((logits,), meta)
    with pytest.raises(DataError, match="shape"):
        stages.postprocess((logits[0],), meta)


def test_a_folder_for_each_class_is_a_data_set(tmp_path: Path) -> None:
    """Classes in the order of their names; other files are left alone."""
    from PIL import Image

    for name, values in {"dog": [1, 2], "cat": [3]}.items():
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "notes.txt").write_text("no image")
        for value in values:
            pixels = np.full((3, 5, 3), value, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "set" / name / f"{value}.png")
    found = Classification().load({"images": "set"}, tmp_path, tmp_path)
    assert list(found.classes) == ["cat", "dog"]
    assert list(found.labels) == [0, 1, 1]
    assert [int(found.images[index][0, 0, 0]) for index in range(3)] == [3, 1, 2]
    assert len(set(found.digests)) == 3


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"images": "gone"}, "no such folder"),
        ({"images": ".."}, "leaves"),
        ({"images": "set", "files": "x"}, "keys"),
        ({"images": "set", "labels": "x"}, "x: the file cannot be read"),
        ({"images": "empty"}, "no images"),
    ],
)
def test_a_folder_that_cannot_be_used_is_an_error(
    source: dict[str, str], said: str, tmp_path: Path
) -> None:
    """It names the place."""
    (tmp_path / "suite" / "empty").mkdir(parents=True)
    (tmp_path / "suite" / "set").mkdir()
    root = tmp_path / "suite"
    with pytest.raises(DataError, match=said):
        Classification().load(source, root, root)


@pytest.mark.parametrize(
    ("labels", "classes", "said"),
    [
        ([0], ["a", "b"], "2 images and 1 labels"),
        ([0, 2], ["a", "b"], "image 1 is of class 2"),
        ([0, 0.9], ["a", "b"], "image 1 is of class 0.9"),
        ([0, [0, 1]], ["a", "b"], "image 1 is of class [0, 1]"),
        ([0, 0], ["a", "a"], "own name"),
        ([0, 0], ["a"], "two or more"),
    ],
)
def test_images_and_labels_must_fit(labels: list[Any], classes: list[str], said: str) -> None:
    """The image is named."""
    images = [np.zeros((2, 2, 3), np.uint8)] * 2
    with pytest.raises(DataError) as caught:
        ClassificationData(images, labels, classes)
    assert said in str(caught.value)


def test_another_order_of_classes_is_named_with_its_remedy() -> None:
    """A network that is right on all images, of folders in another order: the option that the doubt
    names makes its scores those of the data, and no note says another. Of a network that is only
    poor nothing is said.
    """
    task = Classification()
    truth = np.arange(24) % CLASSES
    order = np.array([2, 0, 3, 1])  # the network's class of each of the data's
    accuracy = Classification().evaluate(data(truth), called(order[truth]))
    assert accuracy.values["accuracy"] == 0.0
    doubt = task.doubt(data(truth), called(order[truth]), accuracy, Output())
    assert doubt is not None
    assert doubt.next_step == "[suite.output] classes = [2, 0, 3, 1]"
    assert accuracy.notes == ()
    stages = Classification().pipeline(
        Input(), Output.model_validate({"classes": order.tolist(), "activation": "none"})
    )
    _, meta = stages.preprocess([np.zeros((4, 4, 3), np.uint8)] * len(truth))
    scores = np.stack([one.scores for one in called(order[truth])])
    mended = Classification().evaluate(data(truth), stages.postprocess((scores,), meta))
    assert mended.values["accuracy"] == 1.0
    assert task.doubt(data(truth), called(truth), mended, Output()) is None
