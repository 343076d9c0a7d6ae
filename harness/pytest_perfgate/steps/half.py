"""half: an ONNX graph that computes in 16 bits, by onnxruntime.transformers.float16."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, Artifact, OptionsModel
from pytest_perfgate.errors import BuildError, suggestion
from pytest_perfgate.steps import Applied, BuildContext, Step, expect
from pytest_perfgate.steps.onnx_weights import gather_weights
from pytest_perfgate.steps.output_check import (
    batches,
    expect_close,
    finite,
    largest_difference,
    onnx_outputs,
    onnx_session,
    tolerance_option,
)

_LARGEST = 65504
"""The largest finite number of 16-bit floating point."""


class Half(Step):
    """The step `half`."""

    name = "half"
    argument = "dtype"
    accepts = frozenset({ONNX})
    produces = ONNX
    requires = (
        registry.from_extra("onnx", "onnx"),
        registry.from_extra("onnxruntime", "onnx"),
    )
    not_after: Mapping[str, str] = {
        "quantize": "the scales of 8-bit operators must stay in float32",
        "qat": "the scales of 8-bit operators must stay in float32",
    }

    class Options(OptionsModel):
        """Options in the words of convert_float_to_float16."""

        dtype: Literal["float16"] = Field("float16", description="type to compute in")
        keep_io_types: bool = Field(
            True, description="keep inputs and outputs in float32; false: they become float16"
        )
        op_block_list: tuple[str, ...] | None = Field(
            None, description="types of operators that stay in float32; default: the library's list"
        )
        node_block_list: tuple[str, ...] = Field((), description="nodes that stay in float32")
        tolerance: float = tolerance_option(0.02)

    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """Converts, compares the outputs, and looks for values that 16 bits cannot hold."""
        import onnx
        from onnxruntime.transformers import float16
        from onnxruntime.transformers.onnx_model import OnnxModel

        if artifact.path is None:
            raise BuildError("there is no ONNX file to convert")
        before = gather_weights(onnx.load(artifact.path))
        names = [node.name for node in before.graph.node]
        for name in options.node_block_list:
            if name not in names:
                raise BuildError(
                    f"node_block_list: the graph has no node {name!r}",
                    valid=suggestion(name, names),
                )
        named = [name for name in names if name]
        if len(set(named)) < len(named):
            # The library tells nodes apart by their names.
            raise BuildError(
                "two nodes of the graph have one name",
                next_step='add { simplify = "onnxslim" } before it',
            )
        after = float16.convert_float_to_float16(
            gather_weights(onnx.load(artifact.path)),
            keep_io_types=options.keep_io_types,
            op_block_list=options.op_block_list,
            node_block_list=list(options.node_block_list),
        )
        _mend(after)
        OnnxModel(after).topological_sort(is_deterministic=True)  # its casts stand at the end
        path = context.folder / "model.onnx"
        onnx.checker.check_model(after)
        onnx.save(after, path)
        sessions = [onnx_session(model, context.threads) for model in (artifact.path, path)]
        difference = 0.0
        for count in batches(before):
            one, other = (onnx_outputs(session, context.example(count)) for session in sessions)
            difference = max(difference, largest_difference(one, other, count))
        overflow = _overflow(after, context)
        effect = {
            **_count(after),
            "bytes_before": artifact.path.stat().st_size,
            "bytes": path.stat().st_size,
            "overflows": len(overflow),
            "first_overflow": overflow[0] if overflow else "",
            "largest_difference": finite(difference),
        }
        return Applied(Artifact(ONNX, path=path), effect)

    def prove(self, effect: Mapping[str, Any], options: Any) -> None:
        """Weights must be 16-bit, every value finite, and the numbers near."""
        expect(
            effect["fp16_initializers"] > 0,
            self.name,
            f"of {effect['initializers']} weights none is 16-bit",
        )
        expect(
            effect["overflows"] == 0,
            self.name,
            f"{effect['overflows']} values inside the graph overflow 16-bit floating point, whose "
            f"largest number is {_LARGEST}; the first is {effect['first_overflow']!r}: name its "
            "node in node_block_list, or its operator in op_block_list",
        )
        expect_close(self.name, effect, options, "those in float32")


def _mend(model: Any) -> None:
    """Takes out what the library leaves behind: a cast for each reader of a value, all of one name,
    a way through 16 bits between two operators that both stay in float32, and the types that values
    had before.
    """
    import onnx

    def casts(to: int) -> list[Any]:
        return [
            node
            for node in model.graph.node
            if node.op_type == "Cast"
            and any(attribute.name == "to" and attribute.i == to for attribute in node.attribute)
        ]

    wider = {node.output[0]: node.input[0] for node in casts(onnx.TensorProto.FLOAT16)}
    for node in casts(onnx.TensorProto.FLOAT):
        node.input[0] = wider.get(node.input[0], node.input[0])
    read = {name for node in model.graph.node for name in node.input}
    read |= {value.name for value in model.graph.output}
    casts_seen: set[bytes] = set()
    nodes = []
    for node in model.graph.node:
        text = node.SerializeToString(deterministic=True)
        unread = node.op_type == "Cast" and not read.intersection(node.output)
        if not unread and (node.op_type != "Cast" or text not in casts_seen):
            nodes.append(node)
        casts_seen.add(text)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    del model.graph.value_info[:]  # they follow from the graph


def _count(model: Any) -> dict[str, int]:
    """Floating-point weights and operators with a 16-bit weight or result, and of how many."""
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model).graph
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.value_info}
    types |= {value.name: value.type.tensor_type.elem_type for value in inferred.output}
    types |= {value.name: value.data_type for value in inferred.initializer}
    weights = [value.data_type for value in inferred.initializer]
    ops = [node for node in inferred.node if node.op_type != "Cast"]
    floats = [{types.get(name) for name in node.output} & {half, single} for node in ops]
    return {
        "fp16_initializers": weights.count(half),
        "initializers": weights.count(half) + weights.count(single),
        "fp16_ops": sum(half in types_of for types_of in floats),
        "ops": sum(bool(types_of) for types_of in floats),
        "casts": sum(node.op_type == "Cast" for node in inferred.node),
    }


def _overflow(model: Any, context: BuildContext) -> list[str]:
    """The 16-bit values of the graph that are not finite for the example, in the graph's order.

    Each is made an output of its own: on a CPU, ONNX Runtime computes in float32 and takes the
    conversions between two operators out, so the graph's own outputs would not show what overflows
    where 16 bits are real.
    """
    import numpy as np
    import onnx

    half = onnx.TensorProto.FLOAT16
    inferred = onnx.shape_inference.infer_shapes(model)
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}
    names_of_half = [
        name for node in model.graph.node for name in node.output if types.get(name) == half
    ]
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    del shown.graph.output[:]
    shown.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, half, None) for name in names_of_half
    )
    if not names_of_half:
        return []
    session = onnx_session(shown.SerializeToString(), context.threads)
    outputs = onnx_outputs(session, context.example(batches(model)[0]))
    return [
        name
        for name, value in zip(names_of_half, outputs, strict=True)
        if not np.isfinite(value).all()
    ]
