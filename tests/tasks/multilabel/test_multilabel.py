"""Multi-label classification: scikit-learn's average precision, its interval, and its data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.errors import DataError
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.suite.json_schema import suite_schema
from pytest_perfgate.tasks.classification.data import Called
from pytest_perfgate.tasks.multilabel import METRICS, Multilabel
from pytest_perfgate.tasks.multilabel.data import MultilabelData
from pytest_perfgate.tasks.multilabel.scores import precision_shares
from pytest_perfgate.verdicts.accuracy_intervals import accuracy_interval
from pytest_perfgate.verdicts.evidence import Evidence
from pytest_perfgate.verdicts.judge import judge

from tests.verdicts.judging import NOW, RISK, recipe

metrics = pytest.importorskip(
    "sklearn.metrics", reason="pip install 'pytest-perfgate[classification]'"
)

TASK = Multilabel()
LABELS = 5


def data(labels: Any) -> MultilabelData:
    """As many images of one colour as there are rows."""
    images = [np.full((4, 4, 3), index % 251, np.uint8) for index in range(len(labels))]
    return MultilabelData(images, labels, [f"label {index}" for index in range(len(labels[0]))])


def random_case(seed: int, images: int = 80, levels: int = 0) -> tuple[Any, Any]:
    """Labels (images, C), each of an image at least, and scores that know something of them; with
    `levels` scores are equal to others.
    """
    random = np.random.default_rng(seed)
    truth = random.random((images, LABELS)) < random.uniform(0.1, 0.6, LABELS)
    truth[random.integers(images, size=LABELS), np.arange(LABELS)] = True
    scores = np.clip(0.4 * truth + 0.7 * random.random((images, LABELS)), 0, 1)
    scores = np.round(scores * levels) / levels if levels else scores
    return truth.astype(int), scores.astype(np.float32)


@given(seed=st.integers(0, 10_000), levels=st.sampled_from([0, 2, 5]))
@settings(max_examples=60, deadline=None)
def test_map_is_scikit_learns_macro_average(seed: int, levels: int) -> None:
    """To 1e-6, ties included; each label's too, and the mean of the images' shares is the value."""
    truth, scores = random_case(seed, levels=levels)
    accuracy = TASK.evaluate(data(truth), [Called(row) for row in scores])
    expected = metrics.average_precision_score(truth, scores, average="macro")
    assert accuracy.values["map"] == pytest.approx(expected, abs=1e-6)
    each = metrics.average_precision_score(truth, scores, average=None)
    assert [*accuracy.per_category.values()] == pytest.approx(each.tolist(), abs=1e-6)


@pytest.mark.parametrize("levels", [0, 4])
def test_the_share_of_an_image_is_what_its_weight_moves(levels: int) -> None:
    """The influence is scikit-learn's own derivative by the weight of a sample."""
    truth, scores = random_case(3, images=30, levels=levels)
    label, column = truth[:, 0].astype(bool), scores[:, 0].astype(np.float64)
    shares = precision_shares(label, column)
    value = metrics.average_precision_score(label, column)
    for index in range(len(label)):
        sides = []
        for step in (1e-5, -1e-5):
            weights = np.ones(len(label))
            weights[index] += step
            sides.append(metrics.average_precision_score(label, column, sample_weight=weights))
        derivative = (sides[0] - sides[1]) / 2e-5
        assert shares[index] == pytest.approx(value + len(label) * derivative, abs=1e-3)


def test_the_interval_holds_the_truth() -> None:
    """Of 100 draws of images nearly all 95 % intervals hold the value of a large population."""
    truth, scores = random_case(7, images=20_000)
    population = metrics.average_precision_score(truth, scores, average="macro")
    random = np.random.default_rng(1)
    held = 0
    for _ in range(100):
        rows = random.choice(len(truth), 150, replace=False)
        part = TASK.evaluate(data(truth[rows]), [Called(row) for row in scores[rows]])
        interval = accuracy_interval(part, "map", 0.05)
        held += interval.low <= population <= interval.high
    assert 85 <= held <= 100


def measured(name: str, accuracy: Accuracy) -> RecipeRecord:
    """A recipe with these scores."""
    return recipe(name, 0.01).model_copy(update={"accuracy": accuracy})


def status(truth: Any, before: Any, after: Any, drop: float) -> str:
    """The word of a budget on the drop of map."""
    records = [
        measured(name, TASK.evaluate(data(truth), [Called(row) for row in scores]))
        for name, scores in (("candidate", after), ("reference", before))
    ]
    budget = Budget("map", (Limit(LimitKind.DROP, drop, str(drop)),))
    evidence = Evidence(record=records[0], reference=records[1])
    return str(judge(budget, METRICS["map"], evidence, RISK, NOW).status)


def test_a_budget_on_map_breaks_and_holds() -> None:
    """Scores without meaning, the same scores, and a little noise."""
    truth, scores = random_case(11, images=200)
    random = np.random.default_rng(2)
    assert status(truth, scores, random.random(scores.shape), 0.05) == "FAIL"
    assert status(truth, scores, scores, 0.05) == "PASS"
    noisy = scores + random.normal(0, 0.01, scores.shape)
    assert status(truth, scores, noisy, 0.05) == "PASS"


def test_recipes_are_compared_without_labels() -> None:
    """Shared labels, and the scores of those that a side is confident of."""
    ours = {"scores": np.array([[0.9, 0.2, 0.7], [0.1, 0.1, 0.1]], np.float32)}
    other = {"scores": np.array([[0.8, 0.6, 0.7], [0.1, 0.1, 0.1]], np.float32)}
    result = TASK.compare(ours, other)
    assert [part.tolist() for part in result["agreement"]] == [[4, 0], [5, 0]]
    shift, counted = result["score_shift"]
    assert shift.tolist() == pytest.approx([0.5, 0])
    assert counted.tolist() == [3, 0]


def test_scores_that_cannot_be_right_are_errors_or_doubts() -> None:
    """Other labels, no number, no better than guessing; labels that no image has are named."""
    truth = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]])
    some = data(truth)
    good = [Called(row * 0.8 + 0.1) for row in truth.astype(np.float32)]
    accuracy = TASK.evaluate(some, good)
    assert accuracy.values == {"map": 1.0}
    assert accuracy.notes == ("labels without an image, left out of map: label 2",)
    output = TASK.Output()
    assert TASK.doubt(some, good, accuracy, output) is None
    bad = [Called(np.full(3, 0.5, np.float32))] * 4
    doubt = TASK.doubt(some, bad, TASK.evaluate(some, bad), output)
    assert doubt is not None
    assert doubt.problem == "map is 0.5000, and guessing reaches 0.5000"
    for predictions, problem in (
        (good[:3], "3 predictions for 4 images"),
        ([Called(np.zeros(4, np.float32))] * 4, "gives 4 labels, and the data has 3"),
        ([Called(np.full(3, np.nan, np.float32))] * 4, "not numbers"),
    ):
        with pytest.raises(DataError, match=problem):
            TASK.evaluate(some, predictions)
    unlabelled = MultilabelData(some.images, (), ())
    assert TASK.evaluate(unlabelled, good).unmeasured == {"map": "the data has no labels"}


def test_the_output_is_sigmoid_scores_of_the_datas_labels() -> None:
    """Named in another order."""
    some = data(np.array([[1, 0], [0, 1]]))
    declared = TASK.Output(classes=("label 1", "other", "label 0"))
    stages = TASK.pipeline(TASK.Input(), TASK.fit_output(declared, lambda: some))
    _, meta = stages.preprocess([np.zeros((4, 4, 3), np.uint8)])
    logits = np.array([[0, 9, np.log(3)]], np.float32)
    (one,) = stages.postprocess((logits,), meta)
    np.testing.assert_allclose(one.scores, [0.75, 0.5], atol=1e-6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, one of them in a folder below."""
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "images" / "street").mkdir(parents=True)
    for index, name in enumerate(("a.png", "b.png", "street/c.png")):
        pixels = np.full((4, 4, 3), 9 * index, np.uint8)
        image.fromarray(pixels).save(tmp_path / "images" / name)
    return tmp_path


def load(folder: Path, text: str, **more: str) -> MultilabelData:
    """The declared data set with this file of labels."""
    (folder / "labels.csv").write_text(text, "utf-8-sig")
    declared = {"images": "images", "labels": "labels.csv", **more}
    result: MultilabelData = TASK.load(declared, folder, folder)
    return result


def test_a_file_of_labels_is_read(folder: Path) -> None:
    """In its own order, and some of it."""
    text = 'file,cat,"snow, ice"\r\nstreet/c.png,1,0\r\na.png,1,1\r\n\r\n'
    some = load(folder, text)
    assert (list(some.classes), list(some.labels)) == (["cat", "snow, ice"], [[1, 0], [1, 1]])
    assert [int(np.array(image)[0, 0, 0]) for image in some.images] == [18, 0]
    (folder / "some.txt").write_text("a.png\n")
    assert list(load(folder, text, list="some.txt").labels) == [[1, 1]]
    assert load(folder, text).digest != load(folder, text.replace("c.png,1,0", "c.png,1,1")).digest
    assert len(TASK.load({"images": "images"}, folder, folder).images) == 3


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "first row is ''"),
        ("file,cat,cat\na.png,1,0\n", "first row is 'file,cat,cat'"),
        ("file,cat\na.png,2\n", "row 2 is no file with its labels: 'a.png,2'"),
        ("file,cat\na.png\n", "row 2 is no file with its labels"),
        ("file,cat\na.png,1\na.png,0\n", "row 3 names an image again"),
        ("file,cat\nz.png,1\n", "listed image 'z.png' is not there"),
        ("file,cat\n", "there are no images"),
        ('file,cat\n"a.png,1\n', "labels cannot be read"),
    ],
)
def test_a_file_of_labels_that_is_wrong_is_named(folder: Path, text: str, problem: str) -> None:
    """With the row, and what is valid."""
    with pytest.raises(DataError, match=problem):
        load(folder, text)


def test_labels_that_do_not_fit_are_refused() -> None:
    """Rows of another length, other numbers, too few rows."""
    images = [np.zeros((4, 4, 3), np.uint8)] * 2
    soft = ([[1, 0.9], [0, 0]], "ab")
    for labels, classes in (([[1, 0]], "ab"), ([[1], [0]], "ab"), ([[1, 2], [0, 0]], "ab"), soft):
        with pytest.raises(DataError):
            MultilabelData(images, labels, list(classes))


def test_the_schema_has_the_limits_of_every_task_with_a_metric_of_that_name() -> None:
    """`map` is of two tasks, and by class in one."""
    budgets = suite_schema()["properties"]["recipe"]["items"]["properties"]["budgets"]
    assert "per_class" in budgets["properties"]["map"]["allOf"][1]["propertyNames"]["enum"]
