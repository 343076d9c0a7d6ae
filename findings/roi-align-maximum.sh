#!/usr/bin/env bash
# RoiAlign with mode=max gives 0.49 for a picture of ones in ONNX Runtime and OpenCV, 1 in OpenVINO
#
# Versions     onnxruntime 1.31.1, openvino 2026.4.1, opencv-python-headless 5.0.0.93, onnx 1.23.2
#              (numpy 2.4.6, Python 3.11)
# Behaviour    A picture of nothing but 1, one region, 2x2 bins of 2x2 samples. Each sample is interpolated
#              from four pixels. OpenVINO takes the largest interpolated value of a bin: 1. ONNX Runtime,
#              OpenCV and onnx's own reference take the largest of the single products of weight and pixel,
#              before they are added: never more than the largest weight, here 0.49 to 0.76, and it
#              depends on where the region lies between the pixels. mode=avg is 1 everywhere. ONNX Runtime
#              alone warns: "incorrect and will be fixed in the next ORT 1.13 release"; 1.31 still does it.
# Output       max: onnxruntime 0.49 0.61 0.61 0.76, reference as onnxruntime, opencv as onnxruntime, openvino 1 1 1 1
#              avg: onnxruntime 1 1 1 1, reference as onnxruntime, opencv as onnxruntime, openvino as onnxruntime
# Wrong guess  "The reference and two runtimes against one: the one is wrong." The values that three of them
#              give are no maximum of anything in the picture, and a network that was trained with a true
#              maximum is right in OpenVINO alone.
# Source       Found by running one operator at a time through four runtimes. Operators.md, RoiAlign, says of
#              mode only "max" or "avg".
# What to do   Use mode=avg (what torchvision's and detectron's heads export), or sample with GridSample and
#              a MaxPool behind it, where all agree.
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
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

picture = np.ones((1, 1, 5, 6), np.float32)


def answers(mode):
    """The four bins of each runtime."""
    node = helper.make_node(
        "RoiAlign", ["x", "regions", "batch"], ["y"],
        mode=mode, output_height=2, output_width=2, sampling_ratio=2,
    )  # fmt: skip
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, picture.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 2, 2])],
        [
            numpy_helper.from_array(np.array([[0.5, 0.5, 4.2, 3.7]], np.float32), "regions"),
            numpy_helper.from_array(np.array([0], np.int64), "batch"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    network = cv2.dnn.readNetFromONNX("model.onnx")
    network.setInput(picture, "x")
    precision = {"INFERENCE_PRECISION_HINT": "f32"}
    given = {
        "onnxruntime": onnxruntime.InferenceSession("model.onnx").run(None, {"x": picture})[0],
        "reference": ReferenceEvaluator(model).run(None, {"x": picture})[0],
        "opencv": network.forward("y"),
        "openvino": openvino.Core().compile_model("model.onnx", "CPU", precision)(picture)[0],
    }
    return {name: " ".join(f"{v:.2g}" for v in array.ravel()) for name, array in given.items()}


wrong = []
for mode in ("max", "avg"):
    right, *others = answers(mode).items()
    said = [f"{name} {'as onnxruntime' if text == right[1] else text}" for name, text in others]
    wrong += [(mode, name, text) for name, text in others if text != right[1]]
    print(f"{mode}: onnxruntime {right[1]}, {', '.join(said)}")
if wrong != [("max", "openvino", "1 1 1 1")]:
    sys.exit("The behaviour changed.")
PY
