"""Every budget of the suite of labels: kept by the network as it is, broken by a worse one."""

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
from pytest_perfgate.tasks.multilabel import Multilabel  # noqa: E402 - same
from pytest_perfgate.tasks.multilabel.data import MultilabelData  # noqa: E402 - same

from suites.labels import data, model  # noqa: E402 - same
from tests.suites import breaking, predicting  # noqa: E402 - same

SCENES = 240
SUITES = {"labels": breaking.suite("labels")}


@pytest.fixture(scope="module")
def labelled() -> breaking.Scored:
    """Of some validation scenes, by the suite's own stages. Worse: scores of the class before the
    right one (`reordered`), and 40 % of the score (`unsure`).
    """
    some = data.scenes(data.SPLITS["validation"], 77, SCENES)
    truth = MultilabelData([one.image for one in some], data.labels(some), data.CLASSES)
    pipeline = predicting.stages(SUITES["labels"])
    right = predicting.predictions(model.build(), pipeline, truth.images)
    reordered = [replace(one, scores=np.roll(one.scores, 1)) for one in right]
    unsure = [replace(one, scores=one.scores * np.float32(0.4)) for one in right]
    return breaking.scored(Multilabel(), truth, right, reordered=reordered, unsure=unsure)


@pytest.mark.parametrize(("suite", "recipe", "budget"), breaking.budgets(SUITES))
def test_it_can_break(
    suite: str, recipe: Recipe, budget: Budget, labelled: breaking.Scored
) -> None:
    """By classes in another order, scores that fell, or values that are far worse."""
    trial = breaking.Trial(SUITES[suite].task, recipe, budget, labelled.right)
    worse = "unsure" if budget.metric == "score_shift" else "reordered"
    assert trial.verdicts([labelled.worse[worse]]) == (Status.PASS, [Status.FAIL])


def test_the_network_takes_any_size_and_is_the_detector() -> None:
    """Its labels are the detector's best boxes: no weights of its own."""
    assert model.WEIGHTS.stat().st_size < 8_000_000
    network = model.build()
    assert not network.training
    images = torch.rand(2, 3, 64, 96)
    with torch.inference_mode():
        _, scores = network.detector(images)
        torch.testing.assert_close(network(images).sigmoid(), scores.amax(1))
