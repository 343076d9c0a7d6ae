"""The forms in which a suite file names a model."""

from __future__ import annotations

from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.artifact import IMPORT_PATH
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.sources import Source


def source_of(model: str) -> tuple[Source, str]:
    """The source that a suite file names, and what it calls the model.

    Raises:
        RecipeError: the name has none of the forms that are known.
    """
    from pytest_perfgate.sources.function import Function
    from pytest_perfgate.sources.onnx import Onnx

    prefix, colon, name = model.partition(":")
    if colon and prefix in registry.names(registry.SOURCES):
        return registry.find(registry.SOURCES, prefix), name
    if not model.endswith(".onnx") and not IMPORT_PATH.fullmatch(model):
        raise RecipeError(f"{model!r} is not an import path", valid=valid_names())
    own: Any = Onnx() if model.endswith(".onnx") else Function()
    return own, model


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
