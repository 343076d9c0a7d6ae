#!/usr/bin/env bash
# ONNX Runtime's "entropy" calibration writes the ranges of "minmax", outlier and all
#
# Versions     onnxruntime 1.31.1, onnx 1.23.2 (numpy 2.4.6, Python 3.11)
# Behaviour    32 calibration images in [-1, 1]; one pixel of the first is 50. quantize_static with
#              CalibrationMethod.Entropy writes, bit for bit, the scales of CalibrationMethod.MinMax:
#              the outlier is not cut off. The search does work: the calibrator itself, given 2,048
#              bins, lets the input reach from -1 to 5.2. quantize_static has no way to ask for
#              it: the same number among its extra_options changes nothing.
# Output       MinMax: scale of the input 0.2000
#              Entropy: scale of the input 0.2000, whole file identical to MinMax: True
#              Entropy, num_bins=2048 among extra_options: scale of the input 0.2000
#              the calibrator alone, num_bins=2048: input from -1.00 to 5.22
# Wrong guess  "Entropy calibration clips outliers, as in TensorRT; where it gives what minmax gives,
#              the data has no outliers."
# Source       Found because two recipes had one file digest. onnxruntime/quantization/calibrate.py:
#              get_entropy_threshold tries ranges from num_quantized_bins up to the whole histogram;
#              create_calibrator sets both numbers of bins to 128, which leaves one candidate, the
#              whole range. quantize.py hands on a fixed list of extra_options (CalibPercentile,
#              CalibMovingAverage, ...); the numbers of bins are not on it.
# What to do   Use Percentile with CalibPercentile, or create_calibrator with num_bins of its own.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6 sympy==1.14.0
cd "$work"
export ORT_DISABLE_TELEMETRY=1
venv/bin/python - <<'PY'
import contextlib
import io
import logging
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, quantize_static
from onnxruntime.quantization.calibrate import create_calibrator

logging.disable(logging.WARNING)
weights = np.random.default_rng(0).normal(size=(8, 3, 3, 3)).astype(np.float32)
graph = helper.make_graph(
    [helper.make_node("Conv", ["x", "w"], ["y"], name="conv")],
    "one",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 16, 16])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 14, 14])],
    [numpy_helper.from_array(weights, "w")],
)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "float.onnx")


class Images(CalibrationDataReader):
    def __init__(self):
        generator = np.random.default_rng(1)
        images = generator.uniform(-1, 1, (32, 1, 3, 16, 16)).astype(np.float32)
        images[0, 0, 0, 0, 0] = 50
        self.images = iter(images)

    def get_next(self):
        image = next(self.images, None)
        return None if image is None else {"x": image}


def quantized(name, method, options):
    with contextlib.redirect_stdout(io.StringIO()):
        quantize_static(
            "float.onnx", name, Images(), calibrate_method=method, extra_options=options,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(name).graph.initializer}
    return float(tensors["x_scale"]), pathlib.Path(name).read_bytes()


minmax, minmax_file = quantized("minmax.onnx", CalibrationMethod.MinMax, {})
entropy, entropy_file = quantized("entropy.onnx", CalibrationMethod.Entropy, {})
more_bins, _ = quantized("bins.onnx", CalibrationMethod.Entropy, {"num_bins": 2048})
with contextlib.redirect_stdout(io.StringIO()):
    calibrator = create_calibrator(
        pathlib.Path("float.onnx"), ["Conv"], "augmented.onnx", CalibrationMethod.Entropy,
        extra_options={"num_bins": 2048},
    )
    calibrator.collect_data(Images())
    low, high = (float(value) for value in calibrator.compute_data()["x"].range_value)
identical = minmax_file == entropy_file
print(f"MinMax: scale of the input {minmax:.4f}")
print(f"Entropy: scale of the input {entropy:.4f}, whole file identical to MinMax: {identical}")
print(f"Entropy, num_bins=2048 among extra_options: scale of the input {more_bins:.4f}")
print(f"the calibrator alone, num_bins=2048: input from {low:.2f} to {high:.2f}")
if not (identical and more_bins == minmax and high < 10):
    sys.exit("The behaviour changed.")
PY
