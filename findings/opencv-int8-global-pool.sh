#!/usr/bin/env bash
# OpenCV 5's new engine computes a global pool between two 8-bit convolutions wrongly
#
# Versions     opencv-python-headless 5.0.0.93, onnx 1.23.2 (numpy 2.4.6, Python 3.11), x86-64
# Behaviour    A quantized graph: convolution, global pool, 1x1 convolution, each between
#              QuantizeLinear/DequantizeLinear pairs (the shape of a squeeze-and-excite block). The
#              classic engine agrees with onnx's reference. The new engine, which readNetFromONNX takes
#              unless told otherwise, is off by several times the largest correct output. The same graph
#              that ends at the pool, or goes on with a fully connected layer, is right in both.
# Output       GlobalAveragePool: largest output 0.094; error of the classic engine 0.000, of the new 0.719
#              GlobalMaxPool: largest output 0.312; error of the classic engine 0.000, of the new 1.531
# Wrong guess  "Each operator passes its own test, so a chain of them is right"; "a wrong fusion would
#              show in the classifier's score": a classifier ends in pool and fully connected layer.
# Source       Found by comparing every runtime with ONNX Runtime on quantized graphs of three nodes.
#              modules/dnn/src/graph_fusion_qdq.cpp (ModelFusionQDQ) is the pass of the new engine that
#              turns such pairs into 8-bit layers and carries on 8-bit inputs of layers that it did not
#              turn; cv2.dnn.ENGINE_CLASSIC does not run it.
# What to do   cv2.dnn.readNetFromONNX(path, cv2.dnn.ENGINE_CLASSIC) for quantized files.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet opencv-python-headless==5.0.0.93 onnx==1.23.2 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PY'
import sys

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator


def pair(source, target, scale):
    return [
        helper.make_node("QuantizeLinear", [source, scale, "zero"], [target + "_codes"]),
        helper.make_node("DequantizeLinear", [target + "_codes", scale, "zero"], [target]),
    ]


def weights(name):
    return helper.make_node("DequantizeLinear", [name + "_codes", "w_scale", "w_zero"], [name], axis=0)


def errors(pool):
    generator = np.random.default_rng(0)
    tensors = {
        "u_codes": generator.integers(-100, 100, size=(8, 8, 3, 3)).astype(np.int8),
        "v_codes": generator.integers(-100, 100, size=(8, 8, 1, 1)).astype(np.int8),
        "w_scale": np.full(8, 0.002, np.float32),
        "w_zero": np.zeros(8, np.int8),
        "scale": np.float32(1 / 32),
        "pool_scale": np.float32(1 / 127),
        "zero": np.int8(0),
    }
    graph = helper.make_graph(
        [
            *pair("x", "a", "scale"),
            weights("u"),
            helper.make_node("Conv", ["a", "u"], ["b"], kernel_shape=[3, 3]),
            *pair("b", "c", "scale"),
            helper.make_node(pool, ["c"], ["d"]),
            *pair("d", "e", "pool_scale"),
            weights("v"),
            helper.make_node("Conv", ["e", "v"], ["f"], kernel_shape=[1, 1]),
            *pair("f", "y", "scale"),
        ],
        "block",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 1, 1])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, "block.onnx")
    image = generator.normal(size=(1, 8, 16, 16)).astype(np.float32)
    reference = ReferenceEvaluator(model).run(None, {"x": image})[0]
    differences = []
    for engine in (cv2.dnn.ENGINE_CLASSIC, cv2.dnn.ENGINE_NEW):
        network = cv2.dnn.readNetFromONNX("block.onnx", engine)
        network.setInput(image, "x")
        differences.append(float(np.abs(network.forward().reshape(reference.shape) - reference).max()))
    return float(np.abs(reference).max()), *differences


changed = False
for pool in ("GlobalAveragePool", "GlobalMaxPool"):
    largest, classic, new = errors(pool)
    print(f"{pool}: largest output {largest:.3f}; error of the classic engine {classic:.3f}, of the new {new:.3f}")
    changed = changed or not (classic <= 1 / 32 and new > largest)
if changed:
    sys.exit("The behaviour changed.")
PY
