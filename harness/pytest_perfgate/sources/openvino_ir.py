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
    """

    version: int
    inputs: tuple[Tensor, ...]


def read_ir(file: Path) -> IrGraph:
    """The version and the inputs of an IR, read without OpenVINO.

    Raises:
        RecipeError: it is none.
    """
    head_of(file)
    version, inputs, layer = 0, [], {"type": "", "name": ""}
    parser = expat.ParserCreate()

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal version, layer
        if tag == "net":
            version = int(attributes.get("version", "0"))
        elif tag == "layer":
            layer = attributes
        elif tag == "data" and layer.get("type") == "Parameter":
            sizes = [size.strip() for size in attributes.get("shape", "").split(",")]
            shape = tuple(int(size) if size.isdigit() else "?" for size in sizes if size)
            kind = attributes.get("element_type", "?")
            # A shape that is left out is that of a scalar, or of any rank.
            inputs.append(Tensor(layer["name"], _NUMPY.get(kind, kind), shape or None))
        elif tag == "port" and layer.get("type") == "Parameter" and attributes.get("names"):
            # The name by which the network is fed; the layer's may be another.
            name = min(attributes["names"].split(","))
            inputs[-1] = replace(inputs[-1], name=name)

    def refuse(*_: object) -> None:
        raise RecipeError("the file declares a document type, which no IR does")

    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = refuse  # entities, which may be nested without end
    try:
        with file.open("rb") as source:
            parser.ParseFile(source)
    except (expat.ExpatError, ValueError, KeyError) as error:
        raise RecipeError(
            f"the file is no OpenVINO IR: {error}", valid="a file of openvino.save_model or ovc"
        ) from error
    if not version:
        raise RecipeError(
            "the file is no OpenVINO IR: it has no <net version=…>",
            valid="a file of openvino.save_model or ovc",
        )
    return IrGraph(version, tuple(inputs))
