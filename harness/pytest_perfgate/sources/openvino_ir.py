"""OpenVINO IR: a graph in "file.xml", its weights beside it in "file.bin"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers import expat

from typing_extensions import override

from pytest_perfgate.artifact import OPENVINO
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.sources.finished_file import FinishedFile, head_of
from pytest_perfgate.sources.onnx_header import Tensor


class OpenVinoIr(FinishedFile):
    """The source of a model whose name ends in .xml."""

    gives = OPENVINO
    example = "file.xml"
    suffixes = (".xml",)
    siblings = (".bin",)

    @override
    def inspect(self, file: Path) -> Mapping[str, Any]:
        """Version and input.

        Raises:
            RecipeError: it takes something else than images, or the weights are missing.
        """
        graph = read_ir(file)
        self.beside(file, outside=True)
        if len(graph.inputs) != 1 or not _takes_images(graph.inputs[0]):
            raise RecipeError(
                f"the graph takes {', '.join(map(str, graph.inputs)) or 'no input'}",
                valid="one input of images: f32 (N, 3, H, W)",
                next_step="convert the model without pre-processing in the graph; [suite.input] "
                "does that",
            )
        return {"ir_version": graph.version, "inputs": list(map(str, graph.inputs))}


@dataclass(frozen=True)
class IrGraph:
    """What an IR says of itself.

    Attributes:
        version: of the format.
        inputs: with the types in OpenVINO's words ("f32"); "?" is a dynamic size.
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
            inputs.append(Tensor(layer["name"], attributes.get("element_type", "?"), shape))

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


def _takes_images(tensor: Tensor) -> bool:
    if tensor.kind not in {"f32", "f16"}:
        return False
    shape = tensor.shape
    return not shape or (len(shape) == 4 and shape[1] in {3, "?"})
