#!/usr/bin/env bash
# Given an output_shape, OpenVINO takes SAME_UPPER of a transposed convolution for SAME_LOWER: a pixel off
#
# Versions     openvino 2026.4.1, onnxruntime 1.31.1, onnx 1.23.2 (numpy 2.4.6, Python 3.11)
# Behaviour    ConvTranspose, stride 2, one pulse through a kernel of 1 2 3 4, output_shape of 5 where the
#              uncut output has 8: three columns are cut. SAME_UPPER cuts one before and two behind,
#              SAME_LOWER the reverse. With output_shape OpenVINO cuts as SAME_LOWER whatever the file says;
#              without output_shape, auto_pad alone, it is right. The shape is the same, nothing warns.
# Output       output_shape, SAME_UPPER: onnxruntime 2 3 4 0 0, openvino 3 4 0 0 0
#              output_shape, SAME_LOWER: onnxruntime 3 4 0 0 0, openvino 3 4 0 0 0
#              auto_pad alone, SAME_UPPER: onnxruntime 2 3 4 5 0 0, openvino 2 3 4 5 0 0
# Wrong guess  "output_shape only chooses among the sizes that a stride allows; auto_pad was right before, so
#              it is right with it." Upsampling layers converted from TensorFlow carry both.
# Source       Found by running one operator at a time through four runtimes. Operators.md, ConvTranspose:
#              with SAME_UPPER pads[start] = total_padding / 2, the rest is behind; else the reverse.
# What to do   Write pads instead of output_shape and auto_pad (they say the same), and compare outputs.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet openvino==2026.4.1 onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
cd "$work"
export CI=true  # no telemetry
venv/bin/python - <<'PY'
import sys

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper

pulse = np.array([1, 0, 0], np.float32).reshape(1, 1, 1, 3)


def answers(kernel, length, **attributes):
    """Where the kernel comes out, in both runtimes."""
    weights = np.arange(1, kernel + 1, dtype=np.float32).reshape(1, 1, 1, kernel)
    graph = helper.make_graph(
        [helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[1, 2], **attributes)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, pulse.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 1, length])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    precision = {"INFERENCE_PRECISION_HINT": "f32"}
    both = (
        onnxruntime.InferenceSession("model.onnx").run(None, {"x": pulse})[0],
        openvino.Core().compile_model("model.onnx", "CPU", precision)(pulse)[0],
    )
    return [" ".join(f"{value:g}" for value in array.ravel()) for array in both]


agree = []
for words, kernel, length, attributes in (
    ("output_shape, SAME_UPPER", 4, 5, {"output_shape": [1, 5], "auto_pad": "SAME_UPPER"}),
    ("output_shape, SAME_LOWER", 4, 5, {"output_shape": [1, 5], "auto_pad": "SAME_LOWER"}),
    ("auto_pad alone, SAME_UPPER", 5, 6, {"auto_pad": "SAME_UPPER"}),
):
    right, other = answers(kernel, length, **attributes)
    print(f"{words}: onnxruntime {right}, openvino {other}")
    agree.append(right == other)
if agree != [False, True, True]:
    sys.exit("The behaviour changed.")
PY
