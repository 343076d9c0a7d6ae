"""Clips that stay in float, because codes cannot clip in their place."""

from __future__ import annotations

from typing import Any


def clips_off_zero(graph: Any) -> list[str]:
    """Names of the Clips whose bounds do not have zero between them, or are computed.

    ONNX Runtime's quantizer deletes a Clip between quantized operators, and gives the range of its
    result to the operator before it. A range of codes is widened until it holds zero, so that a
    clamp to 1e-6 and above, in front of a division, would let zeros through.

    Args:
        graph: of an ONNX model whose operators have names.
    """
    known = _constants(graph)
    return [
        node.name for node in graph.node if node.op_type == "Clip" and not _holds_zero(node, known)
    ]


def _holds_zero(clip: Any, known: dict[str, Any]) -> bool:
    bounds = {one.name: one.f for one in clip.attribute}  # before operator set 11
    low, high = bounds.get("min", 0.0), bounds.get("max", 0.0)
    given = [*clip.input[1:], "", ""][:2]
    if not all(name in known for name in given if name):
        return False
    low, high = (
        float(known[name].min()) if name else value
        for name, value in zip(given, (low, high), strict=True)
    )
    return low <= 0 <= high


def _constants(graph: Any) -> dict[str, Any]:
    """Arrays of the graph that depend on no input, by name."""
    from onnx import helper, numpy_helper

    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type != "Constant":
            continue
        for attribute in node.attribute:
            value = helper.get_attribute_value(attribute)
            if attribute.name == "value":
                arrays[node.output[0]] = numpy_helper.to_array(value)
    return arrays
