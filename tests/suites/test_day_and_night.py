"""The digit detector on two cameras: 8 bits that were calibrated for one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")

from pytest_perfgate.records.accuracy import Accuracy  # noqa: E402 - after what may skip
from pytest_perfgate.suite import reading  # noqa: E402 - same
from pytest_perfgate.suite.metrics import metrics_of  # noqa: E402 - same
from pytest_perfgate.tasks.attributes import attribute, sliced  # noqa: E402 - same
from pytest_perfgate.tasks.detection.coco_scores import evaluate  # noqa: E402 - same
from pytest_perfgate.verdicts.evidence import Evidence  # noqa: E402 - same
from pytest_perfgate.verdicts.judge import judge  # noqa: E402 - same

from suites.day_and_night import data  # noqa: E402 - same
from suites.digits import model  # noqa: E402 - same
from tests.suites.predicting import one_thread, predictions, stages  # noqa: E402 - same
from tests.verdicts.judging import NOW, RISK, recipe  # noqa: E402 - same

ROOT = Path(__file__).parents[2]


def calibrated(network: Any, pipeline: Any, images: list[Any]) -> Any:
    """A network whose inputs and activations have 255 steps up to the largest value that each has
    in some images, as a static quantizer gives them.
    """
    largest: dict[Any, float] = {}

    def see(layer: Any, tensor: Any) -> None:
        largest[layer] = max(largest.get(layer, 0.0), float(tensor.max()))

    def cut(layer: Any, tensor: Any) -> Any:
        step = largest[layer] / 255
        return tensor.clamp(0, largest[layer]).div_(step).round_().mul_(step)

    layers = [layer for layer in network.modules() if isinstance(layer, torch.nn.ReLU)]
    hooks = [network.register_forward_pre_hook(lambda layer, given: see(layer, given[0]))]
    hooks += [
        layer.register_forward_hook(lambda one, _, output: see(one, output)) for layer in layers
    ]
    predictions(network, pipeline, images)
    for hook in hooks:
        hook.remove()
    network.register_forward_pre_hook(lambda layer, given: (cut(layer, given[0]),))
    for layer in layers:
        layer.register_forward_hook(lambda one, _, output: cut(one, output))
    return network


@pytest.mark.slow
def test_a_calibration_for_one_camera_is_red_on_the_other_while_map_is_green() -> None:
    """By the budgets of the demo suite: the slice of the camera in the yard breaks its own."""
    file = ROOT / "suites" / "day_and_night" / "recipes.toml"
    suite = reading.read(file, ROOT).suite
    assert suite is not None
    pipeline, validation = stages(suite), data.validation()
    images = [np.array(image) for image in validation.images]
    learned = [np.array(data.calibration().images[row]) for row in range(24)]
    with one_thread():
        before = predictions(model.build(), pipeline, images)
        int8 = calibrated(model.build(), pipeline, learned)
        after = predictions(int8, pipeline, images)
    camera = sliced(attribute(validation, "camera"), suite.slices["camera"])

    def scored(predicted: list[Any]) -> Accuracy:
        return evaluate(validation, predicted).model_copy(update={"slices": {"camera": camera}})

    evidence = Evidence(
        record=recipe("int8", 0.01).model_copy(update={"accuracy": scored(after)}),
        reference=recipe("fp32", 0.01).model_copy(update={"accuracy": scored(before)}),
    )
    metrics = metrics_of(suite.task, suite.scopes)
    verdicts = {
        budget.metric: judge(budget, metrics[budget.metric], evidence, RISK, NOW)
        for budget in suite.recipes["int8"].budgets
    }
    assert verdicts["map"].status == "PASS"
    assert verdicts["map@camera"].status == "FAIL"
    assert verdicts["map@camera"].reason.startswith("map@camera=yard is -0.")
