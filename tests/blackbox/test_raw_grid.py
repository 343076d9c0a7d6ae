"""A detector whose graph gives raw cells, for one image at a time, goes through a whole session."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Project
from tests.squares import HEAD, SIDE, STRIDE, WINDOW

SUITE = """
[suite.output]
decode = "yolox"
options = { strides = [8] }

[[recipe]]
name    = "plain"
runtime = "onnxruntime"
[recipe.budgets]
map = { min = 0.3 }
"""


def grid(file: Path) -> None:
    """The detector of bright squares as YOLOX is exported without its decoding: (1, A, 5 + 1), in
    the 8 x 8 cells of stride 8; the batch is fixed at one.
    """
    from onnx import TensorProto, checker, helper, numpy_helper, save

    node, cells = helper.make_node, SIDE // STRIDE
    side = np.log(WINDOW / STRIDE)
    boxes = np.tile(np.float32([1, 1, side, side]), (1, cells**2, 1))
    constants = {
        "weight": np.full((1, 3, WINDOW, WINDOW), 1 / (3 * WINDOW**2), np.float32),
        "level": np.array(0.6, np.float32),
        "gain": np.array(20.0, np.float32),
        "rows": np.array([1, -1, 1], np.int64),
        "boxes": boxes,
        "ones": np.ones((1, cells**2, 1), np.float32),
    }
    nodes = [
        # The window of a cell begins at its corner; beyond the picture it is dark.
        node("Conv", ["x", "weight"], ["mean"], strides=[STRIDE] * 2, pads=[0, 0, 8, 8]),
        node("Sub", ["mean", "level"], ["above"]),
        node("Mul", ["above", "gain"], ["steep"]),
        node("Sigmoid", ["steep"], ["score"]),
        node("Reshape", ["score", "rows"], ["chance"]),
        node("Concat", ["boxes", "chance", "ones"], ["output"], axis=2),
    ]
    graph = helper.make_graph(
        nodes,
        "grid",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, cells**2, 6])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    save(model, file)


def test_a_raw_grid_with_a_fixed_batch_ends_in_verdicts(project: Project) -> None:
    """Decoded by the size of its input, without an edit of the graph."""
    pytest.importorskip("onnxruntime", reason="pip install 'pytest-perfgate[onnx]'")
    grid(project.suite / "squares.onnx")
    project.write(HEAD + SUITE)
    project.run()
    assert project.verdicts() == {"plain-map": "PASS"}
