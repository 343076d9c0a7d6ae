#!/usr/bin/env bash
# OpenVINO gives and takes bfloat16 as NumPy's float16, bit for bit: 3 comes out as 2.125
#
# Versions     openvino 2026.4.1 (CPU plugin), onnx 1.23.2, ml_dtypes 0.5.4 (numpy 2.4.6, Python 3.11)
# Behaviour    NumPy has no bfloat16, and OpenVINO names float16 in its place, for a port (element_type.to_dtype()) and
#              for the array that comes out. The bits are not converted. As an output, 3 is 0x4040, which in float16
#              is 2.125; 1 becomes 1.875, 100 becomes 3.391: plausible numbers, in the right order. As an input, the
#              float16 array that to_dtype() asks for is taken for bits: 1 becomes 0.0078125, 99 becomes 4.8e13.
#              For a float16 network every number is right.
# Output       bfloat16: both ports are float16
#                output: 1 2 3 100 are read as 1.875 2 2.125 3.391, the same bits as bfloat16 are 1 2 3 100
#                input:  0 1 2 99 arrive as 0 0.007812 2 4.838e+13
#              float16: both ports are float16
#                output: 1 2 3 100 are read as 1 2 3 100
#                input:  0 1 2 99 arrive as 0 1 2 99
# Wrong guess  "A dtype of float16 is a conversion: a little less range, the same numbers."
# Source       Found by running ONNX's node tests with bfloat16. The table of types of OpenVINO's Python API,
#              src/bindings/python/src/pyopenvino/core/common.cpp, has no type of NumPy for bf16 but float16.
# What to do   Ask element_type itself, not its dtype; convert ports to float32 in the model (PrePostProcessor), or view
#              the array's bits as ml_dtypes.bfloat16 before any arithmetic.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet openvino==2026.4.1 onnx==1.23.2 ml_dtypes==0.5.4 numpy==2.4.6
cd "$work"
export CI=true  # no telemetry
venv/bin/python - <<'PY'
import sys

import ml_dtypes
import numpy as np
import onnx
import openvino
from onnx import TensorProto, helper


def text(array):
    return " ".join(f"{float(value):.4g}" for value in array)


def compiled(name, source, target):
    """Converts four numbers from one type to another."""
    graph = helper.make_graph(
        [helper.make_node("Cast", ["x"], ["y"], to=target)],
        name,
        [helper.make_tensor_value_info("x", source, [4])],
        [helper.make_tensor_value_info("y", target, [4])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    core = openvino.Core()
    return core.compile_model(core.read_model(model.SerializeToString()), "CPU")


observed = {}
for name, kind in (("bfloat16", TensorProto.BFLOAT16), ("float16", TensorProto.FLOAT16)):
    gives = compiled("gives", TensorProto.FLOAT, kind)
    takes = compiled("takes", kind, TensorProto.FLOAT)
    dtypes = {np.dtype(port.element_type.to_dtype()).name for port in (gives.outputs[0], takes.inputs[0])}
    print(f"{name}: both ports are {', '.join(dtypes)}")
    numbers = np.array([1, 2, 3, 100], np.float32)
    output = gives(numbers)[0]
    same = ""
    if name == "bfloat16":
        same = f", the same bits as bfloat16 are {text(output.view(ml_dtypes.bfloat16))}"
    print(f"  output: {text(numbers)} are read as {text(output)}{same}")
    numbers = np.array([0, 1, 2, 99], np.float16)
    arrived = takes(numbers)[0]
    print(f"  input:  {text(numbers)} arrive as {text(arrived)}")
    observed[name] = (dtypes, str(output.dtype), text(output), same[-9:], text(arrived))
expected = {
    "bfloat16": ({"float16"}, "float16", "1.875 2 2.125 3.391", "1 2 3 100", "0 0.007812 2 4.838e+13"),
    "float16": ({"float16"}, "float16", "1 2 3 100", "", "0 1 2 99"),
}
if observed != expected:
    sys.exit("The behaviour changed.")
PY
