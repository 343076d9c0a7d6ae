"""The tiny detector of bright squares, its images and its suite, made where a test needs them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

SIDE = 64
WINDOW, STRIDE = 16, 8

HEAD = """\
[suite]
task  = "detection"
model = "squares.onnx"
batch = 4

[suite.data]
calibration = { images = "calibration", annotations = "calibration.json" }
validation  = { images = "validation", annotations = "validation.json" }

"""
PLAIN = """\
[[recipe]]
name    = "plain"
runtime = "onnxruntime"
[recipe.budgets]
map           = { min = 0.5, regression = 0.01 }
latency_p50   = { max = "2 s", regression = "40%" }
artifact_size = { max = "1 MB" }

"""
RECIPES = (
    HEAD
    + PLAIN
    + """\
[[recipe]]
name    = "moody"
from    = "plain"
runtime = "moody"
[recipe.budgets]
map         = { drop = 0.02 }
latency_p50 = { regression = "40%" }
peak_memory = { max = "100 MB" }
"""
)
"""The suite of most projects of tests: its tables, its first recipe, and one that misbehaves."""


def squares_model(path: Path) -> None:
    """An ONNX graph that calls bright windows squares: boxes (N, A, 4), scores (N, A, 1)."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    count = (SIDE - WINDOW) // STRIDE + 1
    corners = [
        [x * STRIDE, y * STRIDE, x * STRIDE + WINDOW, y * STRIDE + WINDOW]
        for y in range(count)
        for x in range(count)
    ]
    constants: dict[str, Any] = {
        "weight": np.full((1, 3, WINDOW, WINDOW), 1 / (3 * WINDOW**2), np.float32),
        "level": np.array(0.6, np.float32),
        "gain": np.array(20.0, np.float32),
        "flat": np.array([0, -1, 1], np.int64),
        "corners": np.array([corners], np.float32),
        "zero": np.array([0], np.int64),
        "tail": np.array([1, 1], np.int64),
    }
    node = helper.make_node
    graph = helper.make_graph(
        [
            node("Conv", ["x", "weight"], ["mean"], strides=[STRIDE, STRIDE], name="conv"),
            node("Sub", ["mean", "level"], ["above"]),
            node("Mul", ["above", "gain"], ["steep"]),
            node("Sigmoid", ["steep"], ["score"]),
            node("Reshape", ["score", "flat"], ["scores"]),
            node("Shape", ["x"], ["shape"]),
            node("Gather", ["shape", "zero"], ["batch"]),
            node("Concat", ["batch", "tail"], ["wanted"], axis=0),
            node("Expand", ["corners", "wanted"], ["boxes"]),
        ],
        "squares",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["batch", count**2, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", count**2, 1]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def coco_folder(folder: Path, name: str, count: int, seed: int) -> None:
    """`count` images of bright squares as PNG, and their instances as JSON."""
    from PIL import Image

    random = np.random.default_rng(seed)
    (folder / name).mkdir()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(count):
        pixels = random.integers(0, 90, (SIDE, SIDE, 3), dtype=np.uint8)
        for _ in range(int(random.integers(1, 3))):
            x, y = (int(each) * STRIDE for each in random.integers(0, 7, 2))
            pixels[y : y + WINDOW, x : x + WINDOW] = random.integers(200, 255)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index + 1,
                    "category_id": 1,
                    "bbox": [x, y, WINDOW, WINDOW],
                }
            )
        file = f"{index}.png"
        Image.fromarray(pixels).save(folder / name / file)
        images.append({"id": index + 1, "width": SIDE, "height": SIDE, "file_name": file})
    coco = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "square"}],
    }
    (folder / f"{name}.json").write_text(json.dumps(coco))


def squares_project(tiny_suite: Path, folder: Path) -> None:
    """The model and the data of the suite, in a folder of their own: links would leave its root."""
    shutil.copytree(tiny_suite, folder, dirs_exist_ok=True)
