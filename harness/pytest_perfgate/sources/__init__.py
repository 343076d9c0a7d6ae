"""Sources: where a suite's model comes from, one file each.

A model is named by an import path, by an ONNX file, or by a package's own name for it behind the
source's: `timm:resnet18`. Frameworks are imported inside functions only: this package is read by
the pytest process too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pytest_perfgate.artifact import Artifact, OptionsModel
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.registry import Requirement

SEED = 0
"""Of weights that nobody trained."""


@dataclass(frozen=True)
class Fence:
    """Where files of a model are looked for, and the folder that they may not leave."""

    folder: Path
    root: Path


Resolve = Callable[[str], Callable[..., Any]]
"""The suite's own function that an import path names."""


@dataclass(frozen=True)
class SourceContext:
    """What the worker that builds offers to a source.

    Attributes:
        fence: where the model's files are.
        resolve: `resolve(import_path)` is the suite's own function.
    """

    fence: Fence
    resolve: Resolve


@dataclass(frozen=True)
class Made:
    """A model as its source gives it.

    Attributes:
        artifact: a torch module in eval mode, or an ONNX file.
        effect: what is worth knowing of it, in plain JSON data.
        structure: plain JSON data from which `Source.restore` makes the same module again, its
            weights still to be loaded; None when `build` itself gives the same weights each time.
    """

    artifact: Artifact
    effect: Mapping[str, Any]
    structure: Any = None


class Source(Protocol):
    """One way to come by a model.

    Attributes:
        name: what stands before the colon in a suite file.
        gives: kind of artifact.
        example: a model's name, for messages.
        Options: its options, checked before any work starts.
        preload: modules that are imported before an arm's time begins, as a runtime's.
    """

    name: str
    gives: str
    example: str
    Options: type[OptionsModel]
    preload: tuple[str, ...]

    def requires(self, model: str, options: Any) -> tuple[Requirement, ...]:
        """Packages that a model needs."""
        ...

    def check(self, model: str, options: Any, fence: Fence) -> None:
        """Nothing, when as much as can be known without a framework is right.

        Raises:
            RecipeError: says what is wrong.
        """
        ...

    def files(self, model: str, options: Any, fence: Fence) -> tuple[Path, ...]:
        """Files that `build` reads, all in one folder; what is in them is part of a build's key."""
        ...

    def build(self, model: str, options: Any, context: SourceContext) -> Made:
        """The model, with the weights that were asked for.

        Raises:
            PerfgateError: it cannot be had.
        """
        ...

    def restore(self, model: str, options: Any, structure: Any, resolve: Resolve) -> Any:
        """A torch module of the same structure; of a source with `Made.structure` its weights are
        loaded afterwards.
        """
        ...


@dataclass(frozen=True)
class Backbone:
    """The part of a model that makes a map of features of an image.

    Attributes:
        module: a torch module, (N, 3, H, W) to (N, C, h, w).
        model, arguments: what `HasBackbones.restore_backbone` makes the same structure of.
    """

    module: Any
    model: str
    arguments: Mapping[str, Any]


@runtime_checkable
class HasBackbones(Protocol):
    """A source whose models have such a part."""

    def backbone(self, model: str, arguments: Mapping[str, Any], *, pretrained: bool) -> Backbone:
        """That part alone, in eval mode.

        Raises:
            BuildError: there is no such model, or it has no such part.
        """
        ...

    def restore_backbone(self, model: str, arguments: Mapping[str, Any]) -> Any:
        """The same module again, its weights still to be loaded."""
        ...


def inside(path: str, fence: Fence) -> Path:
    """The file or folder that `path` names, relative to the suite file's folder.

    Raises:
        RecipeError: it leaves the project, or is not there.
    """
    found = (fence.folder / path).resolve()
    if not found.is_relative_to(fence.root.resolve()):
        raise RecipeError(f"the path {path!r} leaves the project")
    if not found.exists():
        raise RecipeError(f"the file {path!r} is not there", next_step=f"put it at {found}")
    return found
