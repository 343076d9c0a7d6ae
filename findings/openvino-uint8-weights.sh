#!/usr/bin/env bash
# OpenVINO runs a quantized convolution in float when its weights are uint8, and in 8 bits when int8
#
# Versions     openvino 2026.4.1 (CPU plugin), onnx 1.23.2 (numpy 2.4.6, Python 3.11), x86-64
# Behaviour    The same convolution, fully quantized, with activations and weights of either 8-bit
#              type; the uint8 weights have zero point 128, so both files hold the same numbers.
#              int8 weights: the convolution runs on u8 data, whatever the activations are.
#              uint8 weights: it runs on f32, quantization only costs. The precision hint reads f32 for
#              all four; only the executed model tells them apart.
# Output       weights int8, activations uint8: the convolution ran on u8
#              weights int8, activations int8: the convolution ran on u8
#              weights uint8, activations uint8: the convolution ran on f32
#              weights uint8, activations int8: the convolution ran on f32
# Wrong guess  "Eight bits are eight bits: ONNX Runtime's quantizer offers QUInt8 for weights and runs
#              it with its integer kernels, so other runtimes do." Or: "a file without integer kernels
#              would be slower than the float one, and I would see that" (it is about as fast).
# Source       Found because an int8 recipe was not faster than float. compiled.get_runtime_model()
#              lists executed layers with runtimePrecision. OpenVINO's guide of low precision
#              transformations, step "prerequisites", takes signed weights for granted;
#              src/common/low_precision_transformations/src/weightable_layer_transformation.cpp
#              decides which weights may be transformed.
# What to do   weight_type=QuantType.QInt8, and count the executed layers by precision in a test.
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


def pair(source, target):
    return [
        helper.make_node("QuantizeLinear", [source, "scale", "zero"], [target + "_codes"]),
        helper.make_node("DequantizeLinear", [target + "_codes", "scale", "zero"], [target]),
    ]


def zero_of(dtype):
    return dtype(128 if dtype is np.uint8 else 0)


def precision(weights, activations):
    codes = np.random.default_rng(0).integers(-100, 100, size=(16, 16, 3, 3)) + int(zero_of(weights))
    tensors = {
        "codes": codes.astype(weights),
        "w_scale": np.float32(0.01),
        "w_zero": zero_of(weights),
        "scale": np.float32(1 / 32),
        "zero": zero_of(activations),
    }
    graph = helper.make_graph(
        [
            *pair("x", "a"),
            helper.make_node("DequantizeLinear", ["codes", "w_scale", "w_zero"], ["w"]),
            helper.make_node("Conv", ["a", "w"], ["b"]),
            *pair("b", "y"),
        ],
        "conv",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 16, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 16, 30, 30])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, "conv.onnx")
    compiled = openvino.Core().compile_model("conv.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    layers = [node.get_rt_info() for node in compiled.get_runtime_model().get_ordered_ops()]
    text = [{key: info[key].astype(str) for key in ("layerType", "runtimePrecision")} for info in layers]
    return next(layer["runtimePrecision"] for layer in text if layer["layerType"] == "Convolution")


changed = False
for weights in (np.int8, np.uint8):
    for activations in (np.uint8, np.int8):
        seen = precision(weights, activations)
        print(f"weights {weights.__name__}, activations {activations.__name__}: the convolution ran on {seen}")
        changed = changed or seen != ("f32" if weights is np.uint8 else "u8")
if changed:
    sys.exit("The behaviour changed.")
PY
