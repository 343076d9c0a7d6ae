"""Pixels by the project's own function, of pictures of several sizes, in whole sessions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.blackbox.test_base import git
from tests.conftest import Project, said

pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")
pytest.importorskip("sklearn", reason="pip install 'pytest-perfgate[classification]'")

RECIPES = """\
[suite]
task = "classification"
model = "colours.onnx"
batch = 4
[suite.data]
validation = { images = "pictures" }
[suite.input]
preprocess = "own_pixels:prepare"
[[recipe]]
name = "fp32"
runtime = "onnxruntime"
[recipe.budgets]
accuracy = { min = 0.9 }
throughput = { min = "1 images/s" }
"""
PREPARE = """\
import numpy as np

def prepare(image):
    return (image / 255).astype(np.float32).transpose(2, 0, 1), None
"""


def pictures(folder: Path) -> None:
    """Fifteen pictures each of three classes, bright in red, green or blue, of three sizes."""
    from PIL import Image

    random = np.random.default_rng(0)
    for label in range(3):
        (folder / str(label)).mkdir(parents=True)
        for index in range(15):
            pixels = random.integers(0, 90, (16 + 8 * (index % 3), 24, 3), dtype=np.uint8)
            pixels[:, :, label] += 120
            Image.fromarray(pixels).save(folder / str(label) / f"{index}.png")


def colours(path: Path) -> None:
    """A classifier of the brightest channel, of pictures of any size."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["flat"]),
            helper.make_node("MatMul", ["flat", "gain"], ["logits"]),
        ],
        "colours",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, "height", "width"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(np.eye(3, dtype=np.float32) * 40, "gain")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)


def commit(project: Project) -> None:
    """The project as it is, in a repository."""
    (project.root / ".gitignore").write_text("site\nreports\n__pycache__\n.perfgate\n")
    git(project.root, "init", "--quiet", "--initial-branch", "main")
    git(project.root, "add", "--all")
    git(project.root, "commit", "--quiet", "--message", "first")


def test_an_own_function_prepares_pictures_of_several_sizes(project: Project) -> None:
    """Every budget has its verdict, that of batches too; an edit of the function is evaluated."""
    pictures(project.suite / "pictures")
    colours(project.suite / "colours.onnx")
    project.write(RECIPES)
    own = project.root / "own_pixels.py"
    own.write_text(PREPARE)
    result = project.run()
    assert project.verdicts() == {"fp32-accuracy": "PASS", "fp32-throughput": "INCONCLUSIVE"}
    said(result, "images/s: 1 launch is too few")  # it proves no bound; without one there is none

    # The base has the right function and is evaluated in the same session: no score is shared.
    commit(project)
    own.write_text(PREPARE.replace("1)", "1)[::-1].copy()"))  # another order of channels
    result = project.run("-k", "accuracy", "--perf-base", "HEAD")
    assert project.verdicts()["fp32-accuracy"] == "ERROR"
    said(result, "0.3333", "[suite.output] classes = [2, 1, 0]")

    own.write_text("def other(image): ...\n")
    result = project.run("-k", "accuracy")
    said(result, "'own_pixels' has no function 'prepare'", "suite.input.preprocess", "valid: other")
