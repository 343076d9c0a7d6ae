"""An ONNX graph cut after some of its values, to see what a runtime makes of its first part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_perfgate.steps.output_check import graph_inputs, image_input

_DECIDING = {"TopK", "NonMaxSuppression", "ArgMax", "ArgMin", "NonZero", "Unique", "Compress"}
"""Operators whose output jumps where two values are as good as equal: a difference in the last
digit gives other indices, and outputs in another order."""

_CODING = {"QuantizeLinear", "DequantizeLinear", "Cast"}


@dataclass(frozen=True)
class Operator:
    """An operator of a graph.

    Attributes:
        kind, name: as in the graph.
        codes: the type that its result is quantized to ("uint8"), "" for none.
        behind: the operators whose results it reads.
    """

    kind: str
    name: str
    codes: str = ""
    behind: tuple[str, ...] = ()

    def __str__(self) -> str:
        named = f"{self.kind} {self.name!r}" if self.name else self.kind
        codes = f" with its {self.codes} Q/DQ pair" if self.codes else ""
        return f"{named}{codes}" + (f", behind {' and '.join(self.behind)}" if self.behind else "")


_OWN_DOMAINS = {"", "ai.onnx"}


class Parts:
    """A model and its parts.

    Attributes:
        image: the name of its input.
    """

    def __init__(self, model: Any) -> None:
        import onnx

        self._model = model
        graph = model.graph
        self._nodes = list(graph.node)
        self._makers = {
            name: place for place, node in enumerate(self._nodes) for name in node.output if name
        }
        inferred = onnx.shape_inference.infer_shapes(model).graph
        self._values = {
            value.name: value for value in (*inferred.value_info, *graph.output, *inferred.output)
        }
        self._weights = {value.name: value for value in graph.initializer}
        self.image = image_input(graph).name
        self._taken = {entry.name for entry in graph_inputs(graph)}
        self._live = self._after({self.image})
        decided = {
            name
            for node in self._nodes
            if node.op_type in _DECIDING and any(self._is_live_float(name) for name in node.input)
            for name in node.output
        }
        self._jumpy = self._after(decided) if decided else set()

    @property
    def opset(self) -> int:
        """The version of ONNX's own operators."""
        own = [entry.version for entry in self._model.opset_import if entry.domain in _OWN_DOMAINS]
        return max(own, default=0)

    @property
    def is_quantized(self) -> bool:
        """Whether values that depend on the image are in 8 or 16 bits."""
        kinds = {"QuantizeLinear", "DynamicQuantizeLinear"}
        return any(
            node.op_type in kinds and self._live.intersection(node.input) for node in self._nodes
        )

    @property
    def is_half(self) -> bool:
        """Whether the graph has weights or values in 16-bit floating point."""
        import onnx

        halves = {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
        types = {value.data_type for value in self._model.graph.initializer}
        types |= {value.type.tensor_type.elem_type for value in self._values.values()}
        return bool(types & halves)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The graph's outputs, in its order."""
        return tuple(value.name for value in self._model.graph.output)

    @property
    def comparable(self) -> tuple[str, ...]:
        """The outputs, and in place of those that depend on a decision between nearly equal values
        (suppression, the best k, a class) the values that are decided on.
        """
        before = [name for name in self.outputs if name not in self._jumpy]
        for node in self._nodes:
            if self._jumpy.intersection(node.output):
                before += [
                    name
                    for name in node.input
                    if name not in self._jumpy and name not in before and self._is_live_float(name)
                ]
        return tuple(name for name in before if name != self.image)

    def upto(self, outputs: Sequence[str]) -> Any:
        """The model that gives `outputs`, values of this one, and computes nothing else."""
        return self.between((), outputs)

    def between(self, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
        """The model that computes `outputs` from `inputs`, both values of this one, and from the
        image where that is read on the way.
        """
        import onnx

        needed = self._before(outputs, frozenset(inputs))
        nodes = [node for place, node in enumerate(self._nodes) if place in needed]
        read = {name for node in nodes for name in _read(node)}
        part = onnx.ModelProto()
        part.CopyFrom(self._model)
        graph = part.graph
        weights = [value for value in graph.initializer if value.name in read]
        listed = [
            value
            for value in graph.input
            if value.name in read or (value.name in self._taken and not inputs)
        ]
        del graph.node[:], graph.output[:], graph.value_info[:], graph.initializer[:]
        del graph.input[:]
        graph.node.extend(nodes)
        graph.initializer.extend(weights)
        graph.input.extend([*listed, *(self._value(name) for name in inputs)])
        graph.output.extend(self._value(name) for name in outputs)
        return part

    def steps_to(self, output: str) -> list[str]:
        """The floating-point values on the way from the image to `output`, in the graph's order,
        itself the last. Codes are not among them, nor what is read as codes alone: a quantized
        operator is looked at with its Q/DQ pair.
        """
        needed = self._before([output])
        readers: dict[str, set[str]] = {}
        for node in self._nodes:
            for name in _read(node):
                readers.setdefault(name, set()).add(node.op_type)
        return [
            name
            for place, node in enumerate(self._nodes)
            if place in needed
            for name in node.output
            if self._is_live_float(name)
            and (readers.get(name, {""}) != {"QuantizeLinear"} or name == output)
        ]

    def sources(self, value: str) -> list[str]:
        """Those of `steps_to` that `value` is computed from at once, each one time."""
        sources: dict[str, None] = {}
        known = set(self.steps_to(value)) - {value}
        waiting = [value]
        while waiting:
            for name in _read(self._maker(waiting.pop())):
                if name in known:
                    sources[name] = None
                elif name in self._live and name in self._makers:
                    waiting.append(name)
        return list(sources)

    def operator(self, value: str) -> Operator:
        """The operator that computes `value`, before it was quantized."""
        node, codes = self._computed(value)
        before = [self._computed(name)[0] for name in self.sources(value)]
        named = [f"{one.op_type} {one.name!r}" if one.name else one.op_type for one in before]
        return Operator(node.op_type, node.name, codes, tuple(dict.fromkeys(named)))

    def code(self, value: str) -> float:
        """What one 8-bit code of a quantized value is worth; 0 for a value that is not."""
        from onnx import numpy_helper

        node = self._maker(value)
        if node.op_type != "DequantizeLinear":
            return 0.0
        if node.input[1] not in self._weights:
            return 0.0
        scale = numpy_helper.to_array(self._weights[node.input[1]])
        coarser = 256 if self._type(node.input[0]) in {"uint16", "int16"} else 1
        return float(scale.max(initial=0.0)) * coarser

    def neighbourhood(self, value: str) -> str:
        """The operator that computes `value`, with its attributes, codes, and the kinds of those
        before it: where two values have the same, a runtime treats them alike.
        """
        node, codes = self._computed(value)
        attributes = sorted(value.SerializeToString().hex() for value in node.attribute)
        before = sorted(self._computed(name)[0].op_type for name in self.sources(value))
        return f"{node.op_type} {attributes} {codes} {before}"

    def _computed(self, value: str) -> tuple[Any, str]:
        """The node that computes `value`, before it was quantized, and the type of its codes."""
        node, codes = self._maker(value), ""
        while node.op_type in _CODING and node.input[0] in self._makers:
            if node.op_type == "DequantizeLinear":
                codes = self._type(node.input[0]) or codes
            node = self._maker(node.input[0])
        return node, codes

    def _after(self, names: set[str]) -> set[str]:
        """`names`, and all values that depend on one of them."""
        reached = set(names)
        for node in self._nodes:
            if reached.intersection(_read(node)):
                reached.update(name for name in node.output if name)
        return reached

    def _before(self, names: Iterable[str], ends: frozenset[str] = frozenset()) -> set[int]:
        """The places of the nodes that `names` depend on, those before `ends` left out."""
        needed: set[int] = set()
        waiting = list(names)
        while waiting:
            place = self._makers.get(waiting.pop())
            if place is not None and place not in needed:
                needed.add(place)
                waiting += [name for name in _read(self._nodes[place]) if name not in ends]
        return needed

    def _maker(self, name: str) -> Any:
        return self._nodes[self._makers[name]]

    def _is_live_float(self, name: str) -> bool:
        """Whether a value depends on the image and is in floating point."""
        return name in self._live and self._type(name) in {"", "float", "float16"}

    def _type(self, name: str) -> str:
        import onnx

        if name not in self._values:
            return ""
        kind = self._values[name].type.tensor_type.elem_type
        return onnx.TensorProto.DataType.Name(kind).lower() if kind else ""

    def _value(self, name: str) -> Any:
        import onnx

        if name in self._values:
            return self._values[name]
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)


def _read(node: Any) -> Iterator[str]:
    """The values that a node reads, inside the graphs of a loop or a branch too."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for graph in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
            for inner in graph.node:
                yield from _read(inner)
            yield from (value.name for value in graph.output)
