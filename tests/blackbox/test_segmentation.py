"""A suite of the task `segmentation`, measured and judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Project, said

SIDE, STRIDE = 48, 4

RECIPES = """
[suite]
task  = "segmentation"
model = "colours.onnx"

[suite.data.validation]
images  = "validation/images"
masks   = "validation/masks"
classes = ["red", "green", "blue", "white"]

[suite.output]
format  = "classes"
classes = [2, 1, 0, 3]

[[recipe]]
name    = "plain"
runtime = "onnxruntime"
[recipe.budgets]
miou           = { min = 0.7 }
pixel_accuracy = { min = 0.8 }

[[recipe]]
name    = "moody"
from    = "plain"
runtime = "moody"
[recipe.budgets]
miou        = { drop = 0.05 }
boundary_f  = { drop = 0.05 }
agreement   = { min = 0.95 }
score_shift = { max = 0.05 }
"""


def colours(folder: Path) -> None:
    """Images of three coloured fields with noise, and their masks; a row is ignored."""
    from PIL import Image

    random = np.random.default_rng(3)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for index in range(20):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        cut, turn = random.integers(12, 36, 2)
        mask[:cut, turn:] = 1
        mask[cut:] = 2
        pixels = random.integers(0, 100, (SIDE, SIDE, 3), dtype=np.uint8)
        rows, columns = np.indices(mask.shape)
        pixels[rows, columns, mask] += 100
        mask[-1] = 255
        Image.fromarray(pixels).save(folder / f"images/{index}.png")
        Image.fromarray(mask).save(folder / f"masks/{index}.png")


def segmenter(path: Path) -> None:
    """An ONNX graph that gives a pixel the class of its brightest channel, blue first, and a fourth
    class that is never best: logits (N, 4, h / 4, w / 4).
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    order = np.zeros((4, 3, 1, 1), np.float32)
    order[:3, :, 0, 0] = np.eye(3)[::-1] * 20
    graph = helper.make_graph(
        [
            helper.make_node(
                "AveragePool", ["x"], ["mean"], kernel_shape=[STRIDE] * 2, strides=[STRIDE] * 2
            ),
            helper.make_node("Conv", ["mean", "order"], ["logits"]),
        ],
        "colours",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 4, 12, 12])],
        [numpy_helper.from_array(order, "order")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)


def test_a_segmenter_is_judged_by_the_pixels_of_its_masks(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recipe that knows one class is red by every metric, and its images are in the session with
    overlays; the class that nobody has is left out of the mean, and a note says so.
    """
    colours(project.suite / "validation")
    segmenter(project.suite / "colours.onnx")
    project.write(RECIPES)
    monkeypatch.setenv("MOODY", "knows_one_channel")
    monkeypatch.setenv("MOODY_STAGE", "evaluate")
    result = project.run()
    assert project.verdicts() == {
        "plain-miou": "PASS",
        "plain-pixel_accuracy": "PASS",
        "moody-miou": "FAIL",
        "moody-boundary_f": "FAIL",
        "moody-agreement": "FAIL",
        "moody-score_shift": "FAIL",
    }
    said(result, "recipe ", "miou")
    plain, moody = project.sessions()[-1]["suites"][0]["recipes"]
    assert set(plain["accuracy"]["per_category"]) == {"red", "green", "blue"}
    assert any(
        note.endswith("no mask or prediction has a pixel of: white")
        for note in plain["accuracy"]["notes"]
    )
    assert moody["accuracy"]["values"]["boundary_f"] == 0.0
    assert len(moody["worse"]) == 4
    assert all(image["recipe_overlay"] for image in moody["worse"])
