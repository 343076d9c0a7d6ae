#!/usr/bin/env bash
# A Softmax over channels in a file of opset 11 is one distribution for ONNX Runtime, one per pixel for OpenVINO
#
# Versions     onnxruntime 1.31.1, openvino 2026.4.1, opencv-python-headless 5.0.0.93, onnx 1.23.2
#              (numpy 2.4.6, Python 3.11)
# Behaviour    Softmax with axis=1 on 3 channels of 2x2 pixels. Up to opset 12 that operator flattens: all
#              from the axis on is one row, so 12 numbers sum to 1. ONNX Runtime does so. OpenVINO does so for
#              opset 9 and 10, but for opset 11 and 12 it takes the later rule, one sum per pixel. OpenCV
#              and onnx's own reference take the later rule for every opset. LogSoftmax, which had the
#              same rule, is flattened by OpenVINO in opset 11 as well: the two disagree in one file.
# Output       sums over channels at each of 4 pixels
#              Softmax 9: onnxruntime 0.51 0.16 0.16 0.16, openvino as onnxruntime, opencv 1 1 1 1, reference 1 1 1 1
#              Softmax 11: onnxruntime 0.51 0.16 0.16 0.16, openvino 1 1 1 1, opencv 1 1 1 1, reference 1 1 1 1
#              Softmax 13: onnxruntime 1 1 1 1, openvino as onnxruntime, opencv as onnxruntime, reference as onnxruntime
#              exp(LogSoftmax) 11: onnxruntime 0.51 0.16 0.16 0.16, openvino as onnxruntime, opencv 1 1 1 1, reference 1 1 1 1
# Wrong guess  "ONNX Runtime is wrong here, for the others agree": it is the one that does what the file's
#              opset says. A writer that meant one sum per pixel and stamped the file as opset 11 is right in
#              OpenVINO and OpenCV, and has scores of a tenth in ONNX Runtime: thresholds drop everything,
#              the order of classes stays.
# Source       Found by running one operator at a time through four runtimes. Changelog.md, Softmax-11:
#              "Input does not need to explicitly be a 2D vector; rather, it will be coerced into one";
#              Softmax-13 describes the change.
# What to do   Convert old files with onnx.version_converter to opset 13 before they are compared (it writes
#              the flattening out), or export with opset 13 and later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet onnxruntime==1.31.1 openvino==2026.4.1 opencv-python-headless==5.0.0.93 onnx==1.23.2 numpy==2.4.6
cd "$work"
export CI=true  # no telemetry
venv/bin/python - <<'PY'
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

SHAPE = [1, 3, 2, 2]
scores = np.zeros(SHAPE, np.float32)
scores[0, 0, 0, 0] = 2.0


def answers(operator, opset):
    """Sums over the channels at each pixel, by runtime."""
    nodes = [helper.make_node(operator, ["x"], ["y"], axis=1)]
    if operator == "LogSoftmax":
        nodes = [helper.make_node(operator, ["x"], ["l"], axis=1), helper.make_node("Exp", ["l"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, SHAPE)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    network = cv2.dnn.readNetFromONNX("model.onnx")
    network.setInput(scores, "x")
    precision = {"INFERENCE_PRECISION_HINT": "f32"}
    given = {
        "onnxruntime": onnxruntime.InferenceSession("model.onnx").run(None, {"x": scores})[0],
        "openvino": openvino.Core().compile_model("model.onnx", "CPU", precision)(scores)[0],
        "opencv": network.forward("y"),
        "reference": ReferenceEvaluator(model).run(None, {"x": scores})[0],
    }
    return {name: " ".join(f"{v:.2g}" for v in array.sum(1).ravel()) for name, array in given.items()}


wrong = []
for operator, opset in (("Softmax", 9), ("Softmax", 11), ("Softmax", 13), ("LogSoftmax", 11)):
    right, *others = answers(operator, opset).items()
    said = [f"{name} {'as onnxruntime' if text == right[1] else text}" for name, text in others]
    wrong += [(operator, opset, name) for name, text in others if text != right[1]]
    name = operator if operator == "Softmax" else "exp(LogSoftmax)"
    print(f"{name} {opset}: onnxruntime {right[1]}, {', '.join(said)}")
expected = [
    ("Softmax", 9, "opencv"),
    ("Softmax", 9, "reference"),
    ("Softmax", 11, "openvino"),
    ("Softmax", 11, "opencv"),
    ("Softmax", 11, "reference"),
    ("LogSoftmax", 11, "opencv"),
    ("LogSoftmax", 11, "reference"),
]
if wrong != expected:
    sys.exit("The behaviour changed.")
PY
