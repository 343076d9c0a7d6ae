#!/usr/bin/env bash
# A batch of -1 in an ONNX file is any batch for the runtimes, and a length like others for onnx
#
# Versions     onnx 1.23.2, onnxruntime 1.31.1, openvino 2026.4.1, rapidocr 3.10.0 (numpy 2.4.6, Python 3.11), x86-64
# Behaviour    Paddle's exporter writes the batch of a network that takes any as dim_value = -1, as in the classifier of
#              text direction that rapidocr ships. onnx's checker accepts it, HasField("dim_value") is true, and so the
#              documented test for a dynamic length ("no dim_value") says that it is fixed. ONNX Runtime shows None,
#              OpenVINO a question mark; both run every batch. A batch of 0, no less odd, is fixed for both.
# Output       onnx:        dim_value of the batch is -1, and is set: True
#              onnxruntime: the batch is None
#              openvino:    the batch is ?
#              onnxruntime, three images: (3, 2)
# Wrong guess  "A file that sets dim_value has that batch." Code that repeats images to the file's own batch makes
#              images * -1, which numpy and range() take for none: outputs of no images are compared, and agree.
# Source       onnx.proto, TensorShapeProto.Dimension; found when two runtimes were compared on this file and no image
#              had been looked at.
# What to do   Take dim_value for a fixed length only where it is above 0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet onnx==1.23.2 onnxruntime==1.31.1 openvino==2026.4.1 numpy==2.4.6
"$work/venv/bin/pip" install --quiet --no-deps rapidocr==3.10.0
cd "$work"
export CI=true  # no telemetry
venv/bin/python - <<'PY'
import importlib.util
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino

package = Path(importlib.util.find_spec("rapidocr").submodule_search_locations[0])
file = str(package / "models" / "ch_ppocr_mobile_v2.0_cls_mobile.onnx")
model = onnx.load(file)
onnx.checker.check_model(model)
batch = model.graph.input[0].type.tensor_type.shape.dim[0]
print(f"onnx:        dim_value of the batch is {batch.dim_value}, and is set: {batch.HasField('dim_value')}")
session = onnxruntime.InferenceSession(file)
shown = session.get_inputs()[0].shape[0]
print(f"onnxruntime: the batch is {shown}")
other = openvino.Core().read_model(file).inputs[0].partial_shape[0]
print(f"openvino:    the batch is {other}")
shape = session.run(None, {"x": np.zeros((3, 3, 48, 192), np.float32)})[0].shape
print(f"onnxruntime, three images: {shape}")
if not (batch.dim_value == -1 and shown is None and str(other) == "?" and shape == (3, 2)):
    sys.exit("The behaviour changed.")
PY
