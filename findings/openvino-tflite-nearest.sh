#!/usr/bin/env bash
# OpenVINO reads a nearest resize of a .tflite file without its half-pixel centres; twice as large hides it
#
# Versions     openvino 2026.4.1 (CPU plugin), ai-edge-litert 2.3.0 (numpy 2.4.6, Python 3.11)
# Behaviour    RESIZE_NEAREST_NEIGHBOR with half_pixel_centers, as TensorFlow 2 writes every nearest tf.image.resize, on a
#              row 0 1 2 ... of seven pixels. LiteRT takes the pixel under each centre. OpenVINO takes the one under
#              each left edge: half as many pixels come from one place further left, a single one is the first and not
#              the middle. Resized to twice or three times the size both agree, as in most necks of detectors. The
#              bilinear resize beside it has its attribute in both.
# Output       nearest, 7 to 14: LiteRT 0 0 1 1 2 2 3 3 4 4 5 5 6 6, OpenVINO the same
#              nearest, 7 to 4: LiteRT 0 2 4 6, OpenVINO 0 1 3 5
#              nearest, 7 to 1: LiteRT 3, OpenVINO 0
#              nearest, 7 to 9: LiteRT 0 1 1 2 3 4 5 5 6, OpenVINO 0 0 1 2 3 3 4 5 6
#              bilinear, 7 to 4: LiteRT 0.375 2.12 3.88 5.62, OpenVINO the same
# Wrong guess  "The importer hands the attributes on": it does for bilinear, two lines above. Or: "nearest has nothing to
#              interpolate, so there is nothing to get wrong".
# Source       Found by converting 170 operators of TensorFlow and running them in four ways. OpenVINO,
#              src/frontends/tensorflow_lite/src/op/resize.cpp, resize_nearest_neightbor: align_corners is read from the
#              file, half_pixel_centers is the constant false.
# What to do   Convert the ONNX or SavedModel of the same network, resize by whole factors, and compare with LiteRT.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet openvino==2026.4.1 ai-edge-litert==2.3.0 numpy==2.4.6
cd "$work"
export CI=true  # no telemetry
venv/bin/python - <<'PY' 2> /dev/null
import sys

import flatbuffers
import numpy as np
import openvino
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

LENGTH = 7


def write(kind, length):
    """A file with one resize of a row, (1, 1, 7, 1) to (1, 1, length, 1)."""
    options = {
        "nearest": (schema.BuiltinOperator.RESIZE_NEAREST_NEIGHBOR, "ResizeNearestNeighborOptions"),
        "bilinear": (schema.BuiltinOperator.RESIZE_BILINEAR, "ResizeBilinearOptions"),
    }[kind]
    code, name = options
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = [0, 1], [2]
    operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
    operator.builtinOptions = getattr(schema, f"{name}T")()
    operator.builtinOptions.halfPixelCenters = True
    graph = schema.SubGraphT()
    graph.tensors, buffers = [], [schema.BufferT()]
    for tensor_name, shape, of_type, content in (
        ("x", [1, 1, LENGTH, 1], schema.TensorType.FLOAT32, None),
        ("size", [2], schema.TensorType.INT32, np.array([1, length], np.int32)),
        ("y", [1, 1, length, 1], schema.TensorType.FLOAT32, None),
    ):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = tensor_name.encode(), shape, of_type
        tensor.buffer = 0
        if content is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(content.tobytes(), np.uint8)
            tensor.buffer = len(buffers)
            buffers.append(buffer)
        graph.tensors.append(tensor)
    graph.inputs, graph.outputs, graph.operators = [0], [2], [operator]
    opcode = schema.OperatorCodeT()
    opcode.builtinCode = opcode.deprecatedBuiltinCode = code
    opcode.version = 3
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [opcode], [graph], buffers
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    with open("model.tflite", "wb") as file:
        file.write(builder.Output())


row = np.arange(LENGTH, dtype=np.float32).reshape(1, 1, LENGTH, 1)
observed = []
for kind, length in (("nearest", 14), ("nearest", 4), ("nearest", 1), ("nearest", 9), ("bilinear", 4)):
    write(kind, length)
    interpreter = Interpreter("model.tflite")
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], row)
    interpreter.invoke()
    arrays = [interpreter.get_tensor(interpreter.get_output_details()[0]["index"])]
    core = openvino.Core()
    arrays.append(core.compile_model("model.tflite", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(row)[0])
    lite, vino = (" ".join(f"{value:.3g}" for value in array.ravel()) for array in arrays)
    print(f"{kind}, {LENGTH} to {length}: LiteRT {lite}, OpenVINO {'the same' if lite == vino else vino}")
    observed.append((lite, vino))
double, half, one, odd, bilinear = observed
if double[0] != double[1] or bilinear[0] != bilinear[1] or half != ("0 2 4 6", "0 1 3 5") or one != ("3", "0"):
    print("The behaviour changed.")
    sys.exit(1)
PY
