"""The forms in which a suite file names a model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.artifact import IMPORT_PATH
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.sources import MOUNT, Source


def source_of(model: str) -> tuple[Source, str]:
    """The source that a suite file names, and what it calls the model.

    Raises:
        RecipeError: the name has none of the forms that are known.
    """
    from pytest_perfgate.sources.function import Function
    from pytest_perfgate.sources.onnx import Onnx

    _refuse_elsewhere(model)
    prefix, colon, name = model.partition(":")
    if colon and prefix in registry.names(registry.SOURCES):
        return registry.find(registry.SOURCES, prefix), name
    if not model.endswith(".onnx") and not IMPORT_PATH.fullmatch(model):
        no_source = f", and there is no source {prefix!r}" if colon else ""
        raise RecipeError(
            f"{model!r} is not an import path{no_source}",
            valid=valid_names(),
            next_step=_CONVERTED.get(Path(model).suffix, ""),
        )
    own: Any = Onnx() if model.endswith(".onnx") else Function()
    return own, model


_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")

_WEIGHTS = (
    'name a function that builds the model and loads them: model = "package.module:function"; or '
    "export the model to ONNX"
)
_BUILT = "name the model that it was made from: the steps of a recipe convert it"
_CONVERTED = {
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".safetensors", ".bin"), _WEIGHTS),
    **dict.fromkeys((".engine", ".plan", ".trt", ".tflite", ".xml", ".pt2", ".mlmodel"), _BUILT),
}
"""What to do about a file that is no ONNX graph, by its suffix."""


def _refuse_elsewhere(model: str) -> None:
    """Check that a name is neither an address nor a path of Windows: both look like a package's
    file, "package:path/in/it.onnx".
    """
    file = re.split(r"[\\/]", re.sub(r"[?#].*", "", model))[-1]
    name = f'"{file}"' if file.endswith(".onnx") else "an ONNX file, or a function that loads it"
    if _ADDRESS.match(model) and not model.startswith(MOUNT):
        raise RecipeError(
            f"{model!r} is an address, and a session downloads no model",
            valid=valid_names(),
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
    from pytest_perfgate.sources.onnx import Onnx

    named = [registry.find(registry.SOURCES, name) for name in registry.names(registry.SOURCES)]
    return ", ".join(
        [
            *(f'"{source.example}"' for source in (Function(), Onnx())),
            *(f'"{source.name}:{source.example}"' for source in named),
        ]
    )
