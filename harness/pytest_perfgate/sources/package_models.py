"""What the sources that are packages have in common: their options, and how they are imported."""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from pytest_perfgate.artifact import OptionsModel
from pytest_perfgate.errors import BuildError, RecipeError, suggestion
from pytest_perfgate.sources import Fence, inside
from pytest_perfgate.sources.weights import SUFFIXES, weight_files


class PackageOptions(OptionsModel):
    """Options of a model that a package builds."""

    pretrained: bool = Field(
        False, description="the package's own weights, which it may fetch; default: random ones"
    )
    weights: str = Field(
        "", description="file or folder of weights, relative to the suite file: safetensors, or .pt"
    )
    num_classes: int | None = Field(
        None, ge=1, description="classes that the head tells apart; default: the package's own"
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict, description="what else the package's own builder takes, by its names"
    )

    @model_validator(mode="after")
    def _one_origin(self) -> PackageOptions:
        if self.pretrained and self.weights:
            raise ValueError("weights are either pretrained or from a file, not both")
        return self

    @property
    def origin(self) -> str:
        """Where the weights are from."""
        return "pretrained" if self.pretrained else self.weights or "random"


def check(
    model: str, name: re.Pattern[str], options: PackageOptions, taken: frozenset[str], fence: Fence
) -> None:
    """Nothing, when a model's name has the form `name`, no argument is one of those `taken` by
    options or by the source itself, and the weights' files are there.

    Raises:
        RecipeError: one of these is wrong.
    """
    if not name.fullmatch(model):
        raise RecipeError(f"{model!r} cannot be a model's name", valid=name.pattern)
    for key in sorted(taken & options.arguments.keys()):
        raise RecipeError(
            f"{key!r} cannot be among the arguments",
            valid="the options pretrained, weights and num_classes say what a model is",
        )
    if not options.weights:
        return
    weights = inside(options.weights, fence)
    if not weight_files(weights):
        raise RecipeError(
            f"{options.weights!r} has no weights",
            valid=f"a file, or a folder: {', '.join(SUFFIXES)}",
        )


def files_of(options: PackageOptions, fence: Fence) -> tuple[Path, ...]:
    """The weights' files, and for a folder everything that describes them."""
    if not options.weights:
        return ()
    weights = inside(options.weights, fence)
    beside = sorted(weights.glob("*.json")) if weights.is_dir() else []
    return (*beside, *weight_files(weights))


def imported(module: str) -> Any:
    """A package that is known to be installed.

    Raises:
        BuildError: it does not import: it is of another version than what it needs.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, RuntimeError, OSError) as error:
        raise BuildError(
            f"{module} is installed, and cannot be imported: {error}",
            next_step=f"python -c 'import {module}'; its version must fit that of torch",
        ) from error


@contextlib.contextmanager
def fetching(what: str) -> Iterator[None]:
    """Around what may ask the network for weights.

    Raises:
        BuildError: they cannot be had.
    """
    try:
        yield
    except BuildError:
        raise
    except Exception as error:  # whatever a client of the network raises
        raise BuildError(
            f"the pretrained weights of {what} cannot be had: {type(error).__name__}: {error}",
            next_step='fetch them where there is a network, and set weights = "file.safetensors"',
        ) from error


def unknown(what: str, name: str, known: list[str]) -> BuildError:
    """There is no model of that name."""
    return BuildError(f"{what} has no model {name!r}", valid=suggestion(name, known))
