#!/usr/bin/env bash
# OpenVINO turns float pixels from 0 to 1 into zeros where the network's input is uint8
#
# Versions     openvino 2026.4.1 (CPU plugin), onnx 1.23.2, onnxruntime 1.31.1 (numpy 2.4.6, Python 3.11), x86-64
# Behaviour    A network that takes bytes gets a float32 array. OpenVINO casts it without a word, by dropping what
#              is behind the point: 0.99 becomes 0, 254.9 becomes 254. A whole image on the scale 0 to 1 is black
#              but for its whitest pixels. ONNX Runtime refuses the array and names both types.
# Output       openvino, 0.25 0.99 1.0:      0 0 1
#              openvino, 63.75 252.45 255.0: 63 252 255
#              onnxruntime, 0.25 0.99 1.0:   refused
# Wrong guess  "Of a type that does not fit, a runtime says so", or "it scales or rounds". A classifier of bytes that
#              is fed like one of floats keeps running, at half of its accuracy, and nothing is logged.
# Source       Found because a classifier with uint8 inputs scored 0.50 in OpenVINO and 1.0 in ONNX Runtime. The
#              Python API's data dispatcher copies an array of another type with the port's type
#              (openvino/utils/data_helpers/data_dispatcher.py), as numpy's astype does.
# What to do   Compare the array's type with compiled.input().element_type before the call.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet openvino==2026.4.1 onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6
cd "$work"
export CI=true  # no telemetry
venv/bin/python - <<'PY'
import sys

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper

value = helper.make_tensor_value_info
graph = helper.make_graph(
    [helper.make_node("Cast", ["bytes"], ["floats"], to=TensorProto.FLOAT)],
    "bytes",
    [value("bytes", TensorProto.UINT8, [1, 3])],
    [value("floats", TensorProto.FLOAT, [1, 3])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
onnx.checker.check_model(model)
onnx.save(model, "bytes.onnx")
compiled = openvino.Core().compile_model("bytes.onnx", "CPU")
unit = np.array([[0.25, 0.99, 1.0]], np.float32)
seen = []
for pixels in (unit, unit * 255):
    output = next(iter(compiled([pixels]).values()))[0].tolist()
    seen.append(output)
    words = " ".join(f"{pixel:.5g}" if pixel % 1 else f"{pixel:.1f}" for pixel in pixels[0].tolist())
    print(f"openvino, {words}:".ljust(30) + " ".join(f"{number:.0f}" for number in output))
try:
    onnxruntime.InferenceSession("bytes.onnx").run(None, {"bytes": unit})
    refused = False
except Exception as error:
    refused = "Unexpected input data type" in str(error)
print("onnxruntime, 0.25 0.99 1.0:".ljust(30) + ("refused" if refused else "accepted"))
if seen != [[0.0, 0.0, 1.0], [63.0, 252.0, 255.0]] or not refused:
    sys.exit("The behaviour changed.")
PY
