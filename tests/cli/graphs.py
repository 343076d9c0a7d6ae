"""ONNX files as exporters write them, for tests of `pytest-perfgate init`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SIDE, WINDOW, STRIDE = 64, 16, 8


def ultralytics(file: Path, names: Sequence[str], *, batch: int = 1) -> None:
    """A detector as Ultralytics exports YOLOv8: one output (1, 4 + C, A), and its metadata.

    It calls bright windows its class "square".
    """
    from onnx import helper, numpy_helper

    count = (SIDE - WINDOW) // STRIDE + 1
    grid = np.arange(count) * STRIDE + WINDOW / 2
    y, x = (axis.ravel() for axis in np.meshgrid(grid, grid, indexing="ij"))
    boxes = np.stack([x, y, np.full_like(x, WINDOW), np.full_like(x, WINDOW)])[None]
    classes = np.array([name == "square" for name in names], np.float32).reshape(1, -1, 1)
    constants = {
        "weight": np.full((1, 3, WINDOW, WINDOW), 1 / (3 * WINDOW**2), np.float32),
        "level": np.array(0.6, np.float32),
        "gain": np.array(20.0, np.float32),
        "flat": np.array([0, 1, -1], np.int64),
        "boxes": np.repeat(boxes, batch, axis=0).astype(np.float32),
        "classes": classes,
    }
    node = helper.make_node
    nodes = [
        node("Conv", ["images", "weight"], ["mean"], strides=[STRIDE, STRIDE]),
        node("Sub", ["mean", "level"], ["above"]),
        node("Mul", ["above", "gain"], ["steep"]),
        node("Sigmoid", ["steep"], ["score"]),
        node("Reshape", ["score", "flat"], ["row"]),
        node("Mul", ["row", "classes"], ["scores"]),
        node("Concat", ["boxes", "scores"], ["output0"], axis=1),
    ]
    save(
        file,
        nodes,
        {"images": [batch, 3, SIDE, SIDE]},
        {"output0": [batch, 4 + len(names), count**2]},
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
        {
            "description": "Ultralytics YOLOv8n model",
            "task": "detect",
            "batch": str(batch),
            "stride": "32",
            "imgsz": str([SIDE, SIDE]),
            "names": repr(dict(enumerate(names))),
        },
    )


def shaped(
    file: Path,
    outputs: Sequence[Sequence[Any]],
    *,
    image: Sequence[Any] = (1, 3, SIDE, SIDE),
    first: str = "Conv",
    last: str = "Identity",
    metadata: Mapping[str, str] | None = None,
) -> None:
    """A graph of these shapes that begins and ends with these operators; it cannot be run."""
    from onnx import helper

    names = [f"output{index}" for index in range(len(outputs))]
    nodes = [
        helper.make_node(first, ["images", "w"], ["inner"]),
        *(helper.make_node(last, ["inner"], [name]) for name in names),
    ]
    shapes = dict(zip(names, outputs, strict=True))
    save(file, nodes, {"images": image}, shapes, [], metadata or {})


def save(
    file: Path,
    nodes: Sequence[Any],
    inputs: Mapping[str, Sequence[Any]],
    outputs: Mapping[str, Sequence[Any]],
    weights: Sequence[Any],
    metadata: Mapping[str, str],
) -> None:
    """The graph as a file."""
    import onnx
    from onnx import helper

    def values(shapes: Mapping[str, Sequence[Any]]) -> list[Any]:
        kind = onnx.TensorProto.FLOAT
        return [helper.make_tensor_value_info(name, kind, of) for name, of in shapes.items()]

    graph = helper.make_graph(nodes, "main", values(inputs), values(outputs), weights)
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
        producer_name="pytorch",
    )
    helper.set_model_props(model, dict(metadata))
    onnx.save(model, file)
