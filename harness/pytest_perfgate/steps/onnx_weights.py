"""The weights of an ONNX graph in one place, wherever its exporter put them."""

from __future__ import annotations

from typing import Any

_INITIALIZERS_APART = 4
"""The IR version since which an initializer need not be listed among the graph's inputs."""


def gather_weights(model: Any) -> Any:
    """Make `model`'s weights initializers, and initializers alone; return it.

    Older exporters list them among the graph's inputs, others write Constant nodes; libraries that
    change weights look at initializers, and take an input for an image.
    """
    from onnx import numpy_helper

    graph = model.graph
    nodes = []
    for node in graph.node:
        value = _constant(node)
        if value is None:
            nodes.append(node)
        else:
            graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
    if len(nodes) < len(graph.node):
        del graph.node[:]
        graph.node.extend(nodes)
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) < len(graph.input):
        del graph.input[:]
        graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, _INITIALIZERS_APART)
    return model


def _constant(node: Any) -> Any:
    """The array of a Constant node; None for another node, and for strings and sparse tensors."""
    import numpy as np
    from onnx import numpy_helper

    if node.op_type != "Constant" or node.domain not in {"", "ai.onnx"}:
        return None
    (attribute,) = node.attribute
    if attribute.name == "value":
        return numpy_helper.to_array(attribute.t)
    kinds: dict[str, Any] = {
        "value_float": lambda: np.array(attribute.f, np.float32),
        "value_floats": lambda: np.array(attribute.floats, np.float32),
        "value_int": lambda: np.array(attribute.i, np.int64),
        "value_ints": lambda: np.array(attribute.ints, np.int64),
    }
    return kinds[attribute.name]() if attribute.name in kinds else None
