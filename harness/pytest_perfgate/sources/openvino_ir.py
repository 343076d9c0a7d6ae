"""OpenVINO IR: a graph in "file.xml", its weights beside it in "file.bin"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.parsers import expat

from typing_extensions import override

from pytest_perfgate.artifact import OPENVINO
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.inputs import Tensor
from pytest_perfgate.sources import Fence
from pytest_perfgate.sources.finished_file import FinishedFile, file_of, head_of

_NUMPY = {
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
    "boolean": "bool",
    **{
        f"{letter}{bits}": f"{name}{bits}"
        for letter, name in (("i", "int"), ("u", "uint"))
        for bits in (8, 16, 32, 64)
    },
}
"""Types of elements by OpenVINO's words."""


class OpenVinoIr(FinishedFile):
    """The source of a model whose name ends in .xml."""

    gives = OPENVINO
    example = "file.xml"
    suffixes = (".xml",)
    siblings = (".bin",)

    @override
    def inspect(self, file: Path) -> Mapping[str, Any]:
        """Version and inputs.

        Raises:
            RecipeError: it is no IR, or the weights are missing.
        """
        graph = read_ir(file)
        self.beside(file, outside=True)
        return {"ir_version": graph.version, "inputs": list(map(str, graph.inputs))}

    @override
    def inputs(self, model: str, options: Any, fence: Fence) -> tuple[Tensor, ...] | None:
        """The inputs that the graph lists; None where its package is not installed."""
        file = file_of(model, fence)
        return None if file is None else read_ir(file).inputs


@dataclass(frozen=True)
class IrGraph:
    """What an IR says of itself.

    Attributes:
        version: of the format.
        inputs: "?" is a dynamic size.
        outputs: shapes; types are left out of an IR's results.
        metadata: what a converter wrote beside the graph, such as Ultralytics.
        first: the operator that reads the first input, "" for none.
        last: the operator that gives the first output.
        quantized: whether it has FakeQuantize operators.
    """

    version: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    metadata: Mapping[str, str]
    first: str
    last: str
    quantized: bool


def read_ir(file: Path) -> IrGraph:
    """An IR, read without OpenVINO.

    Raises:
        RecipeError: it is none.
    """
    head_of(file)
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.CharacterDataHandler = reader.text
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = reader.refuse
    try:
        with file.open("rb") as source:
            parser.ParseFile(source)
    except (expat.ExpatError, ValueError, KeyError) as error:
        raise RecipeError(
            f"the file is no OpenVINO IR: {error}", valid="a file of openvino.save_model or ovc"
        ) from error
    if not reader.version:
        raise RecipeError(
            "the file is no OpenVINO IR: it has no <net version=…>",
            valid="a file of openvino.save_model or ovc",
        )
    return reader.graph()


class _Reader:
    """Collects layers and edges from the elements of an IR."""

    def __init__(self) -> None:
        self.version = 0
        self._layer: dict[str, str] = {"type": "", "name": "", "id": ""}
        self._types: dict[str, str] = {}  # of layers, by their number
        self._edges: list[tuple[str, str]] = []
        self._inputs: list[Tensor] = []
        self._results: dict[str, list[int | str]] = {}
        self._metadata: dict[str, str] = {}
        self._dimension = False
        self._described = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        kind = self._layer["type"]
        if tag == "net":
            self.version = int(attributes.get("version", "0"))
        elif tag == "layer":
            self._layer = attributes
            self._types[attributes["id"]] = attributes["type"]
            if attributes["type"] == "Result":
                self._results[attributes["id"]] = []
        elif tag == "edge":
            self._edges.append((attributes["from-layer"], attributes["to-layer"]))
        elif tag == "data" and kind == "Parameter":
            sizes = [size.strip() for size in attributes.get("shape", "").split(",")]
            shape = tuple(int(size) if size.isdigit() else "?" for size in sizes if size)
            element = attributes.get("element_type", "?")
            # A shape that is left out is that of a scalar, or of any rank.
            name = self._layer["name"]
            self._inputs.append(Tensor(name, _NUMPY.get(element, element), shape or None))
        elif tag == "port" and kind == "Parameter" and attributes.get("names"):
            # The name by which the network is fed; the layer's may be another.
            name = min(attributes["names"].split(","))
            self._inputs[-1] = replace(self._inputs[-1], name=name)
        elif tag == "model_info":
            self._described = True
        elif self._described and "value" in attributes:
            self._metadata[tag] = attributes["value"]
        self._dimension = tag == "dim" and kind == "Result"

    def text(self, text: str) -> None:
        """Text between elements: the lengths of a result's dimensions."""
        if self._dimension and text.strip():
            length = int(text)
            self._results[self._layer["id"]].append(length if length >= 0 else "?")

    def end(self, tag: str) -> None:
        """An element ends."""
        self._dimension = False
        if tag == "model_info":
            self._described = False
        elif tag == "layers":
            self._layer = {"type": "", "name": "", "id": ""}

    def refuse(self, *_: object) -> None:
        """Entities may be nested without end."""
        raise RecipeError("the file declares a document type, which no IR does")

    def graph(self) -> IrGraph:
        """What was read."""
        images = [number for number, kind in self._types.items() if kind == "Parameter"][:1]
        results = list(self._results)[:1]
        first = [self._types[to] for source, to in self._edges if source in images]
        last = [self._types[source] for source, to in self._edges if to in results]
        outputs = (Tensor("", "?", tuple(shape)) for shape in self._results.values())
        return IrGraph(
            version=self.version,
            inputs=tuple(self._inputs),
            outputs=tuple(outputs),
            metadata=self._metadata,
            first=first[0] if first else "",
            last=last[0] if last else "",
            quantized="FakeQuantize" in self._types.values(),
        )
