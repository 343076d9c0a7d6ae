#!/usr/bin/env bash
# OpenCV knows the cubic GridSample by its old name alone: from opset 20 on it samples linearly
#
# Versions     opencv-python-headless 5.0.0.93, onnxruntime 1.31.1, onnx 1.23.2 (numpy 2.4.6, Python 3.11)
# Behaviour    Opset 20 gave the modes of GridSample new names: bilinear became linear, bicubic became
#              cubic. OpenCV's importer reads "bicubic" of opset 16 and samples as ONNX Runtime does. For
#              "cubic" of opset 20 it samples linearly, to the last digit, and says nothing.
# Output       opset 16 bicubic: onnxruntime 11.60 14.01 16.97 20.16, OpenCV 11.60 14.01 16.97 20.16
#              opset 20 cubic: onnxruntime 11.60 14.01 16.97 20.16, OpenCV 14.14 16.79 19.61 22.59
#              opset 20 linear: onnxruntime 14.14 16.79 19.61 22.59, OpenCV 14.14 16.79 19.61 22.59
# Wrong guess  "A mode that an importer does not know is refused." And: "The version converter changed no
#              arithmetic, so converting the file to a newer opset cannot change what it computes."
# Source       Found by running one operator at a time through three runtimes. The change of names stands in
#              onnx/docs/Changelog.md, GridSample-20.
# What to do   Export cubic sampling with opset 16 to 19 for OpenCV, and compare outputs with another runtime.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet opencv-python-headless==5.0.0.93 onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PY'
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

picture = (np.arange(30, dtype=np.float32).reshape(1, 1, 5, 6) ** 1.5).astype(np.float32)
grid = np.zeros((1, 4, 5, 2), np.float32)
grid[..., 0] = np.linspace(-0.5, 0.5, 5)
grid[..., 1] = np.linspace(-0.5, 0.5, 4)[:, None]


def answers(opset, mode):
    """What both runtimes sample."""
    graph = helper.make_graph(
        [helper.make_node("GridSample", ["x", "grid"], ["y"], mode=mode)],
        "graph",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, picture.shape),
            helper.make_tensor_value_info("grid", TensorProto.FLOAT, grid.shape),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 4, 5])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    right = onnxruntime.InferenceSession("model.onnx").run(None, {"x": picture, "grid": grid})[0]
    network = cv2.dnn.readNetFromONNX("model.onnx")
    network.setInput(picture, "x")
    network.setInput(grid, "grid")
    return right, network.forward("y")


def show(values):
    return " ".join(f"{value:.2f}" for value in values.ravel()[:4])


agree = {}
given = {}
for opset, mode in ((16, "bicubic"), (20, "cubic"), (20, "linear")):
    right, other = answers(opset, mode)
    print(f"opset {opset} {mode}: onnxruntime {show(right)}, OpenCV {show(other)}")
    agree[mode] = np.allclose(right, other, atol=1e-3)
    given[mode] = other
if agree != {"bicubic": True, "cubic": False, "linear": True} or not np.allclose(
    given["cubic"], given["linear"]
):
    sys.exit("The behaviour changed.")
PY
