#!/usr/bin/env bash
# ONNX Runtime's quantizer deletes a Clip whose lower bound is above zero, and what was 0.5 becomes 0
#
# Versions     onnxruntime 1.31.1, onnx 1.23.2 (numpy 2.4.6, Python 3.11)
# Behaviour    A convolution, Clip to 0.5 and above, and a Reciprocal: x.clamp(min=eps) before a division. Quantized by
#              quantize_static with uint8 activations, the Clip is gone: the range of its result, as calibrated, is given
#              to the convolution, so that the codes clip in its place. But a range of codes holds zero, always: it
#              is widened from [0.5, 2] to [0, 2], and values below 0.5 become what they were, or 0, and 1 / 0 is
#              infinite. A Clip from 0, a ReLU6, is right that way. With symmetric activations, or with
#              QDQKeepRemovableActivations among extra_options, the Clip stays and the file is right.
# Output       Clip from 0.5, uint8: no Clip; lowest value before the Reciprocal 0.000, largest after it inf
#              Clip from 0.5, uint8, kept: a Clip; lowest value before the Reciprocal 0.502, largest after it 1.992
#              Clip from 0.5, int8, symmetric: a Clip; lowest value before the Reciprocal 0.504, largest after it 1.984
#              Clip from 0, uint8: no Clip; lowest value before the Reciprocal 0.000, largest after it inf
#              in float: lowest value before the Reciprocal 0.500, largest after it 2.000
# Wrong guess  "A Clip in front of a Q/DQ pair is redundant, since its range was calibrated behind the Clip." True of
#              bounds on both sides of zero only. An average of a score hides it; a NaN does not.
# Source       Found by quantizing one operator at a time between two convolutions. quantization/operators/activation.py,
#              QDQRemovableActivation: Relu and Clip are removed alike, whatever the bounds; quant_utils.py,
#              compute_scale_zp: rmin = min(rmin, 0), rmax = max(rmax, 0).
# What to do   Name such nodes in nodes_to_exclude, or set QDQKeepRemovableActivations.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6 sympy==1.14.0
cd "$work"
venv/bin/python - 2> /dev/null <<'PY'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization
from onnxruntime.quantization import QuantType

IMAGES = [np.random.default_rng(seed).uniform(-1, 3, (1, 1, 8, 8)).astype(np.float32) for seed in range(8)]


class Images(quantization.CalibrationDataReader):
    def __init__(self):
        self._images = iter(IMAGES)

    def get_next(self):
        image = next(self._images, None)
        return None if image is None else {"x": image}


def write(low):
    """A convolution that does nothing, a Clip from `low` to 2, another such convolution, and 1 / x."""
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "one"], ["a"], name="first"),
            helper.make_node("Clip", ["a", "low", "high"], ["b"], name="clip"),
            helper.make_node("Conv", ["b", "one"], ["before"], name="second"),
            helper.make_node("Reciprocal", ["before"], ["after"], name="inverse"),
        ],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 8, 8])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 8, 8])
            for name in ("before", "after")
        ],
        [
            numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "one"),
            numpy_helper.from_array(np.float32(low), "low"),
            numpy_helper.from_array(np.float32(2), "high"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(onnx.shape_inference.infer_shapes(model), "float.onnx")


def ends(file):
    """The lowest value before the Reciprocal and the largest after it, of all images."""
    session = onnxruntime.InferenceSession(file)
    before, after = zip(*(session.run(["before", "after"], {"x": image}) for image in IMAGES))
    return f"lowest value before the Reciprocal {np.min(before):.3f}, largest after it {np.max(after):.3f}"


observed = []
for label, low, kind, extra in (
    ("Clip from 0.5, uint8", 0.5, QuantType.QUInt8, {}),
    ("Clip from 0.5, uint8, kept", 0.5, QuantType.QUInt8, {"QDQKeepRemovableActivations": True}),
    ("Clip from 0.5, int8, symmetric", 0.5, QuantType.QInt8, {"ActivationSymmetric": True}),
    ("Clip from 0, uint8", 0.0, QuantType.QUInt8, {}),
):
    write(low)
    quantization.quantize_static(
        "float.onnx",
        "codes.onnx",
        Images(),
        activation_type=kind,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv", "Clip"],
        extra_options=extra,
    )
    kept = any(node.op_type == "Clip" for node in onnx.load("codes.onnx").graph.node)
    said = f"{'a' if kept else 'no'} Clip; {ends('codes.onnx')}"
    print(f"{label}: {said}")
    observed.append((kept, "inf" in said))
write(0.5)
print(f"in float: {ends('float.onnx')}")
if observed != [(False, True), (True, False), (True, False), (False, True)]:
    print("The behaviour changed.")
    sys.exit(1)
PY
