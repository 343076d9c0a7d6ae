#!/usr/bin/env bash
# The addition of a constant that is quantized in the file cannot be compiled
#
# Versions     openvino 2026.4.1, onnx 1.23.2, onnxruntime 1.31.1 (numpy 2.4.6, Python 3.11), x86-64
# Behaviour    Add of two dequantized values, one of them a float constant behind QuantizeLinear and DequantizeLinear: a grid of positions,
#              an embedding. compile_model raises inside a transformation. The same constant as codes behind DequantizeLinear alone compiles,
#              and so does one in float.
# Output       float behind QuantizeLinear: index '0' out of range
#              codes: compiled
#              float: compiled
# Wrong guess  "Q/DQ around both inputs of an Add is what runtimes of 8 bits want." ONNX Runtime runs it.
# Source       The message: AddTransformation of OpenVINO's low-precision transformations, "index '0' out of range".
# What to do   Quantize additions of two computed values only, or fold the QuantizeLinear of constants.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet onnx==1.23.2 onnxruntime==1.31.1 openvino==2026.4.1 numpy==2.4.6
cd "$work"
export CI=true  # no telemetry
venv/bin/python - <<'PY'
import sys

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper


def pair(name):
    return [
        helper.make_node("QuantizeLinear", [name, "scale", "zero"], [f"{name}_q"]),
        helper.make_node("DequantizeLinear", [f"{name}_q", "scale", "zero"], [f"{name}_dq"]),
    ]


def model(kind):
    """x + a constant, both dequantized, or the constant in float."""
    grid = np.arange(64, dtype=np.float32).reshape(8, 8)
    constant = {"codes": ("grid_q", grid.astype(np.uint8))}.get(kind, ("grid", grid))
    before = {"float": [], "codes": pair("grid")[1:]}.get(kind, pair("grid"))
    added = helper.make_node("Add", ["x_dq", "grid" if kind == "float" else "grid_dq"], ["sum"])
    values = {"scale": np.float32(0.5), "zero": np.uint8(0), constant[0]: constant[1]}
    graph = helper.make_graph(
        [*pair("x"), *before, added, *pair("sum")],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8, 8])],
        [helper.make_tensor_value_info("sum_dq", TensorProto.FLOAT, ["n", 8, 8])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(made, full_check=True)
    return made.SerializeToString()


def compiles(content):
    core = openvino.Core()
    try:
        core.compile_model(core.read_model(content), "CPU")
    except RuntimeError as error:
        return next(line for line in str(error).splitlines() if "out of range" in line)
    return "compiled"


answers = {}
for kind in ("float behind QuantizeLinear", "codes", "float"):
    content = model(kind)
    onnxruntime.InferenceSession(content).run(None, {"x": np.zeros((2, 8, 8), np.float32)})
    answers[kind] = compiles(content)
    print(f"{kind}: {answers[kind]}")
first, *others = answers.values()
if others != ["compiled"] * 2 or "out of range" not in first:
    sys.exit("The behaviour changed.")
PY
