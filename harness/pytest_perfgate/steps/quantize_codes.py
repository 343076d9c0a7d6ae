"""The codes of a quantized ONNX graph: zero points, biases, bits of weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}


def code_facts(graph: Any) -> dict[str, int]:
    """Counts of what TensorRT refuses, zero points of activations that are not 0 and 8-bit biases;
    and the bits of the weights.
    """
    from onnx import numpy_helper

    stored = {tensor.name: tensor for tensor in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    points = 0
    for node in graph.node:
        if node.op_type == "QuantizeLinear" and len(node.input) > 2 and node.input[2] in stored:
            points += bool(numpy_helper.to_array(stored[node.input[2]]).any())
    biases = sum(
        len(node.input) > 2
        and node.op_type in {"Conv", "Gemm"}
        and node.input[2] in makers
        and makers[node.input[2]].op_type == "DequantizeLinear"
        for node in graph.node
    )
    return {
        "zero_points_not_zero": points,
        "quantized_biases": biases,
        "weight_bits": _weight_bits(graph, stored, makers),
    }


def _weight_bits(graph: Any, stored: Mapping[str, Any], makers: Mapping[str, Any]) -> int:
    """Bits that the span of codes of a quantized weight takes, at most; 0 without any. Codes from
    -64 to 64 are 7 bits, as ONNX Runtime counts them.
    """
    from onnx import numpy_helper

    span = 0
    for node in graph.node:
        maker = makers.get(node.input[1]) if len(node.input) > 1 else None
        if node.op_type in _WEIGHTED and maker is not None and maker.input[0] in stored:
            codes = numpy_helper.to_array(stored[maker.input[0]])
            span = max(span, int(codes.max()) - int(codes.min()))
    return (span - 1).bit_length() if span else 0
