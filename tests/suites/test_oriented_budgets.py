"""Every budget of the oriented suite: kept by the detector as it is, broken by a worse one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("sklearn")
pytest.importorskip("skimage")

from pytest_perfgate.records.recipe import Budget, Recipe  # noqa: E402 - after what may skip
from pytest_perfgate.records.verdict import Status  # noqa: E402 - same
from pytest_perfgate.tasks.oriented import OrientedBoxes  # noqa: E402 - same
from pytest_perfgate.tasks.oriented.data import OrientedData  # noqa: E402 - same
from pytest_perfgate.tasks.polygons import rotated  # noqa: E402 - same

from suites.oriented import data, model  # noqa: E402 - same
from tests.suites import breaking, predicting  # noqa: E402 - same

SCENES = 120
SUITES = {"oriented": breaking.suite("oriented")}


@pytest.fixture(scope="module")
def turned() -> breaking.Scored:
    """Of some validation scenes, by the suite's own stages. Worse: boxes some pixels to the right
    (`moved`), and the same boxes with 40 % of the score (`unsure`).
    """
    composer = data.TurnedComposer(data.SPLITS["validation"], 77)
    scenes = [composer.turned() for _ in range(SCENES)]
    some = OrientedData(
        [scene.image for scene in scenes],
        [rotated(scene.boxes) for scene in scenes],
        [np.zeros_like(scene.labels) for scene in scenes],
        [scene.difficult for scene in scenes],
        data.CLASSES,
    )
    right = predicting.predictions(
        model.build(), predicting.stages(SUITES["oriented"]), some.images
    )
    moved = [replace(one, corners=one.corners + np.float32([14, 0])) for one in right]
    unsure = [replace(one, scores=one.scores * np.float32(0.4)) for one in right]
    return breaking.scored(OrientedBoxes(), some, right, moved=moved, unsure=unsure)


@pytest.mark.parametrize(("suite", "recipe", "budget"), breaking.budgets(SUITES))
def test_it_can_break(suite: str, recipe: Recipe, budget: Budget, turned: breaking.Scored) -> None:
    """By boxes that moved, scores that fell, or values that are far worse."""
    trial = breaking.Trial(SUITES[suite].task, recipe, budget, turned.right)
    wrong = "unsure" if budget.metric == "score_shift" else "moved"
    assert trial.verdicts([turned.worse[wrong]]) == (Status.PASS, [Status.FAIL])


def test_the_weights_are_small_and_trained() -> None:
    """Under 8 MB, and a column for each cell of any input's size."""
    assert model.WEIGHTS.stat().st_size < 8_000_000
    detector = model.build()
    assert not detector.training
    with torch.inference_mode():
        output = detector(torch.rand(2, 3, 64, 96))
    assert output.shape == (2, 4 + len(data.CLASSES) + 1, 8 * 12)
