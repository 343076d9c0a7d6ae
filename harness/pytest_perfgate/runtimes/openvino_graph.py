"""The graph that OpenVINO runs, by kinds of its layers, and what the model computes, counted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pytest_perfgate.metric import MULTIPLY_ADDS
from pytest_perfgate.records.counts import Graph

SOURCE = "OpenVINO's runtime model"

_NO_LAYERS = {"Input", "Output", "Const"}
_CONVOLUTIONS = {"Convolution": 1, "GroupConvolution": 2}
_TRANSPOSED = {"ConvolutionBackpropData": 1, "GroupConvolutionBackpropData": 2}
"""Kinds of convolutions, and the axis from which on a weight belongs to one output (transposed: to
one input)."""

_UNCOUNTED = {
    *("LSTMCell", "LSTMSequence", "GRUCell", "GRUSequence", "RNNCell", "RNNSequence"),
    *("Einsum", "DeformableConvolution", "ScaledDotProductAttention", "Loop", "TensorIterator"),
    *("If", "BinaryConvolution"),
}
_NO_WEIGHTS = {"i64", "i32", "boolean", "string"}
"""Types of indices, shapes and masks."""


def graph_of(compiled: Any, model: Any, shapes: Sequence[Sequence[int]]) -> Graph:
    """What a compiled model runs.

    Args:
        compiled: the compiled model.
        model: what was read from its file, which is changed.
        shapes: of the arrays of an inference of one image, input by input.
    """
    nodes = Counter(
        str(node.get_rt_info()["layerType"].astype(str))
        for node in compiled.get_runtime_model().get_ops()
    )
    unmeasured = {}
    adds = None
    parameters = sum(
        math.prod(node.get_output_shape(0))
        for node in model.get_ops()
        if node.get_type_name() == "Constant"
        and node.get_output_element_type(0).get_type_name() not in _NO_WEIGHTS
    )
    model.reshape(dict(enumerate(map(list, shapes))))
    kinds = {node.get_type_name() for node in model.get_ops()}
    unknown = sorted(kinds & _UNCOUNTED)
    counted = [node for node in model.get_ops() if _has_products(node)]
    if unknown:
        unmeasured[MULTIPLY_ADDS] = f"the products of {', '.join(unknown)} are not counted"
    elif any(_is_open(node) for node in counted):
        unmeasured[MULTIPLY_ADDS] = "shapes of the model depend on what it computes"
    else:
        adds = sum(map(_multiply_adds, counted))
    return Graph(
        source=SOURCE,
        nodes={kind: count for kind, count in nodes.items() if kind not in _NO_LAYERS},
        multiply_adds=adds,
        parameters=parameters,
        unmeasured=unmeasured,
    )


def _has_products(node: Any) -> bool:
    return node.get_type_name() in {*_CONVOLUTIONS, *_TRANSPOSED, "MatMul"}


def _is_open(node: Any) -> bool:
    sides = (*node.inputs(), *node.outputs())
    return any(side.get_partial_shape().is_dynamic for side in sides)


def _multiply_adds(node: Any) -> int:
    """See `onnx_counts.multiply_adds`. Weights of groups are (groups, outputs, inputs, ...)."""
    kind = node.get_type_name()
    output, first, weights = (
        tuple(map(int, shape))
        for shape in (node.get_output_shape(0), node.get_input_shape(0), node.get_input_shape(1))
    )
    if kind in _CONVOLUTIONS:
        return math.prod(output) * math.prod(weights[_CONVOLUTIONS[kind] :])
    if kind in _TRANSPOSED:
        return math.prod(first) * math.prod(weights[_TRANSPOSED[kind] :])
    if len(first) == 1:
        return math.prod(output) * first[0]
    transposed = bool(node.get_attributes().get("transpose_a", False))
    return math.prod(output) * first[-2 if transposed else -1]
