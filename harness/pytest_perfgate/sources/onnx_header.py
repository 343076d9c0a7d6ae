"""The header of an ONNX file: what it takes and gives, read without its weights.

A suite is read in the process of pytest, at every collection: no framework is imported there, and
no gigabyte of weights is loaded. The file is a protocol buffer, whose fields carry their lengths,
so that weights are skipped (https://protobuf.dev/programming-guides/encoding; numbers of fields as
in onnx/onnx.proto). Nothing of the file is run.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pytest_perfgate.errors import RecipeError
from pytest_perfgate.inputs import Tensor

_TYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "string",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    16: "bfloat16",
}

_RAW = {1: "<f", 2: "<B", 3: "<b"}
"""Types of scales and zero points, as they stand in `raw_data`."""

_SMALL = 512
"""Bytes of a constant that may be one number, with its name."""

_LFS = b"version https://git-lfs"
_LARGEST = 2**20
"""Bytes of one name or text; a longer one is no name."""


@dataclass(frozen=True)
class Node:
    """An operator of a graph, with the names of its inputs and outputs."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Header:
    """What an ONNX file says of itself.

    Attributes:
        opset: version of ONNX's own operators.
        inputs: those without a weight of the same name.
        metadata: what the exporter wrote beside the graph.
        nodes: the operators in their order; empty unless they were asked for.
        scalars: constants of one number by their names; empty without `nodes`.
    """

    opset: int
    producer: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
    nodes: tuple[Node, ...] = ()
    scalars: Mapping[str, float] = field(default_factory=dict)


class _Malformed(Exception):
    """It is no protocol buffer of this kind."""


def read_header(file: Path, *, nodes: bool = False) -> Header:
    """The header of an ONNX file.

    Raises:
        RecipeError: it cannot be read, or is no ONNX graph.
    """
    try:
        with file.open("rb") as source:
            if source.read(len(_LFS)) == _LFS:
                raise RecipeError(
                    "the file is a pointer of Git LFS, not the model",
                    next_step="git lfs pull",
                )
            size = source.seek(0, 2)
            return _model(source, size, nodes=nodes)
    except OSError as error:
        raise RecipeError(f"the file cannot be read: {error.strerror}") from error
    except _Malformed as error:
        raise RecipeError(
            f"the file is no ONNX graph: {error}",
            valid="a file that an ONNX exporter wrote",
        ) from error


def codes_of(header: Header, name: str) -> tuple[float, int] | None:
    """Scale and zero point of an input that a DequantizeLinear reads; None where none does, or has
    more than one scale. The header was read with its nodes.
    """
    for node in header.nodes:
        if node.operator == "DequantizeLinear" and node.inputs[:1] == (name,):
            scale, *zero_point = (header.scalars.get(other) for other in node.inputs[1:])
            if scale is not None and None not in zero_point:
                return scale, int(zero_point[0] or 0) if zero_point else 0
    return None


_Field = tuple[int, int, int]
"""Number of a field, and its value; or, with a length, where its bytes begin and end."""


def _fields(source: BinaryIO, start: int, end: int) -> Iterator[_Field]:
    """The fields of a message in [start, end): (number, value, -1) or (number, begin, end)."""
    at = start
    while at < end:
        source.seek(at)
        key = _varint(source)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value = _varint(source)
            at = source.tell()
            yield number, value, -1
        elif kind == 2:
            length = _varint(source)
            begin = source.tell()
            at = begin + length
            if at > end:
                raise _Malformed("a part is longer than the file: it is cut")
            yield number, begin, at
        elif kind in {1, 5}:
            at = source.tell() + (8 if kind == 1 else 4)
        else:
            raise _Malformed(f"byte {at} begins no field")
    if at != end:
        raise _Malformed("its last part is cut")


def _varint(source: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = source.read(1)
        if not byte:
            raise _Malformed("it ends within a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise _Malformed("a number has more than ten bytes")


def _text(source: BinaryIO, begin: int, end: int) -> str:
    if end < 0 or end - begin > _LARGEST:
        raise _Malformed("a name is no text")
    source.seek(begin)
    return source.read(end - begin).decode("utf-8", "replace")


def _part(begin: int, end: int) -> tuple[int, int]:
    """Where a message lies inside its parent."""
    if end < 0:
        raise _Malformed("a number stands where a part should")
    return begin, end


def _model(source: BinaryIO, size: int, *, nodes: bool) -> Header:
    opset, producer, metadata = 0, "", {}
    graph: tuple[int, int] | None = None
    for number, begin, end in _fields(source, 0, size):
        if number == 2:
            producer = _text(source, begin, end)
        elif number == 7:
            graph = _part(begin, end)
        elif number == 8:
            domain, version = _opset(source, *_part(begin, end))
            opset = version if domain in {"", "ai.onnx"} else opset
        elif number == 14:
            key, value = _entry(source, *_part(begin, end))
            metadata[key] = value
    if graph is None:
        raise _Malformed("there is no graph in it")
    return _graph(source, graph, Header(opset, producer, (), (), metadata), nodes=nodes)


def _graph(source: BinaryIO, where: tuple[int, int], header: Header, *, nodes: bool) -> Header:
    inputs, outputs, weights, operators = [], [], set(), []
    scalars: dict[str, float] = {}
    for number, begin, end in _fields(source, *where):
        if number == 1 and nodes:
            operators.append(_node(source, *_part(begin, end)))
        elif number == 5:
            weight = _weight(source, *_part(begin, end))
            weights.add(weight)
            if nodes and (number_of := _scalar(source, *_part(begin, end))) is not None:
                scalars[weight] = number_of
        elif number == 11:
            inputs.append(_tensor(source, *_part(begin, end)))
        elif number == 12:
            outputs.append(_tensor(source, *_part(begin, end)))
    return Header(
        header.opset,
        header.producer,
        tuple(tensor for tensor in inputs if tensor.name not in weights),
        tuple(outputs),
        header.metadata,
        tuple(operators),
        scalars,
    )


def _opset(source: BinaryIO, start: int, stop: int) -> tuple[str, int]:
    domain, version = "", 0
    for number, begin, end in _fields(source, start, stop):
        if number == 1:
            domain = _text(source, begin, end)
        elif number == 2:
            version = begin
    return domain, version


def _entry(source: BinaryIO, start: int, stop: int) -> tuple[str, str]:
    texts = {number: (begin, end) for number, begin, end in _fields(source, start, stop)}
    key, value = (_text(source, *texts[number]) if number in texts else "" for number in (1, 2))
    return key, value


def _node(source: BinaryIO, start: int, stop: int) -> Node:
    inputs, outputs, operator = [], [], ""
    for number, begin, end in _fields(source, start, stop):
        if number == 1:
            inputs.append(_text(source, begin, end))
        elif number == 2:
            outputs.append(_text(source, begin, end))
        elif number == 4:
            operator = _text(source, begin, end)
    return Node(operator, tuple(inputs), tuple(outputs))


def _weight(source: BinaryIO, start: int, stop: int) -> str:
    for number, begin, end in _fields(source, start, stop):
        if number == 8:
            return _text(source, begin, end)
    return ""


def _scalar(source: BinaryIO, start: int, stop: int) -> float | None:
    """The one number of a small TensorProto of a type that scales and zero points have."""
    if stop - start > _SMALL:
        return None
    kind, count, raw = 0, 1, b""
    numbers: list[float] = []
    for number, begin, end in _fields(source, start, stop):
        if number == 1:
            count *= begin if end < 0 else 2  # packed dims: not a scalar's
        elif number == 2:
            kind = begin
        elif number == 9:
            source.seek(begin)
            raw = source.read(end - begin)
        elif number == 4 and end - begin == 4:
            source.seek(begin)
            numbers += struct.unpack("<f", source.read(4))
        elif number == 5:
            source.seek(begin)
            value = begin if end < 0 else _varint(source)
            numbers.append(value - 2**64 if value >= 2**63 else value)
    if count != 1:
        return None
    if raw and kind in _RAW and len(raw) == struct.calcsize(_RAW[kind]):
        numbers += struct.unpack(_RAW[kind], raw)
    return float(numbers[0]) if len(numbers) == 1 else None


def _tensor(source: BinaryIO, start: int, stop: int) -> Tensor:
    """A ValueInfoProto: its name, and type.tensor_type with elem_type and shape."""
    name, kind, shape = "", "no tensor", None
    for number, begin, end in _fields(source, start, stop):
        if number == 1:
            name = _text(source, begin, end)
        elif number == 2:
            for inner, one, two in _fields(source, *_part(begin, end)):
                if inner == 1:
                    kind, shape = _tensor_type(source, *_part(one, two))
    return Tensor(name, kind, shape)


def _tensor_type(
    source: BinaryIO, start: int, stop: int
) -> tuple[str, tuple[int | str, ...] | None]:
    kind, shape = "undefined", None
    for number, begin, end in _fields(source, start, stop):
        if number == 1:
            kind = _TYPES.get(begin, f"type {begin}")
        elif number == 2:
            shape = tuple(
                _length(source, *_part(one, two))
                for inner, one, two in _fields(source, *_part(begin, end))
                if inner == 1
            )
    return kind, shape


def _length(source: BinaryIO, start: int, stop: int) -> int | str:
    for number, begin, end in _fields(source, start, stop):
        if number == 1:
            # A length of 0 or below stands for any, as exporters write it.
            return begin if 0 < begin < 2**63 else "?"
        if number == 2:
            return _text(source, begin, end) or "?"
    return "?"
