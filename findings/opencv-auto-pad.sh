#!/usr/bin/env bash
# OpenCV 5's new engine pads SAME_UPPER and SAME_LOWER alike: a strided 3x3 convolution is a pixel off
#
# Versions     opencv-python-headless 5.0.0.93, onnxruntime 1.31.1, onnx 1.23.2 (numpy 2.4.6, Python 3.11)
# Behaviour    auto_pad = SAME_UPPER, a 3x3 window of ones, stride 2, on 8 pixels. The output has 4, so one
#              pixel of padding is due in all, and SAME_UPPER puts it at the end. The new engine, which
#              readNetFromONNX takes unless told otherwise, pads by the kernel alone, one pixel on each
#              side: the output has the same shape, and each window lies one pixel too early. An even
#              kernel shows the reverse: SAME_UPPER is right and SAME_LOWER is padded as SAME_UPPER. With
#              stride 1 and an odd kernel everything agrees. The classic engine has SAME_UPPER right, and
#              takes SAME_LOWER for it. Convolution, MaxPool and AveragePool are alike in this.
# Output       3x3, stride 2, SAME_UPPER: onnxruntime 3 9 15 13, new 1 6 12 18, classic as onnxruntime
#              3x3, stride 2, SAME_LOWER: onnxruntime 1 6 12 18, new as onnxruntime, classic 3 9 15 13
#              2x2, stride 1, SAME_UPPER: onnxruntime 1 3 5 7 9 11 13 7, new as onnxruntime, classic as onnxruntime
#              2x2, stride 1, SAME_LOWER: onnxruntime 0 1 3 5 7 9 11 13, new 1 3 5 7 9 11 13 7, classic 1 3 5 7 9 11 13 7
#              3x3, stride 1, SAME_UPPER: onnxruntime 1 3 6 9 12 15 18 13, new as onnxruntime, classic as onnxruntime
# Wrong guess  "SAME is resolved from input, kernel and stride as in every importer; the output's shape is
#              right, so the padding is." Networks of TensorFlow have SAME_UPPER in each layer of stride 2;
#              they still find most objects, a pixel or two beside them for each such layer.
# Source       Found by running one operator at a time, all strides, kernels and lengths, in four engines.
#              Operators.md, Conv, auto_pad: pad_shape[i] follows from output_shape[i] = ceil(input_shape[i]
#              / strides[i]), "an extra padding is added at the end for SAME_UPPER and at the beginning for
#              SAME_LOWER".
# What to do   Write explicit pads into the file (onnxslim and onnxsim do not), or take engine=ENGINE_CLASSIC
#              where nothing is SAME_LOWER, and compare outputs with another runtime.
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
from onnx import TensorProto, helper, numpy_helper

LENGTH = 8


def answers(kernel, stride, auto_pad):
    """Sums of windows along a row of 0 1 2 ..., by engine."""
    shape = [1, 1, 1, -(-LENGTH // stride)]
    convolution = helper.make_node(
        "Conv", ["x", "w"], ["y"], kernel_shape=[1, kernel], strides=[1, stride], auto_pad=auto_pad
    )
    graph = helper.make_graph(
        [convolution],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 1, LENGTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.ones((1, 1, 1, kernel), np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    row = np.arange(LENGTH, dtype=np.float32).reshape(1, 1, 1, LENGTH)
    given = {"onnxruntime": onnxruntime.InferenceSession("model.onnx").run(None, {"x": row})[0]}
    for name, engine in (("new", cv2.dnn.ENGINE_NEW), ("classic", cv2.dnn.ENGINE_CLASSIC)):
        network = cv2.dnn.readNetFromONNX("model.onnx", engine)
        network.setInput(row, "x")
        given[name] = network.forward("y")
    return {name: " ".join(f"{value:g}" for value in array.ravel()) for name, array in given.items()}


wrong = []
for kernel, stride, auto_pad in (
    (3, 2, "SAME_UPPER"),
    (3, 2, "SAME_LOWER"),
    (2, 1, "SAME_UPPER"),
    (2, 1, "SAME_LOWER"),
    (3, 1, "SAME_UPPER"),
):
    right, *others = answers(kernel, stride, auto_pad).items()
    said = [f"{name} {'as onnxruntime' if text == right[1] else text}" for name, text in others]
    wrong += [(kernel, auto_pad, name) for name, text in others if text != right[1]]
    print(f"{kernel}x{kernel}, stride {stride}, {auto_pad}: onnxruntime {right[1]}, {', '.join(said)}")
expected = [
    (3, "SAME_UPPER", "new"),
    (3, "SAME_LOWER", "classic"),
    (2, "SAME_LOWER", "new"),
    (2, "SAME_LOWER", "classic"),
]
if wrong != expected:
    sys.exit("The behaviour changed.")
PY
