"""Every budget of the oriented suite: kept by the detector as it is, broken by a worse one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("sklearn")
pytest.importorskip("skimage")

from pytest_perfgate.records.accuracy import Accuracy  # noqa: E402 - after what may skip
from pytest_perfgate.records.recipe import Budget, Recipe  # noqa: E402 - same
from pytest_perfgate.records.recipe_record import RecipeRecord  # noqa: E402 - same
from pytest_perfgate.records.verdict import Status  # noqa: E402 - same
from pytest_perfgate.tasks.oriented import METRICS, OrientedBoxes  # noqa: E402 - same
from pytest_perfgate.tasks.oriented.data import OrientedData  # noqa: E402 - same
from pytest_perfgate.tasks.polygons import rotated  # noqa: E402 - same

from suites.oriented import data, model  # noqa: E402 - same
from tests.suites import breaking  # noqa: E402 - same

SCENES = 120
BUDGETS = [
    (recipe, budget)
    for recipe in breaking.suite("oriented").recipes.values()
    for budget in recipe.budgets
]


@dataclass(frozen=True)
class Turned:
    """What detectors find in some validation scenes.

    Attributes:
        right: the trained one.
        moved: boxes some pixels to the right.
        unsure: the same boxes with a fraction of the score.
    """

    right: Accuracy
    moved: Accuracy
    unsure: Accuracy


@pytest.fixture(scope="module")
def turned() -> Turned:
    """By the suite's own stages."""
    composer = data.TurnedComposer(data.SPLITS["validation"], 77)
    scenes = [composer.turned() for _ in range(SCENES)]
    some = OrientedData(
        [scene.image for scene in scenes],
        [rotated(scene.boxes) for scene in scenes],
        [np.zeros_like(scene.labels) for scene in scenes],
        [scene.difficult for scene in scenes],
        data.CLASSES,
    )
    task, suite = OrientedBoxes(), breaking.suite("oriented")
    output: Any = task.Output.model_validate(dict(suite.output))
    pipeline = task.pipeline(task.Input(), output)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more of them wait for each other on a shared core
    detector, right = model.build(), []
    with torch.inference_mode():
        for begin in range(0, SCENES, 20):
            inputs, meta = pipeline.preprocess(some.images[begin : begin + 20])
            outputs = detector(torch.from_numpy(inputs.images)).numpy()
            right += pipeline.postprocess((outputs,), meta)
    torch.set_num_threads(threads)
    moved = [replace(one, corners=one.corners + np.float32([14, 0])) for one in right]
    unsure = [replace(one, scores=one.scores * np.float32(0.4)) for one in right]
    return Turned(
        *(breaking.accuracy_beside(task, some, side, right) for side in (right, moved, unsure))
    )


@pytest.mark.parametrize(
    ("recipe", "budget"), BUDGETS, ids=[f"{recipe.name}-{one.metric}" for recipe, one in BUDGETS]
)
def test_it_can_break(recipe: Recipe, budget: Budget, turned: Turned) -> None:
    """By boxes that moved, scores that fell, or values that are far worse."""

    def status(candidate: RecipeRecord) -> Status:
        return breaking.status(budget, recipe, candidate, turned.right, METRICS)

    assert status(breaking.record(recipe, turned.right)) is Status.PASS
    worse = breaking.far_worse(recipe, turned.right)
    if budget.metric in METRICS:
        accuracy = turned.unsure if budget.metric == "score_shift" else turned.moved
        worse = breaking.record(recipe, accuracy)
    assert status(worse) is Status.FAIL


def test_the_weights_are_small_and_trained() -> None:
    """Under 8 MB, and a column for each cell of any input's size."""
    assert model.WEIGHTS.stat().st_size < 8_000_000
    detector = model.build()
    assert not detector.training
    with torch.inference_mode():
        output = detector(torch.rand(2, 3, 64, 96))
    assert output.shape == (2, 4 + len(data.CLASSES) + 1, 8 * 12)
