#!/usr/bin/env bash
# OpenVINO and OpenCV run a pool with ceil_mode over the padding alone: one more row, all -3.4e38
#
# Versions     openvino 2026.4.1 (CPU plugin), opencv-python-headless 5.0.0.93, onnxruntime 1.31.1, torch's rule,
#              onnx 1.23.2 (numpy 2.4.6, Python 3.11)
# Behaviour    MaxPool 2, stride 2, padding 1, ceil_mode=1, on 5 pixels of 1. ceil((5 + 2 - 2) / 2) + 1 is 4, but
#              the fourth window would begin in the padding at the end, so that ONNX and PyTorch leave it out:
#              3 outputs. OpenVINO and OpenCV's new engine give 4, and the last is the lowest float there is. An
#              output that the file declares with 3 does not stop them.
#              AveragePool 3, stride 2, padding 1, ceil_mode=1, count_include_pad=1, on 6 pixels of 1: the last
#              window reaches one pixel beyond the padding. ONNX and PyTorch divide by what lies inside input and
#              padding (2), both others by the whole window (3). Without ceil_mode all agree.
# Output       MaxPool, ceil_mode 0: onnxruntime 1 1 1, openvino 1 1 1, opencv 1 1 1
#              MaxPool, ceil_mode 1: onnxruntime 1 1 1, openvino 1 1 1 -3.4e+38, opencv 1 1 1 -3.4e+38
#              AveragePool, ceil_mode 0: onnxruntime 0.67 1 1, openvino 0.67 1 1, opencv 0.67 1 1
#              AveragePool, ceil_mode 1: onnxruntime 0.67 1 1 0.5, openvino 0.67 1 1 0.33, opencv 0.67 1 1 0.33
# Wrong guess  "ceil instead of floor, there is nothing else to it", which is the formula that older documents give;
#              and "a pooled value lies between the smallest and the largest of its input". A Softmax or a mean
#              behind it makes numbers of -3.4e38 that look like any others.
# Source       Found by running ONNX's own node tests in five engines (test_maxpool_2d_ceil_output_size_reduce_by_one)
#              and then PyTorch's usual arguments. Operators.md, MaxPool: "Sliding windows that would start in the
#              right padded region are ignored"; PyTorch says the same of ceil_mode. OpenVINO has a rounding type
#              for it, ceil_torch, since its operator set 14.
# What to do   Export with ceil_mode=False and an explicit padding at the end; compare shapes with ONNX Runtime.
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
from onnx import TensorProto, helper


def answers(kind, length, count, kernel, **attributes):
    """The pool of a row of ones, by runtime."""
    pool = helper.make_node(
        kind, ["x"], ["y"], kernel_shape=[1, kernel], strides=[1, 2], pads=[0, 1, 0, 1], **attributes
    )
    graph = helper.make_graph(
        [pool],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 1, length])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 1, count])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    row = np.ones((1, 1, 1, length), np.float32)
    given = {"onnxruntime": onnxruntime.InferenceSession("model.onnx").run(None, {"x": row})[0]}
    compiled = openvino.Core().compile_model("model.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    given["openvino"] = compiled(row)[0]
    network = cv2.dnn.readNetFromONNX("model.onnx")
    network.setInput(row, "x")
    given["opencv"] = network.forward("y")
    return {name: " ".join(f"{value:.2g}" for value in array.ravel()) for name, array in given.items()}


observed = []
for kind, length, kernel, counts, more in (
    ("MaxPool", 5, 2, (3, 3), {}),
    ("AveragePool", 6, 3, (3, 4), {"count_include_pad": 1}),
):
    for ceil_mode, count in enumerate(counts):
        given = answers(kind, length, count, kernel, ceil_mode=ceil_mode, **more)
        print(f"{kind}, ceil_mode {ceil_mode}: {', '.join(map(' '.join, given.items()))}")
        observed.append(list(given.values()))
wrong = [["1 1 1", *["1 1 1 -3.4e+38"] * 2], ["0.67 1 1 0.5", *["0.67 1 1 0.33"] * 2]]
if observed != [["1 1 1"] * 3, wrong[0], ["0.67 1 1"] * 3, wrong[1]]:
    sys.exit("The behaviour changed.")
PY
