"""The forms in which a suite file names a model."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from pytest_perfgate import registry
from pytest_perfgate.artifact import IMPORT_PATH
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.locations.url import EXAMPLES, Location, is_location, parse
from pytest_perfgate.sources import MOUNT, Source
from pytest_perfgate.sources.conversions import advice_for
from pytest_perfgate.sources.finished_file import FinishedFile


def source_of(model: str) -> tuple[Source, str]:
    """The source that a suite file names, and what it calls the model.

    Raises:
        RecipeError: the name has none of the forms that are known.
    """
    from pytest_perfgate.sources.function import Function

    if is_location(model):
        return _in_store(parse(model))
    _refuse_elsewhere(model)
    prefix, colon, name = model.partition(":")
    if colon and prefix in registry.names(registry.SOURCES):
        return registry.find(registry.SOURCES, prefix), name
    for source in finished_files():
        if model.endswith(source.suffixes):
            return source, model
    if not IMPORT_PATH.fullmatch(model):
        no_source = f", and there is no source {prefix!r}" if colon else ""
        raise RecipeError(
            f"{model!r} is not an import path{no_source}",
            valid=valid_names(),
            next_step=advice_for(model),
        )
    return Function(), model


def finished_files() -> tuple[FinishedFile, ...]:
    """The sources of files that runtimes take as they are."""
    from pytest_perfgate.sources.ncnn import NcnnFiles
    from pytest_perfgate.sources.onnx import Onnx
    from pytest_perfgate.sources.openvino_ir import OpenVinoIr
    from pytest_perfgate.sources.tensorrt import TensorRtEngine
    from pytest_perfgate.sources.tflite import TfLite
    from pytest_perfgate.sources.torch_program import TorchProgram
    from pytest_perfgate.sources.torchscript import TorchScript

    return (
        Onnx(),
        OpenVinoIr(),
        TfLite(),
        TorchProgram(),
        TorchScript(),
        NcnnFiles(),
        TensorRtEngine(),
    )


def files_named(model: str) -> tuple[str, ...]:
    """The files that a name says by itself, relative to the suite's folder; those that a file names
    inside are not among them.
    """
    from pytest_perfgate.sources.mmdetection import MmDetection
    from pytest_perfgate.sources.tf2onnx import Tf2Onnx

    source, name = source_of(model)
    if isinstance(source, Tf2Onnx | MmDetection):
        return (name,)
    if not isinstance(source, FinishedFile) or ":" in name.removeprefix(MOUNT):
        return ()
    stem = name.removesuffix(PurePosixPath(name).suffix)
    return (name, *(f"{stem}{suffix}" for suffix in source.siblings))


def _in_store(location: Location) -> tuple[Source, str]:
    """The source of a model that is a file in a store, by the suffix of the file."""
    for source in finished_files():
        if location.file.endswith(source.suffixes):
            return source, location.text
    suffixes = [suffix for source in finished_files() for suffix in source.suffixes]
    raise RecipeError(
        f"{location.text!r} is no file that is a model",
        valid=f"a file ({' '.join(suffixes)})",
        next_step=advice_for(location.file),
    )


_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


def _refuse_elsewhere(model: str) -> None:
    """Check that a name is neither an address nor a path of Windows: both look like a package's
    file, "package:path/in/it.onnx".
    """
    file = re.split(r"[\\/]", re.sub(r"[?#].*", "", model))[-1]
    name = f'"{file}"' if file.endswith(".onnx") else "an ONNX file, or a function that loads it"
    if _ADDRESS.match(model) and not model.startswith(MOUNT):
        raise RecipeError(
            f"{model!r} is an address of a kind that is unknown here",
            valid=", ".join([*EXAMPLES.values(), valid_names()]),
            next_step=f"download it beside recipes.toml, and name {name}",
        )
    if _DRIVE.match(model):
        raise RecipeError(
            f"{model!r} is a path of Windows",
            valid="a file below the project's root, with forward slashes",
            next_step=f"copy it beside recipes.toml, and name {name}",
        )


def valid_names() -> str:
    """Every form of a model's name, for messages."""
    from pytest_perfgate.sources.function import Function

    named = [registry.find(registry.SOURCES, name) for name in registry.names(registry.SOURCES)]
    suffixes = [suffix for source in finished_files() for suffix in source.suffixes]
    return ", ".join(
        [
            f'"{Function.example}"',
            f"a file ({' '.join(suffixes)})",
            *(f'"{source.name}:{source.example}"' for source in named),
        ]
    )
