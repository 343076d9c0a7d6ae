"""The files that a device gets, by content: the project's, and this package's own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

import pytest_perfgate
from pytest_perfgate.building.folder_digests import IGNORED
from pytest_perfgate.errors import PerfgateError

_PACKAGE = "pytest_perfgate"
_METADATA = ("METADATA", "entry_points.txt", "RECORD")


class Copies:
    """Some files by the names that they have on the device.

    Attributes:
        digests: name to SHA-256.
    """

    def __init__(self, files: dict[str, Path]) -> None:
        self._files = files
        self.digests = {name: _digest(path) for name, path in files.items()}

    def __getitem__(self, name: str) -> Path:
        return self._files[name]


def of_project(root: Path, without: Collection[Path]) -> Copies:
    """All files below a root but those in hidden folders, in virtual environments, in folders that
    no build reads, and below `without`. Links to files are copied as the files.
    """
    return Copies({path.relative_to(root).as_posix(): path for path in _walk(root, without)})


def _walk(root: Path, without: Collection[Path]) -> Iterator[Path]:
    for parent, below, names in os.walk(root):
        folder = Path(parent)
        below[:] = sorted(
            name
            for name in below
            if not name.startswith(".")
            and name not in IGNORED
            and folder / name not in without
            and not (folder / name / "pyvenv.cfg").exists()
        )
        for name in sorted(names):
            if (folder / name).is_file() and not name.endswith(".pyc"):
                yield folder / name


def of_package() -> Copies:
    """The package as it is, with the metadata that its entry points are in.

    Raises:
        PerfgateError: it is not installed, so that nothing could be found by name on the device.
    """
    folder = Path(pytest_perfgate.__file__).parent
    files = {f"{_PACKAGE}/{name}": path for name, path in of_project(folder, ())._files.items()}
    try:
        own = distribution("pytest-perfgate")
    except PackageNotFoundError as error:
        raise PerfgateError(
            "pytest-perfgate is not installed, only on the path",
            next_step="python -m pip install -e .",
        ) from error
    info = next(
        Path(str(own.locate_file(file))).parent
        for file in own.files or ()
        if file.name == "entry_points.txt"
    )
    for name in _METADATA:
        if (info / name).is_file():
            files[f"{info.name}/{name}"] = info / name
    return Copies(files)


def needs() -> list[str]:
    """Names of the distributions that this package cannot do without."""
    requirements = map(Requirement, distribution("pytest-perfgate").requires or ())
    return sorted(
        one.name for one in requirements if one.marker is None or one.marker.evaluate({"extra": ""})
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
