#!/usr/bin/env bash
# onnx's version converter shifts every pixel of a linear Upsample or Resize by half a step
#
# Versions     onnx 1.23.2, onnxruntime 1.31.1 (numpy 2.4.6, Python 3.11)
# Behaviour    Upsample-9 and Resize-10 have one coordinate rule: output pixel i comes from i / scale.
#              Opset 11 calls it "asymmetric" and makes "half_pixel" what an absent attribute means.
#              The converter copies the attributes that are there and adds none, so a linear resize
#              of 0 1 2 3 to twice its length changes from 0 0.5 1 1.5 ... to 0 0.25 0.75 1.25 ...
#              The converted file passes the checker. Nearest mode gives the same numbers here.
# Output       Upsample-9 linear: 0 0.5 1 1.5 2 2.5 3 3 -> 0 0.25 0.75 1.25 1.75 2.25 2.75 3
#              Upsample-9 nearest: 0 0 1 1 2 2 3 3 -> 0 0 1 1 2 2 3 3
#              Resize-10 linear: 0 0.5 1 1.5 2 2.5 3 3 -> 0 0.25 0.75 1.25 1.75 2.25 2.75 3
#              Resize-10 nearest: 0 0 1 1 2 2 3 3 -> 0 0 1 1 2 2 3 3
# Wrong guess  "The converter has an adapter for exactly this step, and it keeps the numbers": its
#              own tests look at node types, and a detector with nearest upsampling shows nothing.
# Source       Found by comparing a segmentation head before and after conversion (up to 36 % off).
#              onnx/version_converter/adapters/resize_10_11.h inserts the empty roi input and leaves
#              `coordinate_transformation_mode` alone; Operators.md, Resize-11, states the default.
# What to do   Set coordinate_transformation_mode = "asymmetric" on those nodes after conversion, and
#              compare outputs of both files on real input.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6
cd "$work"
export ORT_DISABLE_TELEMETRY=1
venv/bin/python - <<'PY'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper, version_converter


def model(operator, opset, mode):
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "scales"], ["y"], mode=mode)],
        "resize",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 1, 8])],
        [numpy_helper.from_array(np.array([1, 1, 1, 2], np.float32), "scales")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(made)
    return made


def run(proto):
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    pixels = np.arange(4, dtype=np.float32).reshape(1, 1, 1, 4)
    return " ".join(f"{value:g}" for value in session.run(None, {"x": pixels})[0].ravel())


linear = ("0 0.5 1 1.5 2 2.5 3 3", "0 0.25 0.75 1.25 1.75 2.25 2.75 3")
nearest = ("0 0 1 1 2 2 3 3", "0 0 1 1 2 2 3 3")
expected = {"linear": linear, "nearest": nearest}
changed = False
for operator, opset in (("Upsample", 9), ("Resize", 10)):
    for mode in ("linear", "nearest"):
        old = model(operator, opset, mode)
        new = version_converter.convert_version(old, 17)
        onnx.checker.check_model(new)
        outputs = (run(old), run(new))
        print(f"{operator}-{opset} {mode}: {outputs[0]} -> {outputs[1]}")
        changed = changed or outputs != expected[mode]
if changed:
    sys.exit("The behaviour changed.")
PY
