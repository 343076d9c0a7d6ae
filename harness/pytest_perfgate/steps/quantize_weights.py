"""quantize with method "weight_only": int8 weights behind DequantizeLinear."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def weights_only(plain: Path, path: Path, options: Any) -> None:
    """Symmetric int8 weights, each behind a DequantizeLinear: w = scale * q, scale = max |w| / 127
    per output channel, or for the whole weight.
    """
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(plain)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    done: set[str] = set()
    for node in list(model.graph.node):
        quantizable = node.op_type in options.op_types_to_quantize and len(node.input) > 1
        quantizable = quantizable and node.op_type != "Clip"  # its other inputs are bounds
        if not quantizable or node.name in options.nodes_to_exclude or node.input[1] not in stored:
            continue
        name = node.input[1]
        if name not in done:
            weight = numpy_helper.to_array(stored[name])
            axis = _output_axis(node) if options.per_channel and weight.ndim > 1 else None
            if axis is not None:
                axis %= weight.ndim
            others = tuple(other for other in range(weight.ndim) if other != axis)
            largest = np.abs(weight).max(axis=None if axis is None else others, keepdims=True)
            scale = np.maximum(largest, 1e-12).astype(np.float32) / 127
            whole = np.clip(np.round(weight / scale), -127, 127).astype(np.int8)
            shape = () if axis is None else (weight.shape[axis],)
            zeros = np.zeros(shape, np.int8)
            model.graph.initializer.remove(stored[name])
            model.graph.initializer.extend(
                [
                    numpy_helper.from_array(whole, f"{name}_quantized"),
                    numpy_helper.from_array(scale.reshape(shape), f"{name}_scale"),
                    numpy_helper.from_array(zeros, f"{name}_zero_point"),
                ]
            )
            parts = [f"{name}_quantized", f"{name}_scale", f"{name}_zero_point"]
            more: dict[str, Any] = {} if axis is None else {"axis": axis}
            inverse = helper.make_node(
                "DequantizeLinear", parts, [name], f"{name}_DequantizeLinear", **more
            )
            model.graph.node.insert(0, inverse)
            done.add(name)
    onnx.save(model, path)


def _output_axis(node: Any) -> int:
    """The axis of a weight along which its output channels lie."""
    if node.op_type == "MatMul":
        return -1
    if node.op_type == "Gemm":
        turned = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        return 0 if turned else 1
    return 1 if node.op_type == "ConvTranspose" else 0
