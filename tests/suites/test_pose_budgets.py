"""Every budget of the pose suite: kept by the network as it is, broken by a worse one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("sklearn")
pytest.importorskip("skimage")
pytest.importorskip("faster_coco_eval")

from pytest_perfgate.records.recipe import Budget, Recipe  # noqa: E402 - after what may skip
from pytest_perfgate.records.verdict import Status  # noqa: E402 - same
from pytest_perfgate.tasks.pose import Pose  # noqa: E402 - same
from pytest_perfgate.tasks.pose.data import PoseData  # noqa: E402 - same

from suites.pose import data, model  # noqa: E402 - same
from tests.suites import breaking, predicting  # noqa: E402 - same

PICTURES = 120
SUITES = {"pose": breaking.suite("pose")}


@pytest.fixture(scope="module")
def posed() -> breaking.Scored:
    """Of some validation pictures, by the suite's own stages. Worse: keypoints some pixels to the
    right (`moved`), and 40 % of the score at the same places (`unsure`).
    """
    composer = data.PoseComposer(data.SPLITS["validation"], 77)
    pictures = [composer.posed() for _ in range(PICTURES)]
    some = PoseData([one.image for one in pictures], data.instances(pictures), data.SIGMAS)
    right = predicting.predictions(model.build(), predicting.stages(SUITES["pose"]), some.images)
    moved = [replace(one, points=one.points + np.float32([9, 0, 0])) for one in right]
    unsure = [replace(one, scores=one.scores * np.float32(0.4)) for one in right]
    return breaking.scored(Pose(), some, right, moved=moved, unsure=unsure)


@pytest.mark.parametrize(("suite", "recipe", "budget"), breaking.budgets(SUITES))
def test_it_can_break(suite: str, recipe: Recipe, budget: Budget, posed: breaking.Scored) -> None:
    """By keypoints that moved, scores that fell, or values that are far worse."""
    trial = breaking.Trial(SUITES[suite].task, recipe, budget, posed.right)
    wrong = "unsure" if budget.metric == "score_shift" else "moved"
    assert trial.verdicts([posed.worse[wrong]]) == (Status.PASS, [Status.FAIL])


def test_the_weights_are_small_and_trained() -> None:
    """Under 8 MB, and heat maps at a quarter of any input's size."""
    assert model.WEIGHTS.stat().st_size < 8_000_000
    network = model.build()
    assert not network.training
    with torch.inference_mode():
        maps = network(torch.rand(2, 3, 64, 96))
    assert maps.shape == (2, len(data.KEYPOINTS), 16, 24)
