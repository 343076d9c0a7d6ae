"""Inputs and outputs of a .tflite file, read without LiteRT.

The file is a FlatBuffer: a table has the distance to its list of fields, which has the distance of
each field from the table (https://flatbuffers.dev/internals). Numbers of fields and types as in
tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_perfgate.errors import RecipeError
from pytest_perfgate.sources.finished_file import head_of

_TYPES = {
    0: "float32",
    1: "float16",
    2: "int32",
    3: "uint8",
    4: "int64",
    5: "string",
    6: "bool",
    7: "int16",
    9: "int8",
    10: "float64",
    12: "uint64",
    15: "uint32",
    16: "uint16",
    18: "bfloat16",
}
_SUBGRAPHS = 2  # of a model
_TENSORS, _INPUTS, _OUTPUTS = 0, 1, 2  # of a subgraph
_SHAPE, _TYPE, _NAME, _QUANTIZATION, _SIGNATURE = 0, 1, 3, 4, 7  # of a tensor
_SCALE, _ZERO_POINT = 2, 3  # of a quantization
_LARGEST_RANK = 16
_LONGEST_NAME = 10_000


@dataclass(frozen=True)
class TfLiteTensor:
    """An input or output.

    Attributes:
        kind: type of the elements ("float32", "uint8", …).
        shape: -1 is a dynamic size.
        scale, zero_point: real value = scale * (code - zero_point); (0.0, 0): not quantized.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int

    def __str__(self) -> str:
        text = f"{self.name} {self.kind} ({', '.join(map(str, self.shape))})"
        if self.scale:
            text += f", scale {self.scale:.6g}, zero point {self.zero_point}"
        return text


def read_inputs(file: Path) -> tuple[TfLiteTensor, ...]:
    """The inputs of a file's first graph. Raises as `read_tensors`."""
    return read_tensors(file)[0]


def read_tensors(file: Path) -> tuple[tuple[TfLiteTensor, ...], tuple[TfLiteTensor, ...]]:
    """The inputs and the outputs of a file's first graph.

    Raises:
        RecipeError: it is no .tflite file, or is cut.
    """
    if head_of(file)[4:8] != b"TFL3":
        raise RecipeError(
            "the file is no LiteRT model: 'TFL3' does not stand in it",
            valid="a file that a converter of LiteRT or TensorFlow wrote",
        )
    try:
        with file.open("rb") as source, mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as m:
            return tuple(_tensors(m, _INPUTS)), tuple(_tensors(m, _OUTPUTS))
    except (struct.error, IndexError, ValueError, OSError) as error:
        raise RecipeError(f"the LiteRT model is damaged: {error}") from error


def _tensors(data: mmap.mmap, which: int) -> Iterator[TfLiteTensor]:
    model = _Table(data, _u32(data, 0))
    graph = next(model.tables(_SUBGRAPHS), None)
    if graph is None:
        raise ValueError("there is no graph in it")
    tensors = list(graph.tables(_TENSORS))
    for index in graph.numbers(which, "i"):
        tensor = tensors[index]
        shape = tensor.numbers(_SIGNATURE, "i") or tensor.numbers(_SHAPE, "i")
        if len(shape) > _LARGEST_RANK:
            raise ValueError(f"a tensor of {len(shape)} dimensions")
        quantization = next(tensor.table(_QUANTIZATION), None)
        scales = quantization.numbers(_SCALE, "f") if quantization else ()
        zeros = quantization.numbers(_ZERO_POINT, "q") if quantization else ()
        yield TfLiteTensor(
            name=tensor.text(_NAME),
            kind=_TYPES.get(tensor.byte(_TYPE), "?"),
            shape=shape,
            scale=scales[0] if scales else 0.0,
            zero_point=zeros[0] if zeros else 0,
        )


class _Table:
    """A table of a FlatBuffer, by its place in the data."""

    def __init__(self, data: mmap.mmap, at: int) -> None:
        self._data = data
        self._at = at
        self._fields = at - struct.unpack_from("<i", data, at)[0]
        if self._fields < 0:
            raise ValueError("a table without fields")
        self._count = (struct.unpack_from("<H", data, self._fields)[0] - 4) // 2

    def _place(self, number: int) -> int:
        """Where a field is; 0: it has its default."""
        if number >= self._count:
            return 0
        offset = int(struct.unpack_from("<H", self._data, self._fields + 4 + 2 * number)[0])
        return self._at + offset if offset else 0

    def byte(self, number: int) -> int:
        place = self._place(number)
        return self._data[place] if place else 0

    def _vector(self, number: int) -> tuple[int, int]:
        """The place of the first element, and how many there are."""
        place = self._place(number)
        if not place:
            return 0, 0
        start = place + _u32(self._data, place)
        count = _u32(self._data, start)
        if start + 4 + count > len(self._data):
            raise ValueError("a list that is longer than the file")
        return start + 4, count

    def numbers(self, number: int, code: str) -> tuple[int, ...]:
        """A list of numbers, of the type that `struct` calls `code`."""
        start, count = self._vector(number)
        return struct.unpack_from(f"<{count}{code}", self._data, start) if count else ()

    def text(self, number: int) -> str:
        start, count = self._vector(number)
        return self._data[start : start + min(count, _LONGEST_NAME)].decode("utf-8", "replace")

    def table(self, number: int) -> Iterator[_Table]:
        """The table that a field holds, if it does."""
        place = self._place(number)
        if place:
            yield _Table(self._data, place + _u32(self._data, place))

    def tables(self, number: int) -> Iterator[_Table]:
        """A list of tables."""
        start, count = self._vector(number)
        for place in range(start, start + 4 * count, 4):
            yield _Table(self._data, place + _u32(self._data, place))


def _u32(data: mmap.mmap, at: int) -> int:
    return int(struct.unpack_from("<I", data, at)[0])
