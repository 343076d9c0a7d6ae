"""Every budget of the pose suite: kept by the network as it is, broken by a worse one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("sklearn")
pytest.importorskip("skimage")
pytest.importorskip("faster_coco_eval")

from pytest_perfgate.records.accuracy import Accuracy  # noqa: E402 - after what may skip
from pytest_perfgate.records.recipe import Budget, Recipe  # noqa: E402 - same
from pytest_perfgate.records.recipe_record import RecipeRecord  # noqa: E402 - same
from pytest_perfgate.records.verdict import Status  # noqa: E402 - same
from pytest_perfgate.tasks.pose import METRICS, Pose  # noqa: E402 - same
from pytest_perfgate.tasks.pose.data import PoseData  # noqa: E402 - same

from suites.pose import data, model  # noqa: E402 - same
from tests.suites import breaking  # noqa: E402 - same

PICTURES = 120
BUDGETS = [
    (recipe, budget)
    for recipe in breaking.suite("pose").recipes.values()
    for budget in recipe.budgets
]


@dataclass(frozen=True)
class Posed:
    """What networks predict of some validation pictures.

    Attributes:
        right: the trained one.
        moved: keypoints some pixels to the right.
        unsure: half the score, at the same places.
    """

    right: Accuracy
    moved: Accuracy
    unsure: Accuracy


@pytest.fixture(scope="module")
def posed() -> Posed:
    """By the suite's own stages."""
    composer = data.PoseComposer(data.SPLITS["validation"], 77)
    pictures = [composer.posed() for _ in range(PICTURES)]
    some = PoseData([one.image for one in pictures], data.instances(pictures), data.SIGMAS)
    task, suite = Pose(), breaking.suite("pose")
    output: Any = task.Output.model_validate(dict(suite.output))
    pipeline = task.pipeline(task.Input(), output)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more of them wait for each other on a shared core
    network, right = model.build(), []
    with torch.inference_mode():
        for begin in range(0, PICTURES, 20):
            inputs, meta = pipeline.preprocess(some.images[begin : begin + 20])
            outputs = network(torch.from_numpy(inputs.images)).numpy()
            right += pipeline.postprocess((outputs,), meta)
    torch.set_num_threads(threads)
    moved = [replace(one, points=one.points + np.float32([9, 0, 0])) for one in right]
    unsure = [replace(one, scores=one.scores * np.float32(0.4)) for one in right]
    return Posed(
        *(breaking.accuracy_beside(task, some, side, right) for side in (right, moved, unsure))
    )


@pytest.mark.parametrize(
    ("recipe", "budget"), BUDGETS, ids=[f"{recipe.name}-{one.metric}" for recipe, one in BUDGETS]
)
def test_it_can_break(recipe: Recipe, budget: Budget, posed: Posed) -> None:
    """By keypoints that moved, scores that fell, or values that are far worse."""

    def status(candidate: RecipeRecord) -> Status:
        return breaking.status(budget, recipe, candidate, posed.right, METRICS)

    assert status(breaking.record(recipe, posed.right)) is Status.PASS
    worse = breaking.far_worse(recipe, posed.right)
    if budget.metric in METRICS:
        accuracy = posed.unsure if budget.metric == "score_shift" else posed.moved
        worse = breaking.record(recipe, accuracy)
    assert status(worse) is Status.FAIL


def test_the_weights_are_small_and_trained() -> None:
    """Under 8 MB, and heat maps at a quarter of any input's size."""
    assert model.WEIGHTS.stat().st_size < 8_000_000
    network = model.build()
    assert not network.training
    with torch.inference_mode():
        maps = network(torch.rand(2, 3, 64, 96))
    assert maps.shape == (2, len(data.KEYPOINTS), 16, 24)
