"""A suite of the task `classification`, measured and judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import DECIDED, Project, said

SIDE = 16
NAMES = ("blue", "green", "red")

RECIPES = """
[suite]
task  = "classification"
model = "colours.onnx"
batch = 4

[suite.data]
validation  = { images = "validation" }
calibration = { images = "calibration" }

[[recipe]]
name    = "plain"
runtime = "onnxruntime"
[recipe.budgets]
accuracy    = { min = 0.8 }
f1          = { min = 0.8 }
latency_p50 = { max = "1 s" }

[[recipe]]
name    = "moody"
from    = "plain"
runtime = "moody"
[recipe.budgets]
accuracy    = { drop = 0.05 }
recall      = { drop = 0.05 }
agreement   = { min = 0.95 }
"""


def colours(folder: Path, name: str, seed: int) -> None:
    """Images of one colour each, with noise, in a folder for each class."""
    from PIL import Image

    random = np.random.default_rng(seed)
    for row, colour in enumerate(NAMES):
        place = folder / name / colour
        place.mkdir(parents=True)
        for index in range(20):
            pixels = random.integers(0, 120, (SIDE, SIDE, 3), dtype=np.uint8)
            pixels[..., 2 - row] += 60
            Image.fromarray(pixels).save(place / f"{index}.png")


def classifier(path: Path) -> None:
    """An ONNX graph that calls an image by its brightest channel: logits (N, 3)."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    order = np.eye(3, dtype=np.float32)[::-1] * 40
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["flat"]),
            helper.make_node("MatMul", ["flat", "order"], ["logits"]),
        ],
        "colours",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(order, "order")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)


@pytest.fixture
def classifiers(project: Project) -> Project:
    """The project with a classifier of colours in its suite."""
    pytest.importorskip("sklearn", reason="pip install 'pytest-perfgate[classification]'")
    colours(project.suite, "validation", 1)
    colours(project.suite, "calibration", 2)
    classifier(project.suite / "colours.onnx")
    project.write(RECIPES)
    return project


def test_a_classifier_that_is_right_is_green(classifiers: Project) -> None:
    """Its accuracy is in the summary, in place of a detector's map."""
    result = classifiers.run(*DECIDED)
    assert set(classifiers.verdicts().values()) == {"PASS"}
    said(result, "recipe  accuracy  ")


def test_a_classifier_that_knows_one_class_is_red(
    classifiers: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By every metric that says so, on the evidence of the images."""
    monkeypatch.setenv("MOODY", "knows_one_class")
    monkeypatch.setenv("MOODY_STAGE", "evaluate")
    classifiers.run("-k", "moody")
    assert classifiers.verdicts() == {
        "moody-accuracy": "FAIL",
        "moody-recall": "FAIL",
        "moody-agreement": "FAIL",
    }
    recipe = classifiers.sessions()[-1]["suites"][0]["recipes"][1]
    assert recipe["accuracy"]["values"]["accuracy"] == pytest.approx(1 / 3)
