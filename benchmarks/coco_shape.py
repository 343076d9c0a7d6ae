"""A data set of COCO val2017's shape, made up: pictures, instances, and a small ONNX detector.

The objects of a picture are written into its first rows of blocks, of 8 x 8 pixels; the network
reads them there and moves, misnames and doubles them by the grey values of the other blocks. So
detections are as many and as wrong as a detector's, and recipes of it differ as a detector's do.
`python -m benchmarks.coco_shape FOLDER` writes a suite of eight recipes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SIDE, _BLOCK = 320, 8
CATEGORIES = 80
_GRID = SIDE // _BLOCK
_SLOTS, _CODE = 16, 5  # objects that a picture can hold, and the blocks of each
_ROWS = _SLOTS * _CODE // _GRID
_CANDIDATES = 3  # detections of a slot
_NOISE = 6  # blocks that make a detection differ from its object

SUITE = """\
[suite]
name  = "coco_shape"
task  = "detection"
model = "detector.onnx"
[suite.input]
size = [320, 320]
[suite.output]
decode = "ultralytics_nms"
score_threshold = 0.15
[suite.data]
calibration = { images = "calibration", annotations = "calibration.json" }
validation  = { images = "validation", annotations = "validation.json" }

[[recipe]]
name    = "fp32"
runtime = "onnxruntime"
[recipe.budgets]
map         = { min = 0.2, regression = 0.01 }
latency_p50 = { max = "2 s", regression = "40%" }
"""
"""The suite's first tables; `_RECIPES` follow."""

_RECIPES = {
    "simplified": '[{ simplify = "onnxslim" }]',
    "half": '[{ half = "float16", tolerance = 1.0 }]',
    "int8": '[{ quantize = "static" }]',
    "int8_tensor": '[{ quantize = "static", per_channel = false }]',
    "int8_percentile": '[{ quantize = "static", calibrate_method = "percentile" }]',
    "int8_symmetric": (
        '[{ quantize = "static", activations = "int8", activation_symmetric = true }]'
    ),
    "int8_weights": '[{ quantize = "weight_only" }]',
}


def scene(random: np.random.Generator) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """The blocks' grey values (40, 40) of one picture, and rows of its objects (K, 5): x and y of
    the middle, width, height, and 1 + category, each as a grey value.
    """
    blocks = random.integers(0, 256, (_GRID, _GRID), dtype=np.uint8)
    codes = blocks[:_ROWS].reshape(_SLOTS, _CODE)
    count = min(1 + random.geometric(1 / 6.9), _SLOTS)
    kinds = np.minimum(random.zipf(1.35, random.geometric(1 / 2.9)) - 1, 10**6) % CATEGORIES
    sizes = np.clip(np.exp(random.normal(3.4, 0.8, (_SLOTS, 2))), 5, 200)
    codes[:, 2:4] = sizes
    codes[:, :2] = random.integers(20, 236, (_SLOTS, 2))
    codes[:, 4] = 0
    codes[:count, 4] = 3 * (1 + random.choice(kinds, count))
    return blocks, codes[:count].copy()


def write_split(folder: Path, name: str, count: int, seed: int) -> None:
    """`count` pictures as JPEG, and their instances as JSON."""
    from PIL import Image

    random = np.random.default_rng(seed)
    (folder / name).mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(count):
        blocks, codes = scene(random)
        file = f"{index:012d}.jpg"
        pixels = np.kron(blocks, np.ones((_BLOCK, _BLOCK), np.uint8))
        Image.fromarray(pixels).convert("RGB").save(folder / name / file, quality=90)
        images.append({"id": index + 1, "width": SIDE, "height": SIDE, "file_name": file})
        for x, y, width, height, kind in codes.tolist():
            scale = SIDE / 255
            box = [(x - width / 2) * scale, (y - height / 2) * scale, width * scale, height * scale]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index + 1,
                    "category_id": kind // 3,
                    "bbox": [round(side, 2) for side in box],
                    "area": round(box[2] * box[3] * 0.7, 2),
                    "iscrowd": int(random.random() < 0.01),
                }
            )
    coco = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": row + 1, "name": f"kind {row}"} for row in range(CATEGORIES)],
    }
    (folder / f"{name}.json").write_text(json.dumps(coco), encoding="utf-8")


def write_detector(file: Path) -> None:
    """An ONNX graph with rows of corners, score and class, (N, 48, 6)."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    # Not a plain mean: pixels that move against each other would move no output.
    weight = np.random.default_rng(0).uniform(0.5, 1.5, (1, 3, _BLOCK, _BLOCK)).astype(np.float32)
    arrays = {
        "weight": weight / weight.sum(),
        "zero": np.array([0], np.int64),
        "codes_to": np.array([_ROWS * _GRID], np.int64),
        "noise_to": np.array([_ROWS * _GRID + _SLOTS * _CANDIDATES * _NOISE], np.int64),
        "last": np.array([1], np.int64),
        "flat": np.array([0, -1], np.int64),
        "as_codes": np.array([0, _SLOTS, 1, _CODE], np.int64),
        "as_noise": np.array([0, _SLOTS, _CANDIDATES, _NOISE], np.int64),
        "as_rows": np.array([0, _SLOTS * _CANDIDATES, 6], np.int64),
        "parts": np.array([2, 2, 1], np.int64),
        "noise_parts": np.array([2, 2, 1, 1], np.int64),
        "side": np.array(float(SIDE), np.float32),
        "half": np.array(0.5, np.float32),
        "shift": np.array([0.1, 0.4, 0.8], np.float32).reshape(1, 1, 3, 1),
        "swell": np.array([0.3, 0.8, 1.2], np.float32).reshape(1, 1, 3, 1),
        "best": np.array([0.97, 0.5, 0.35], np.float32).reshape(1, 1, 3, 1),
        "fall": np.array(0.35, np.float32),
        "wrong": np.array([0.1, 0.3, 0.4], np.float32).reshape(1, 1, 3, 1),
        "levels": np.array(85.0, np.float32),
        "one": np.array(1.0, np.float32),
        "kinds": np.array(float(CATEGORIES), np.float32),
        "guess": np.array(0.2, np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "weight"], ["grey"], strides=[_BLOCK, _BLOCK], name="blocks"),
        node("Reshape", ["grey", "flat"], ["row"]),
        node("Slice", ["row", "zero", "codes_to", "last"], ["first"]),
        node("Slice", ["row", "codes_to", "noise_to", "last"], ["other"]),
        node("Reshape", ["first", "as_codes"], ["codes"]),
        node("Reshape", ["other", "as_noise"], ["noise"]),
        node("Split", ["codes", "parts"], ["middle0", "size0", "level"], axis=3),
        node("Split", ["noise", "noise_parts"], ["move", "grow", "doubt", "chance"], axis=3),
        node("Mul", ["middle0", "side"], ["middle1"]),
        node("Mul", ["size0", "side"], ["size1"]),
        node("Sub", ["move", "half"], ["move0"]),
        node("Mul", ["move0", "shift"], ["move1"]),
        node("Mul", ["move1", "size1"], ["move2"]),
        node("Add", ["middle1", "move2"], ["middle"]),
        node("Sub", ["grow", "half"], ["grow0"]),
        node("Mul", ["grow0", "swell"], ["grow1"]),
        node("Exp", ["grow1"], ["grow2"]),
        node("Mul", ["grow2", "size1"], ["size2"]),
        node("Mul", ["size2", "half"], ["reach"]),
        node("Sub", ["middle", "reach"], ["left"]),
        node("Add", ["middle", "reach"], ["right"]),
        node("Mul", ["level", "levels"], ["kind0"]),
        node("Round", ["kind0"], ["kind1"]),
        node("Sub", ["kind1", "one"], ["kind2"]),
        node("Greater", ["kind1", "half"], ["there"]),
        node("Less", ["chance", "wrong"], ["misnamed"]),
        node("Mul", ["chance", "kinds"], ["other0"]),
        node("Sub", ["kinds", "one"], ["highest"]),
        node("Floor", ["other0"], ["other1"]),
        node("Min", ["other1", "highest"], ["other2"]),
        node("Not", ["there"], ["absent"]),
        node("Or", ["absent", "misnamed"], ["guessed"]),
        node("Min", ["kind2", "highest"], ["kind3"]),
        node("Where", ["guessed", "other2", "kind3"], ["kind"]),
        node("Mul", ["doubt", "fall"], ["doubt0"]),
        node("Sub", ["best", "doubt0"], ["sure"]),
        node("Mul", ["doubt", "guess"], ["unsure"]),
        node("Where", ["there", "sure", "unsure"], ["score"]),
        node("Concat", ["left", "right", "score", "kind"], ["rows"], axis=3),
        node("Reshape", ["rows", "as_rows"], ["detections"]),
    ]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [
            helper.make_tensor_value_info(
                "detections", TensorProto.FLOAT, ["batch", _SLOTS * _CANDIDATES, 6]
            )
        ],
        [numpy_helper.from_array(value, name) for name, value in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, file)


def write_suite(folder: Path, count: int, *, recipes: bool = True) -> None:
    """A suite with `count` validation images and eight recipes, in a new `folder`."""
    write_split(folder, "validation", count, seed=1)
    write_split(folder, "calibration", 64, seed=2)
    write_detector(folder / "detector.onnx")
    text = SUITE
    for name, chain in _RECIPES.items() if recipes else ():
        text += f'\n[[recipe]]\nname = "{name}"\nfrom = "fp32"\nsteps = {chain}\n'
        text += "[recipe.budgets]\nmap = { drop = 0.5, regression = 0.01 }\n"
    (folder / "recipes.toml").write_text(text, encoding="utf-8")
    (folder / "test_coco_shape.py").write_text(
        'def test_budget(budget):\n    """Every budget is kept."""\n    budget.check()\n',
        encoding="utf-8",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the suite."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coco_shape", description=__doc__)
    parser.add_argument("folder", type=Path, help="a folder that is not there yet")
    parser.add_argument("--images", type=int, default=5_000, help="validation images")
    options = parser.parse_args(arguments)
    write_suite(options.folder, options.images)
    return 0


if __name__ == "__main__":
    sys.exit(main())
