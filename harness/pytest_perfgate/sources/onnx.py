"""An ONNX file: "file.onnx" beside the suite file, "package:path/in/it.onnx" in a package."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, Artifact, OptionsModel
from pytest_perfgate.errors import BuildError
from pytest_perfgate.inputs import Tensor
from pytest_perfgate.sources import Fence, SourceContext, SourceModel
from pytest_perfgate.sources.finished_file import FinishedFile, file_of
from pytest_perfgate.sources.onnx_axes import free, write_free
from pytest_perfgate.sources.onnx_header import codes_of, read_header

_Axis = Annotated[int, Field(ge=0, le=3)]


class Onnx(FinishedFile):
    """The source of a model whose name ends in .onnx."""

    gives = ONNX
    example = "file.onnx"
    suffixes = (".onnx",)
    # It reads the names of other files with weights.
    requires = (registry.from_extra("onnx", "onnx"),)

    class Options(OptionsModel):
        """Its options."""

        dynamic_axes: tuple[_Axis, ...] = Field(
            (),
            description="axes of the images whose length the file fixes, and the network does not: "
            "0 is the batch, 2 and 3 are height and width of (N, 3, H, W)",
        )

    @override
    def inspect(self, file: Path) -> Mapping[str, Any]:
        """Nothing; the graph says what it takes, see `inputs`.

        Raises:
            RecipeError: it is no ONNX graph.
        """
        read_header(file)
        return {}

    @override
    def inputs(self, model: str, options: Any, fence: Fence) -> tuple[Tensor, ...] | None:
        """The inputs that the graph lists; None where its package is not installed."""
        file = file_of(model, fence)
        if file is None:
            return None
        header = read_header(file)
        if any(tensor.kind == "int8" for tensor in header.inputs):
            header = read_header(file, nodes=True)
        inputs = [replace(tensor, codes=codes_of(header, tensor.name)) for tensor in header.inputs]
        return free(inputs, options.dynamic_axes)

    @override
    def build(self, model: str, options: Any, context: SourceContext) -> SourceModel:
        """The file as it is; with `dynamic_axes` a copy of it with these.

        Raises:
            BuildError: it is not there, or too large to be copied.
            RecipeError: it is no ONNX graph.
        """
        source = super().build(model, options, context)
        file = source.artifact.path
        if not options.dynamic_axes or file is None:
            return source
        copy = context.folder / "model.onnx"
        write_free(file, options.dynamic_axes, copy)
        effect = {**source.effect, "dynamic_axes": list(options.dynamic_axes)}
        return SourceModel(Artifact(ONNX, path=copy), effect)

    @override
    def outputs(self, model: str, options: Any, fence: Fence) -> tuple[Tensor, ...] | None:
        """The outputs that the graph lists; None where its package is not installed."""
        file = file_of(model, fence)
        return None if file is None else read_header(file).outputs

    @override
    def place(self, model: str, fence: Fence) -> Path | None:
        """The file that a link leads to: a graph names its side files relative to itself."""
        file = file_of(model, fence)
        if file is None:
            return None
        real = file.resolve()
        # Stores that name files by their content keep no suffix, and hold side files elsewhere.
        return real if real.suffix == file.suffix else file

    @override
    def beside(self, file: Path, *, outside: bool) -> tuple[Path, ...]:
        """The files with weights that a graph names ("external data" in the ONNX specification).

        Raises:
            BuildError: one is missing, or is not below the folder of the graph.
        """
        return _side_files(file, outside=outside)

    @override
    def side_names(self, file: Path) -> tuple[str, ...]:
        """Those of the files with weights, as the graph has them.

        Raises:
            BuildError: it is no ONNX graph.
        """
        registry.require(self.requires, "an ONNX file in a store")
        return tuple(_side_ends(file))


def _graph(file: Path) -> Any:
    """The graph of an ONNX file, without weights that are in other files.

    Raises:
        BuildError: it is none.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.load(file, load_external_data=False).graph
    except DecodeError as error:
        raise BuildError(f"the file is no ONNX graph: {error}", where=str(file)) from error


def _side_files(file: Path, *, outside: bool) -> tuple[Path, ...]:
    """The files with weights that a graph names ("external data" in the ONNX specification); with
    `outside` they may be links to elsewhere, as in a store that names files by their content.

    Raises:
        BuildError: one is missing, cut, or not below the folder of the graph.
    """
    ends = _side_ends(file)
    for name, end in ends.items():
        # An absolute path, `..` or a link could name any file of this machine.
        inner = (file.parent / name).resolve()
        named = Path(os.path.normpath(file.parent / name))
        if not named.is_relative_to(file.parent) or not (
            outside or inner.is_relative_to(file.parent.resolve())
        ):
            raise BuildError(
                f"the weights are in {name!r}, which is not below the folder of the graph",
                where=str(file),
                next_step="put the weights beside the graph, or save both as one file: "
                "onnx.save(onnx.load(FILE), FILE); for a link to elsewhere add "
                "allow_outside = true to [suite]",
            )
        if not inner.is_file():
            raise BuildError(
                f"the weights are in {name!r}, which is missing",
                where=str(file),
                next_step=f"copy it to {file.parent / name}",
            )
        if (size := inner.stat().st_size) < end:
            raise BuildError(
                f"the weights are in {name!r}, which has {size:,} bytes, and the graph reads "
                f"{end:,}: it is cut, or another graph's",
                where=str(file),
                next_step=f"copy it anew to {file.parent / name}",
            )
    return tuple(file.parent / name for name in ends)


def _side_ends(file: Path) -> dict[str, int]:
    """The files with weights as the graph names them, in order, and how many bytes of each it
    reads, from the first on.

    Raises:
        BuildError: it is no ONNX graph.
    """
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    ends: dict[str, int] = {}
    for tensor in _tensors(_graph(file)):
        if uses_external_data(tensor):
            part = ExternalDataInfo(tensor)
            end = (part.offset or 0) + (part.length or 0)
            ends[part.location] = max(end, ends.get(part.location, 0))
    return dict(sorted(ends.items()))


def _tensors(graph: Any) -> Iterator[Any]:
    """All constant tensors of a graph, those of its inner graphs too."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _tensors(inner)
