#!/usr/bin/env bash
# 0 / 0 inside a network: a score of 1 in OpenCV, above every threshold in OpenVINO, NaN in ONNX Runtime
#
# Versions     openvino 2026.4.1 (CPU plugin), opencv-python-headless 5.0.0.93, onnxruntime 1.31.1, onnx 1.23.2
#              (numpy 2.4.6, Python 3.11), x86-64
# Behaviour    A network divides each image by its own maximum; a black one gives 0 / 0. Then come a 1x1 convolution
#              and what ends a network. ONNX Runtime gives NaN, whatever follows. OpenVINO's Relu and Clip make 0 of
#              it, its HardSigmoid 1, and NaN > 0 is true. OpenCV's new engine loses it in the convolution already,
#              which keeps its results between the ends of float32, with an activation or without: 3.4e38,
#              of which a Sigmoid is 1 and a Clip to 6 is 6. Its classic engine keeps NaN.
# Output       convolution      onnxruntime nan, openvino nan, opencv 3.4e+38, classic nan
#              Relu             onnxruntime nan, openvino 0, opencv 3.4e+38, classic nan
#              Clip 0 to 6      onnxruntime nan, openvino 0, opencv 6, classic nan
#              Sigmoid          onnxruntime nan, openvino nan, opencv 1, classic nan
#              HardSigmoid      onnxruntime nan, openvino 1, opencv 1, classic 1
#              > 0              onnxruntime 0, openvino 1, opencv 1, classic 0
#              a white image    1 in all, behind the convolution
# Wrong guess  "NaN is contagious: a network that divides by zero shows it in its outputs", so a check for finite
#              outputs is enough. A detector then finds an object, with full confidence, in a dark picture or an
#              empty tile, on the machine that serves and not on the one that trains.
# Source       Found by giving one operator at a time NaN in four engines. IEEE 754: each comparison with NaN is false;
#              ONNX Runtime's kernels hand NaN on on purpose. In vector code max(NaN, 0) and max(0, NaN) differ:
#              instructions of x86 give the second.
# What to do   Add an epsilon to divisors in the model; test a black image; compare the runtime's NaN with ONNX Runtime's.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet openvino==2026.4.1 opencv-python-headless==5.0.0.93 onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
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

SHAPE = [1, 1, 2, 2]
onnxruntime.set_default_logger_severity(3)  # of constants that an end does not use
ENDS = {
    "convolution": [helper.make_node("Identity", ["c"], ["y"])],
    "Relu": [helper.make_node("Relu", ["c"], ["y"])],
    "Clip 0 to 6": [helper.make_node("Clip", ["c", "zero", "six"], ["y"])],
    "Sigmoid": [helper.make_node("Sigmoid", ["c"], ["y"])],
    "HardSigmoid": [helper.make_node("HardSigmoid", ["c"], ["y"])],
    "> 0": [
        helper.make_node("Greater", ["c", "zero"], ["g"]),
        helper.make_node("Cast", ["g"], ["y"], to=TensorProto.FLOAT),
    ],
}


def answers(end, value):
    """The first output for an image of one value, by runtime."""
    graph = helper.make_graph(
        [
            helper.make_node("GlobalMaxPool", ["x"], ["most"]),
            helper.make_node("Div", ["x", "most"], ["scaled"]),
            helper.make_node("Conv", ["scaled", "one"], ["c"]),
            *ENDS[end],
        ],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, SHAPE)],
        [
            numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "one"),
            numpy_helper.from_array(np.float32(0), "zero"),
            numpy_helper.from_array(np.float32(6), "six"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    image = np.full(SHAPE, value, np.float32)
    given = {"onnxruntime": onnxruntime.InferenceSession("model.onnx").run(None, {"x": image})[0]}
    compiled = openvino.Core().compile_model("model.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    given["openvino"] = compiled(image)[0]
    for name, engine in (("opencv", cv2.dnn.ENGINE_NEW), ("classic", cv2.dnn.ENGINE_CLASSIC)):
        network = cv2.dnn.readNetFromONNX("model.onnx", engine)
        network.setInput(image, "x")
        given[name] = network.forward("y")
    return {name: f"{array.ravel()[0]:.2g}" for name, array in given.items()}


observed = {}
for end in ENDS:
    given = answers(end, 0)
    print(f"{end:16} {', '.join(map(' '.join, given.items()))}")
    observed[end] = " ".join(given.values())
white = set(answers("convolution", 0.5).values())
print(f"{'a white image':16} {' or '.join(white)} in all, behind the convolution")
expected = {
    "convolution": "nan nan 3.4e+38 nan",
    "Relu": "nan 0 3.4e+38 nan",
    "Clip 0 to 6": "nan 0 6 nan",
    "Sigmoid": "nan nan 1 nan",
    "HardSigmoid": "nan 1 1 1",
    "> 0": "0 1 1 0",
}
if observed != expected or white != {"1"}:
    sys.exit("The behaviour changed.")
PY
