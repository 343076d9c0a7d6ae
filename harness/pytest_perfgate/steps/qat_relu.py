"""Symmetric codes in front of ReLU, so that ONNX Runtime computes the layer before it in 8 bits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_LARGEST_CODE = 127
_ROUNDING = 1e-5
"""Of a scale in float32, relative."""


def quantize_before_relu(path: Path) -> int:
    """Quantize the input of each ReLU of an ONNX file with the codes of its output, and give how
    many there were; a Clip from 0 is one, too. The numbers stay the same: ReLU commutes with
    rounding to codes whose zero point is 0, and so does an upper bound that no code exceeds.

    ONNX Runtime runs a ReLU inside an integer layer only where it is no work, because the zero
    point is the smallest code. Otherwise the layer's output is not quantized, and it is computed in
    float.
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.load(path)
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    nodes: list[onnx.NodeProto] = []
    changed = 0
    for node in graph.node:
        after = readers.get(node.output[0], []) if node.output else []
        if [one.op_type for one in after] == ["QuantizeLinear"] and _commutes(
            node, after[0], constants
        ):
            value, codes = node.input[0], after[0].input[1:]
            coded, decoded = f"{value}_codes", f"{value}_rounded"
            nodes += [
                onnx.helper.make_node("QuantizeLinear", [value, *codes], [coded], coded),
                onnx.helper.make_node("DequantizeLinear", [coded, *codes], [decoded], decoded),
            ]
            node.input[0] = decoded
            changed += 1
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, path)
    return changed


def _commutes(node: Any, after: Any, constants: Mapping[str, Any]) -> bool:
    """Whether `node` is a ReLU, or a Clip from 0 to a bound above the largest code of `after`."""
    if node.op_type == "Relu":
        return True
    bounds = [constants.get(name) for name in node.input[1:3]]
    scale = constants.get(after.input[1])
    if node.op_type != "Clip" or len(bounds) < 2 or scale is None:
        return False
    least, most = bounds
    if least is None or most is None or float(least) != 0:
        return False
    return float(most) >= _LARGEST_CODE * float(scale) * (1 - _ROUNDING)
