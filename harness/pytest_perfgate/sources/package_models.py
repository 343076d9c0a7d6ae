"""A source that is a package of models: its options, its checks, and how it is imported."""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator
from typing_extensions import override

from pytest_perfgate.artifact import TORCH, OptionsModel
from pytest_perfgate.errors import BuildError, RecipeError, suggestion
from pytest_perfgate.sources import Fence, Source, SourceContext, inside
from pytest_perfgate.sources.weights import SUFFIXES, fill, read, weight_files


class PackageOptions(OptionsModel):
    """Options of a model that a package builds."""

    pretrained: bool = Field(
        False,
        description="load the package's own weights, which it may fetch; default: random weights",
    )
    weights: str = Field(
        "", description="file or folder of weights, relative to the suite file: safetensors, or .pt"
    )
    num_classes: int | None = Field(
        None, ge=1, description="classes of the head; default: those of the package"
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict, description="further keyword arguments of the package's builder"
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


class PackageSource(Source):
    """A source that takes a model's name and keyword arguments to a package.

    Attributes:
        names: the form of a model's name.
        reserved: arguments that options, or the source itself, set.
        package: its module, for messages.
    """

    gives = TORCH

    names: re.Pattern[str]
    reserved: frozenset[str]
    package: str

    Options: type[OptionsModel] = PackageOptions

    @override
    def check(self, model: str, options: Any, fence: Fence) -> None:
        """Check the form of the name, the names of the arguments, and that weights' files exist."""
        if not self.names.fullmatch(model):
            raise RecipeError(f"{model!r} cannot be a model's name", valid=self.names.pattern)
        for key in sorted(self.reserved & options.arguments.keys()):
            raise RecipeError(
                f"{key!r} cannot be among the arguments",
                valid="the options pretrained, weights and num_classes say what a model is",
            )
        if options.weights and not weight_files(inside(options.weights, fence)):
            raise RecipeError(
                f"{options.weights!r} has no weights",
                valid=f"a file, or a folder: {', '.join(SUFFIXES)}",
            )

    @override
    def files(self, model: str, options: Any, fence: Fence) -> tuple[Path, ...]:
        """The weights' files, and for a folder everything that describes them."""
        if not options.weights:
            return ()
        weights = inside(options.weights, fence)
        beside = sorted(weights.glob("*.json")) if weights.is_dir() else []
        return (*beside, *weight_files(weights))

    def unknown(self, model: str, known: list[str]) -> BuildError:
        """The error that the package has no model of that name."""
        return BuildError(f"{self.package} has no model {model!r}", valid=suggestion(model, known))


def fill_from_file(module: Any, options: PackageOptions, context: SourceContext) -> None:
    """Loads the weights that the options name, if they name any.

    Raises:
        BuildError: they are of another model, or cannot be read.
    """
    if options.weights:
        fill(module, read(inside(options.weights, context.fence)), options.weights)


def with_classes(arguments: Mapping[str, Any], classes: int | None) -> dict[str, Any]:
    """Keyword arguments of a package's builder, with `num_classes` where a recipe sets it."""
    return dict(arguments) if classes is None else {**arguments, "num_classes": classes}


def imported(module: str) -> Any:
    """An installed package.

    Raises:
        BuildError: its import fails, as when its version does not fit that of torch.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, RuntimeError, OSError) as error:
        raise BuildError(
            f"{module} is installed but cannot be imported: {error}",
            next_step=f"python -c 'import {module}'; its version must fit that of torch",
        ) from error


@contextlib.contextmanager
def fetching(what: str) -> Iterator[None]:
    """Around a call that may fetch weights over the network.

    Raises:
        BuildError: they could not be fetched.
    """
    try:
        yield
    except BuildError:
        raise
    except Exception as error:  # whatever a client of the network raises
        raise BuildError(
            f"the pretrained weights of {what} could not be fetched: "
            f"{type(error).__name__}: {error}",
            next_step='fetch them where there is a network, and set weights = "file.safetensors"',
        ) from error
