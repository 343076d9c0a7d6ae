"""An ONNX file: "file.onnx" beside the suite file, "package:path/in/it.onnx" in a package."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, Artifact
from pytest_perfgate.errors import BuildError, RecipeError
from pytest_perfgate.registry import Requirement
from pytest_perfgate.sources import MOUNT, Fence, Source, SourceContext, SourceModel, inside
from pytest_perfgate.sources.onnx_header import refuse_other_inputs


class Onnx(Source):
    """The source of a model whose name ends in .onnx."""

    name = ""
    gives = ONNX
    example = "file.onnx"

    @override
    def requires_with(self, model: str, options: Any) -> tuple[Requirement, ...]:
        """onnx, which reads the graph's input, and the package that the file lies in."""
        package = _package(model)
        own = (Requirement(package, f"python -m pip install {package}"),) if package else ()
        return (registry.from_extra("onnx", "onnx"), *own)

    @override
    def check(self, model: str, options: Any, fence: Fence) -> None:
        """The file must be there and take images, unless its package is not installed, which
        skips.
        """
        package = _package(model)
        if not package:
            refuse_other_inputs(inside(model, fence))
            return
        if not re.fullmatch(r"[A-Za-z_]\w*", package):
            raise RecipeError(f"{package!r} is not a package", valid='"package:path/in/it.onnx"')
        file = _file(model, fence)
        if file is None:
            return
        path = Path(model.partition(":")[2])
        above = file.parents[len(path.parts) - 1]
        if ".." in path.parts or above.name != package or not file.is_relative_to(above):
            raise RecipeError(f"the path {model!r} leaves its package")
        if not file.is_file():
            raise RecipeError(f"there is no file {model!r}", next_step=f"put it at {file}")
        refuse_other_inputs(file)

    @override
    def files(self, model: str, options: Any, fence: Fence) -> tuple[Path, ...]:
        """The file, and those beside it that hold its weights.

        Raises:
            BuildError: it is no ONNX graph, or one of the others is missing or elsewhere.
        """
        file = _file(model, fence)
        return () if file is None else (file, *_side_files(file, outside=fence.allow_outside))

    @override
    def build(self, model: str, options: Any, context: SourceContext) -> SourceModel:
        """The file.

        Raises:
            BuildError: it is not there.
            RecipeError: it takes something else than images, float (N, 3, H, W).
        """
        file = _file(model, context.fence)
        if file is None:
            raise BuildError(f"there is no model {model!r}")
        refuse_other_inputs(file)
        return SourceModel(Artifact(ONNX, path=file), {})


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
        BuildError: one is missing, or is not below the folder of the graph.
    """
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    names = {
        ExternalDataInfo(tensor).location
        for tensor in _tensors(_graph(file))
        if uses_external_data(tensor)
    }
    for name in sorted(names):
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
    return tuple(file.parent / name for name in sorted(names))


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


def _package(model: str) -> str:
    """The package of "package:path/in/it.onnx", "" for a file beside the suite file."""
    return "" if model.startswith(MOUNT) or ":" not in model else model.partition(":")[0]


def _file(model: str, fence: Fence) -> Path | None:
    """The file; None for a package that is not installed. Nothing is imported."""
    package = _package(model)
    if not package:
        file = fence.place(model)
        real = file.resolve()
        # Stores that name files by their content keep no suffix, and hold side files elsewhere.
        return real if real.suffix == file.suffix else file
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return (Path(spec.submodule_search_locations[0]) / model.partition(":")[2]).resolve()
