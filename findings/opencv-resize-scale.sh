#!/usr/bin/env bash
# OpenCV throws the scale of a Resize away once it has a size: 10 pixels times 1.25 are scaled by 1.2
#
# Versions     opencv-python-headless 5.0.0.93, openvino 2026.4.1, onnxruntime 1.31.1, onnx 1.23.2
#              (numpy 2.4.6, Python 3.11)
# Behaviour    Resize with scales, 10 columns times 1.25: the output has floor(12.5) = 12 columns, and a
#              column's place in the input follows from the scale, 1.25. OpenCV, in its new and in its
#              classic engine, keeps the 12 and divides by 12 / 10 = 1.2: the picture is stretched, and its
#              right edge lies more than half a pixel off. Shapes agree, so nothing warns. Scales that give whole sizes
#              (1.5) agree in all runtimes.
# Output       scale 1.25: onnxruntime 0 0.7 1.5 ... 7.1 7.9 8.7
#                openvino: as onnxruntime
#                OpenCV, new engine: 0 0.75 1.58 ... 7.42 8.25 9
#                OpenCV, classic engine: 0 0.75 1.58 ... 7.42 8.25 9
#              scale 1.5: onnxruntime 0 0.5 1.17 ... 7.83 8.5 9
#                openvino: as onnxruntime
#                OpenCV, new engine: as onnxruntime
#                OpenCV, classic engine: as onnxruntime
# Wrong guess  "Scales and sizes are two ways to say the same": only where the product is whole. torch's
#              interpolate(scale_factor=1.25) writes scales, and with recompute_scale_factor=True sizes: then
#              1.2 is right.
# Source       Found by running one operator at a time through four engines. Operators.md, Resize:
#              output_dimension = floor(input_dimension * scale), and x_original is computed with the scale.
# What to do   Choose sizes and scales that multiply to whole numbers, or export with
#              recompute_scale_factor=True, which makes every runtime agree (and changes the network a little).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet opencv-python-headless==5.0.0.93 openvino==2026.4.1 onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
cd "$work"
export CI=true  # no telemetry
venv/bin/python - <<'PY'
import math
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper

picture = np.tile(np.arange(10, dtype=np.float32), (1, 1, 4, 1))  # each pixel has its column's number


def answers(scale):
    """The first row of each runtime's output."""
    resize = helper.make_node(
        "Resize", ["x", "", "scales"], ["y"], mode="linear",
        coordinate_transformation_mode="pytorch_half_pixel",
    )  # fmt: skip
    graph = helper.make_graph(
        [resize],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, picture.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 4, math.floor(10 * scale)])],
        [numpy_helper.from_array(np.array([1, 1, 1, scale], np.float32), "scales")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    given = {"onnxruntime": onnxruntime.InferenceSession("model.onnx").run(None, {"x": picture})[0]}
    precision = {"INFERENCE_PRECISION_HINT": "f32"}
    given["openvino"] = openvino.Core().compile_model("model.onnx", "CPU", precision)(picture)[0]
    for name, engine in (("new", cv2.dnn.ENGINE_NEW), ("classic", cv2.dnn.ENGINE_CLASSIC)):
        network = cv2.dnn.readNetFromONNX("model.onnx", engine)
        network.setInput(picture, "x")
        given[f"OpenCV, {name} engine"] = network.forward("y")
    return {name: array[0, 0, 0] for name, array in given.items()}


def show(row):
    words = [f"{value:.3g}" for value in row]
    return " ".join([*words[:3], "...", *words[-3:]])


wrong = []
for scale in (1.25, 1.5):
    rows = answers(scale)
    right = rows.pop("onnxruntime")
    print(f"scale {scale}: onnxruntime {show(right)}")
    for name, row in rows.items():
        same = np.allclose(row, right, atol=1e-4)
        print(f"  {name}: {'as onnxruntime' if same else show(row)}")
        if not same:
            wrong.append((scale, name))
if wrong != [(1.25, "OpenCV, new engine"), (1.25, "OpenCV, classic engine")]:
    sys.exit("The behaviour changed.")
PY
