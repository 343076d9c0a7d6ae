#!/usr/bin/env bash
# OpenVINO cannot compile a gated recurrent unit whose linear layers have the usual bias
#
# Versions     openvino 2026.4.1 (CPU plugin), onnx 1.23.2, onnxruntime 1.30.0 (Python 3.11)
# Behaviour    A recurrent unit (Cho et al. 2014) written out: two Gemm with a bias each, then
#              update * state + (1 - update) * candidate. torch exports nn.Linear as such a Gemm, with
#              transB = 1 and a bias of shape [16]. OpenVINO's GRUCellFusion recognizes the formula, folds the layers'
#              biases, and splits them along axis 1, which they do not have: compile_model raises. It
#              takes the same numbers when the biases have the shape [1, 16], when each Gemm is a
#              MatMul with an Add or has transB = 0, and when the last line is candidate + update * (state - candidate), which
#              is the same number and is not recognized.
# Output       Gemm, bias [16], update * state + (1 - update) * candidate: refused by GRUCellFusion
#              Gemm, bias [1, 16], update * state + (1 - update) * candidate: as ONNX Runtime
#              MatMul + Add, bias [16], update * state + (1 - update) * candidate: as ONNX Runtime
#              Gemm, bias [16], candidate + update * (state - candidate): as ONNX Runtime
# Wrong guess  "The error says Split and axis 1: the file has an operator with a wrong axis." The Split
#              it names is in no file; the fusion made it. An optimization that does not fit is
#              commonly passed over, not raised.
# Source       Found when a classifier of clips loaded in every runtime but one. The message names
#              [GRUCellFusion] and src/core/src/pass/graph_rewrite.cpp ("CALLBACK HAS THROWN"); the
#              fusion is src/common/transformations/src/transformations/common_optimizations/
#              gru_cell_fusion.cpp.
# What to do   Write the last line as candidate + update * (state - candidate).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet openvino==2026.4.1 onnx==1.23.2 onnxruntime==1.30.0 numpy==2.4.6
cd "$work"
export CI=true  # no telemetry
venv/bin/python - 2>log.txt <<'PY' || { cat log.txt; exit 1; }
import sys

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper

SIZE = 8


def unit(operator, rank, formula):
    generator = np.random.default_rng(0)
    nodes, tensors = [], {"one": np.float32(1)}

    def node(kind, inputs, outputs, **attributes):
        nodes.append(helper.make_node(kind, inputs.split(), outputs.split(), **attributes))

    def linear(source, target, outputs):
        weight = generator.normal(scale=0.3, size=(2 * SIZE, outputs)).astype(np.float32)
        bias = generator.normal(size=outputs).astype(np.float32)
        tensors[target + "_w"] = weight.T.copy() if operator == "Gemm" else weight
        tensors[target + "_b"] = bias.reshape((1,) * (rank - 1) + (outputs,))
        if operator == "Gemm":
            node("Gemm", f"{source} {target}_w {target}_b", target, transB=1)
        else:
            node("MatMul", f"{source} {target}_w", target + "_m")
            node("Add", f"{target}_m {target}_b", target)

    node("Concat", "x state", "both", axis=1)
    linear("both", "gates", 2 * SIZE)
    node("Sigmoid", "gates", "open")
    node("Split", "open", "update reset", axis=1, num_outputs=2)
    node("Mul", "reset state", "kept")
    node("Concat", "x kept", "inputs", axis=1)
    linear("inputs", "fresh", SIZE)
    node("Tanh", "fresh", "candidate")
    if formula.startswith("update"):
        node("Sub", "one update", "rest")
        node("Mul", "rest candidate", "new")
        node("Mul", "update state", "old")
        node("Add", "old new", "y")
    else:
        node("Sub", "state candidate", "back")
        node("Mul", "update back", "step")
        node("Add", "candidate step", "y")
        del tensors["one"]
    graph = helper.make_graph(
        nodes,
        "unit",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, SIZE]) for name in ("x", "state")],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, SIZE])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def answer(model):
    inputs = {"x": np.ones((1, SIZE), np.float32), "state": np.full((1, SIZE), 0.5, np.float32)}
    expected = onnxruntime.InferenceSession(model).run(None, inputs)[0]
    core = openvino.Core()
    try:
        compiled = core.compile_model(
            core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
        )
    except RuntimeError as error:
        return "refused by GRUCellFusion" if "GRUCellFusion" in str(error) else "refused"
    gap = np.abs(compiled(inputs)[0] - expected).max()
    return "as ONNX Runtime" if gap < 1e-5 else "another answer"


PLAIN, SHORT = "update * state + (1 - update) * candidate", "candidate + update * (state - candidate)"
answers = []
for operator, rank, formula in (("Gemm", 1, PLAIN), ("Gemm", 2, PLAIN), ("MatMul", 1, PLAIN), ("Gemm", 1, SHORT)):
    answers.append(answer(unit(operator, rank, formula)))
    name = "MatMul + Add" if operator == "MatMul" else operator
    print(f"{name}, bias {'[16]' if rank == 1 else '[1, 16]'}, {formula}: {answers[-1]}")
if answers != ["refused by GRUCellFusion", *["as ONNX Runtime"] * 3]:
    sys.exit("The behaviour changed.")
PY
