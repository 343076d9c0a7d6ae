"""What an ONNX file computes, counted: its multiply-adds and its parameters."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_perfgate.metric import MULTIPLY_ADDS, PARAMETERS
from pytest_perfgate.records.counts import Graph

_SUFFIX = "_kernel_time"
_WEIGHTS = {"Conv": 1, "FusedConv": 1, "ConvInteger": 1, "QLinearConv": 3, "ConvTranspose": 1}
"""Place of the weights among the inputs of a convolution."""

_PRODUCTS = {"MatMul", "FusedMatMul", "MatMulInteger", "QLinearMatMul", "MatMulIntegerToFloat"}
_GEMMS = {"Gemm", "FusedGemm", "QGemm"}
_UNCOUNTED = {
    *("Attention", "MultiHeadAttention", "GroupQueryAttention", "PackedAttention", "QAttention"),
    *("DecoderMaskedMultiHeadAttention", "Einsum", "LSTM", "GRU", "RNN", "DynamicQuantizeLSTM"),
    *("DeformConv", "MatMulNBits", "DynamicQuantizeMatMul"),
}
"""Kinds of nodes with products of their own: a graph with one of them has no count."""

_NO_WEIGHTS = {"INT64", "BOOL", "STRING", "UNDEFINED"}
"""Types of indices, shapes and masks."""


def counted(path: Path, fed: Mapping[str, Any]) -> Graph:
    """Multiply-adds and parameters of a file.

    Args:
        path: the ONNX file.
        fed: arrays for an inference of one image, by the names of the inputs.
    """
    unmeasured = {}
    adds = weights = None
    try:
        adds, unknown = multiply_adds(_shapes(path, fed))
        if unknown:
            adds = None
            unmeasured[MULTIPLY_ADDS] = f"the products of {', '.join(unknown)} are not counted"
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's have no common type
        unmeasured[MULTIPLY_ADDS] = f"ONNX Runtime does not run the file on the CPU: {first(error)}"
    try:
        weights = parameters(path)
    except Exception as error:  # noqa: BLE001 - of protobuf, onnx and the file system
        unmeasured[PARAMETERS] = f"the file cannot be read: {first(error)}"
    return Graph(multiply_adds=adds, parameters=weights, unmeasured=unmeasured)


def first(error: Exception) -> str:
    """The first line of an error."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def multiply_adds(events: Iterable[Mapping[str, Any]]) -> tuple[int, tuple[str, ...]]:
    """Multiply-adds of convolutions and matrix products, and the kinds of nodes whose products are
    not counted.

    A convolution has one for each of its outputs and each weight of that output's channel, a
    transposed one for each of its inputs and each weight of that input's channel, a product
    (..., M, K) (..., K, N) has K for each output. Padding counts.

    Args:
        events: those of a profile of ONNX Runtime, over one inference.
    """
    total, unknown = 0, set()
    for event in events:
        arguments = event.get("args", {})
        if not str(event.get("name", "")).endswith(_SUFFIX):
            continue
        kind = str(arguments.get("op_name", ""))
        if kind in _UNCOUNTED:
            unknown.add(kind)
        elif kind in _WEIGHTS or kind in _PRODUCTS or kind in _GEMMS:
            inputs, outputs = (
                [tuple(shape) for entry in arguments[side] for shape in entry.values()]
                for side in ("input_type_shape", "output_type_shape")
            )
            total += _of_node(kind, inputs, outputs[0])
    return total, tuple(sorted(unknown))


def _of_node(kind: str, inputs: Sequence[tuple[int, ...]], output: tuple[int, ...]) -> int:
    if kind in _WEIGHTS:
        per_value = math.prod(inputs[_WEIGHTS[kind]][1:])
        return math.prod(inputs[0] if kind == "ConvTranspose" else output) * per_value
    left = inputs[0]
    if len(left) == 1:
        return math.prod(output) * left[0]
    # A side may be transposed: the other of the last two lengths is the one that is summed over.
    rows = output[0] if kind in _GEMMS else output[-2] if len(output) > 1 else left[-2]
    return math.prod(output) * (left[-1] if left[-2] == rows else left[-2])


def _shapes(path: Path, fed: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Events of one inference on the CPU, whose shapes are those that ran. Constants are folded;
    what depends on the CPU is left out: it would be another graph elsewhere.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    options.enable_profiling = True
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # A packed matrix is no input of its node any more, and has no shape.
    options.add_session_config_entry("session.disable_prepacking", "1")
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        session.run(None, dict(fed))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return list(events)


def parameters(path: Path) -> int:
    """Numbers in the weights of a file: floats, and codes of quantized weights with their scales
    and zero points; indices and shapes are none.
    """
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    kinds = onnx.TensorProto.DataType
    return sum(
        math.prod(tensor.dims)
        for tensor in _tensors(model.graph)
        if kinds.Name(tensor.data_type) not in _NO_WEIGHTS
    )


def _tensors(graph: Any) -> Iterator[Any]:
    """Initializers and constants, those of graphs within it too."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                yield attribute.t
            if attribute.HasField("g"):
                yield from _tensors(attribute.g)
            for inner in attribute.graphs:
                yield from _tensors(inner)


def all_nodes(graph: Any) -> Iterator[Any]:
    """Nodes of a graph, those of graphs within it too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from all_nodes(attribute.g)
            for inner in attribute.graphs:
                yield from all_nodes(inner)
