#!/usr/bin/env bash
# OpenVINO pads an 8-bit average pool with the code 0, which stands for the lowest value, not for zero
#
# Versions     openvino 2026.4.1 (CPU plugin), onnx 1.23.2 (numpy 2.4.6, Python 3.11)
# Behaviour    QuantizeLinear/DequantizeLinear, AveragePool 3x3 with padding 1 and
#              count_include_pad=1, QuantizeLinear/DequantizeLinear, on an image of nothing but 0.5,
#              uint8, scale 1/128. At the border zeros join the mean: 0.34 at an edge, 0.22 at a
#              corner. With zero point 0 OpenVINO agrees with onnx's reference. With zero point 128 it
#              answers 0 at an edge and -0.34 at a corner: a negative mean of positive numbers. What is
#              padded is the code 0, and the code 0 means -1. Nothing warns; without the pair after the
#              pool the file is right.
# Output       zero point 0: reference 0.219 0.336 0.336 0.219, OpenVINO 0.219 0.336 0.336 0.219
#              zero point 128: reference 0.219 0.336 0.336 0.219, OpenVINO -0.336 0.000 0.000 -0.336
# Wrong guess  "Average pooling is linear, so the dequantization can move past it": true for every
#              pixel but the padded ones. Zero points of 0 (after a Relu) hide it.
# Source       Found by comparing every runtime with ONNX Runtime on small random graphs.
#              src/common/low_precision_transformations/src/avg_pool.cpp: `transform` calls
#              moveDequantizationAfter, the zero point's subtraction included, and does not look at
#              the pads. The specification of AvgPool-1 says that `exclude-pad` false counts zeros.
# What to do   Quantize activations symmetrically, keep such pools in float, or export with
#              count_include_pad=0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet openvino==2026.4.1 onnx==1.23.2 numpy==2.4.6
cd "$work"
export CI=true  # no telemetry
venv/bin/python - <<'PY'
import sys

import numpy as np
import onnx
import openvino
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator


def pair(source, target):
    return [
        helper.make_node("QuantizeLinear", [source, "scale", "zero"], [target + "_codes"]),
        helper.make_node("DequantizeLinear", [target + "_codes", "scale", "zero"], [target]),
    ]


def first_rows(zero_point):
    pool = helper.make_node(
        "AveragePool", ["a"], ["b"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1
    )
    graph = helper.make_graph(
        [*pair("x", "a"), pool, *pair("b", "y")],
        "pool",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 4, 4])],
        [
            numpy_helper.from_array(np.float32(1 / 128), "scale"),
            numpy_helper.from_array(np.uint8(zero_point), "zero"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, "pool.onnx")
    image = np.full((1, 1, 4, 4), 0.5, np.float32)
    compiled = openvino.Core().compile_model("pool.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    answers = ReferenceEvaluator(model).run(None, {"x": image})[0], compiled(image)[compiled.output(0)]
    return [" ".join(f"{value:.3f}" for value in answer[0, 0, 0]) for answer in answers]


right, wrong = "0.219 0.336 0.336 0.219", "-0.336 0.000 0.000 -0.336"
answers = {zero_point: first_rows(zero_point) for zero_point in (0, 128)}
for zero_point, (reference, answer) in answers.items():
    print(f"zero point {zero_point}: reference {reference}, OpenVINO {answer}")
if answers != {0: [right, right], 128: [right, wrong]}:
    sys.exit("The behaviour changed.")
PY
