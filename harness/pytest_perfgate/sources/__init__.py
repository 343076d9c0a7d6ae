"""Sources: an origin of models per file, registered by entry point.

A model is named by an import path, by an ONNX file, or by a package's own name for it behind the
source's: `timm:resnet18`. Frameworks are imported inside functions only: this package is read by
the pytest process too.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.artifact import Artifact, NoOptions, OptionsModel
from pytest_perfgate.errors import BuildError, RecipeError, suggestion
from pytest_perfgate.inputs import Tensor
from pytest_perfgate.locations.cache import refuse_changed
from pytest_perfgate.locations.url import is_location
from pytest_perfgate.records.code_tree import CodeTree
from pytest_perfgate.records.location import Fetched
from pytest_perfgate.registry import Requirement

SEED = 0
"""The seed of random weights."""

MOUNT = "mount://"
"""What a path in a mount of the suite begins with."""


@dataclass(frozen=True)
class Fence:
    """The folder of a suite's files, and what they may lie in.

    Attributes:
        folder: the folder that relative paths start from.
        root: the project's root, which they may not leave unless `allow_outside` is set.
        mounts: name to an absolute folder; `mount://NAME/path` is a path in it.
        tree: the version of the code that `root` is of, None for the working tree. A path that
            leaves that version starts from the working tree, for only its project has neighbours.
        fetched: locations (`https://…`, `s3://…`) whose files lie in the cache.
    """

    folder: Path
    root: Path
    allow_outside: bool = False
    mounts: Mapping[str, str] = field(default_factory=dict)
    tree: CodeTree | None = None
    fetched: Mapping[str, Fetched] = field(default_factory=dict)

    def place(self, path: str) -> Path:
        """Where `path` leads; it need not exist.

        Raises:
            RecipeError: it leaves the project, or its mount, or no mount has that name.
        """
        if path.startswith(MOUNT):
            return self._in_mount(path)
        if is_location(path):
            if path not in self.fetched:
                raise RecipeError(
                    f"{path!r} was not fetched: [suite] does not name it",
                    valid="a location that is the suite's model, its weights or its data",
                )
            return self.fetched[path].place
        file = Path(os.path.normpath(self.folder / path))
        if file.is_relative_to(os.path.normpath(self.root)):
            return file
        if not self.allow_outside:
            raise RecipeError(
                f"the path {path!r} leaves the project",
                valid="a path below the project's root",
                next_step="add allow_outside = true to [suite]; or name the other folder, "
                f'mounts = {{ NAME = "/folder" }}, and write "{MOUNT}NAME/path"',
            )
        if self.tree is None or file.is_relative_to(self.tree.top):
            return file
        return Path(os.path.normpath(self.tree.there(self.folder) / path))

    def is_elsewhere(self, path: str) -> bool:
        """Whether a path is in a mount or a store, or may leave the project and does."""
        if path.startswith(MOUNT) or is_location(path):
            return True
        file = Path(os.path.normpath(self.folder / path))
        return self.allow_outside and not file.is_relative_to(os.path.normpath(self.root))

    def _in_mount(self, path: str) -> Path:
        name, _, rest = path.removeprefix(MOUNT).partition("/")
        if name not in self.mounts:
            raise RecipeError(
                f"{path!r} is in the mount {name!r}, which [suite] does not have",
                valid=suggestion(name, self.mounts),
                next_step=f'add mounts = {{ {name or "NAME"} = "/folder" }} to [suite]',
            )
        mount = Path(os.path.normpath(self.mounts[name]))
        file = Path(os.path.normpath(mount / rest.lstrip("/")))
        if not file.is_relative_to(mount):
            raise RecipeError(f"the path {path!r} leaves its mount {mount}")
        return file


Resolve = Callable[[str], Callable[..., Any]]
"""The suite's own function that an import path names."""


@dataclass(frozen=True)
class SourceContext:
    """Folders and functions for a source, in the worker that builds.

    Attributes:
        fence: the place of the model's files.
        resolve: `resolve(import_path)` is the suite's own function.
        folder: where a source may write the file that it gives.
    """

    fence: Fence
    resolve: Resolve
    folder: Path


@dataclass(frozen=True)
class SourceModel:
    """A model as its source gives it.

    Attributes:
        artifact: a torch module in eval mode, or an ONNX file.
        effect: facts about it for the report, as plain JSON data.
        structure: plain JSON data from which `Source.restore` makes the same module again, its
            weights still to be loaded; None when `restore` gives the same weights every time.
    """

    artifact: Artifact
    effect: Mapping[str, Any]
    structure: Any = None


@dataclass(frozen=True)
class Backbone:
    """The part of a model that makes a feature map of an image, or several.

    Attributes:
        module: a torch module, (N, 3, H, W) to (N, C, h, w); to a tuple of such maps, the largest
            first, where it is a pyramid's.
        model, arguments: from which `Source.restore_backbone` (`restore_pyramid`) makes the same
            structure.
    """

    module: Any
    model: str
    arguments: Mapping[str, Any]


class Source(registry.Extension, ABC):
    """A way to get a model.

    Example:
        The source `linear`: `model = "linear:10"` is a linear classifier of ten classes.

            from pytest_perfgate.artifact import Artifact
            from pytest_perfgate.errors import RecipeError
            from pytest_perfgate.registry import from_extra
            from pytest_perfgate.sources import SEED, Source, SourceModel


            class Linear(Source):
                name, gives, example = "linear", "torch", "10"
                requires = (from_extra("torch", "torch"),)
                preload = ("torch",)

                def check(self, model, options, fence):
                    if not model.isdigit():
                        raise RecipeError(f"{model!r} is no number of classes", valid='"linear:10"')

                def build(self, model, options, context):
                    import torch

                    torch.manual_seed(SEED)
                    module = self.restore(model, options, None, context.resolve)
                    return SourceModel(Artifact("torch", module=module), {"weights": "random"})

                def restore(self, model, options, structure, resolve):
                    import torch

                    pool, flat = torch.nn.AdaptiveAvgPool2d(8), torch.nn.Flatten()
                    return torch.nn.Sequential(pool, flat, torch.nn.Linear(192, int(model))).eval()

    Attributes:
        name: the part before the colon in a suite file.
        gives: the kind of artifact ("torch" or "onnx").
        example: a model's name, for messages.
        Options: its options, checked before any work starts. Default: none.
        requires: packages that it imports. Default: none.
        preload: as a runtime's.
    """

    group = registry.SOURCES
    needed = ("name", "gives", "example")

    name: str
    gives: str
    example: str
    requires: tuple[Requirement, ...] = ()
    preload: tuple[str, ...] = ()

    Options: type[OptionsModel] = NoOptions

    @abstractmethod
    def build(self, model: str, options: Any, context: SourceContext) -> SourceModel:
        """The model with its weights.

        Raises:
            PerfgateError: the model cannot be built, or its weights cannot be read.
        """

    def side_names(self, file: Path) -> tuple[str, ...]:
        """Files that belong to a model's file, as paths relative to its folder: they are fetched
        with it. Default: none.

        Raises:
            PerfgateError: the file cannot be read.
        """
        return ()

    def requires_with(self, model: str, options: Any) -> tuple[Requirement, ...]:
        """Packages that a model needs. Default: `requires`."""
        return self.requires

    def check(self, model: str, options: Any, fence: Fence) -> None:
        """Check name, options and files as far as possible without a framework. Default: nothing.

        Raises:
            RecipeError: one of them is wrong.
        """
        return

    def inputs(self, model: str, options: Any, fence: Fence) -> tuple[Tensor, ...] | None:
        """The network's inputs as its file has them, read without a framework. Default: None, they
        are not known before the model is built.

        Raises:
            RecipeError: the file cannot be read.
        """
        return None

    def outputs(self, model: str, options: Any, fence: Fence) -> tuple[Tensor, ...] | None:
        """The network's outputs as its file has them, in order. Default: None, not known.

        Raises:
            RecipeError: the file cannot be read.
        """
        return None

    def files(self, model: str, options: Any, fence: Fence) -> tuple[Path, ...]:
        """Files that `build` reads, all in one folder; their content is part of a build's key.
        Default: none.
        """
        return ()

    def restore(self, model: str, options: Any, structure: Any, resolve: Resolve) -> Any:
        """A torch module of the same structure; its weights are loaded afterwards where
        the source gives `SourceModel.structure`. A source of torch modules overrides it.
        """
        raise BuildError(f"{model!r} is a file, not a torch module", valid="a torch module")

    def backbone(self, model: str, arguments: Mapping[str, Any], *, pretrained: bool) -> Backbone:
        """The part of a model that makes features, in eval mode. A source that overrides it offers
        its models to the step `backbone`.

        Raises:
            BuildError: the source has no such model, or the model has no such part.
        """
        raise BuildError(f"the source {self.name!r} has no backbones")

    def restore_backbone(self, model: str, arguments: Mapping[str, Any]) -> Any:
        """The same module again, its weights still to be loaded. Default: `backbone` without
        pretrained weights.
        """
        return self.backbone(model, arguments, pretrained=False).module

    def pyramid(self, model: str, arguments: Mapping[str, Any], *, pretrained: bool) -> Backbone:
        """The part of a model that makes several maps of features, the last of each size, in eval
        mode. A source that overrides it offers its models to detectors with several levels.

        Raises:
            BuildError: the source has no such model, or the model has no maps.
        """
        raise BuildError(f"the source {self.name!r} has no backbones of several maps")

    def restore_pyramid(self, model: str, arguments: Mapping[str, Any]) -> Any:
        """The same module again, its weights still to be loaded. Default: `pyramid` without
        pretrained weights.
        """
        return self.pyramid(model, arguments, pretrained=False).module

    @property
    def has_backbones(self) -> bool:
        """Whether it overrides `backbone`."""
        return type(self).backbone is not Source.backbone


def inside(path: str, fence: Fence) -> Path:
    """The file or folder at `path`: relative to the suite file's folder, in a mount, or fetched
    from a store; what was fetched is compared with the lock file.

    A link is followed wherever it leads: models lie in stores and on mounts.

    Raises:
        RecipeError: the path leaves the project without leave to, or does not exist.
        FetchError: what was fetched was changed since.
    """
    file = fence.place(path)
    if path in fence.fetched:
        refuse_changed(fence.fetched[path])
        return file
    if not file.exists():
        raise RecipeError(f"the file {path!r} does not exist", next_step=f"put it at {file}")
    return file
