"""The files that a device gets, by content: the project's, and this package's own."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement

import pytest_perfgate
from pytest_perfgate.building.folder_digests import IGNORED
from pytest_perfgate.errors import PerfgateError

_PACKAGE = "pytest_perfgate"
PART = 1 << 20
_METADATA = ("METADATA", "entry_points.txt", "RECORD")


class Copies:
    """Some files by the names that they have on the device.

    Attributes:
        digests: name to SHA-256.
        folders: names of the folders, empty ones included: a folder can be a class of images.
        programs: names of the files that can be executed.

    Raises:
        PerfgateError: a file cannot be read.
    """

    def __init__(self, files: dict[str, Path], folders: Iterable[str] = ()) -> None:
        self._files = files
        self.digests = {name: _digest(path) for name, path in files.items()}
        self.programs = sorted(name for name, path in files.items() if os.access(path, os.X_OK))
        above = {str(parent) for name in files for parent in PurePosixPath(name).parents}
        self.folders = sorted(above.union(folders))

    def size(self, name: str) -> int:
        """The bytes of a file now.

        Raises:
            PerfgateError: it cannot be read any more.
        """
        with _reading(self._files[name]):
            return self._files[name].stat().st_size

    def parts(self, name: str) -> Iterator[bytes]:
        """The contents of a file now, in parts of `PART` bytes at most: it may be larger than the
        memory.

        Raises:
            PerfgateError: it cannot be read any more.
        """
        # What is sent between two parts has errors of its own: only reading is named as reading.
        with contextlib.ExitStack() as opened:
            with _reading(self._files[name]):
                file = opened.enter_context(self._files[name].open("rb"))
            while True:
                with _reading(self._files[name]):
                    part = file.read(PART)
                if not part:
                    return
                yield part


def of_project(root: Path, without: Collection[Path], named: Iterable[Path] = ()) -> Copies:
    """All files below a root but those of `without`, of virtual environments and of folders that
    no build reads. Links to files are copied as the files.

    Nothing that is hidden, such as `.env`, and no link to a folder is copied unless it is below a
    path of `named`: what is visible from there, and the folders of its links.
    """
    files: dict[str, Path] = {}
    folders: set[str] = set()
    for start in dict.fromkeys((root, *named)):
        if start in without:
            continue
        if start.is_file():
            files[start.relative_to(root).as_posix()] = start
        for folder, names in _walk(start, without, links=start != root):
            folders.add(folder.relative_to(root).as_posix())
            files |= {(folder / name).relative_to(root).as_posix(): folder / name for name in names}
    return Copies(files, folders)


def _walk(
    start: Path, without: Collection[Path], *, links: bool
) -> Iterator[tuple[Path, list[str]]]:
    """Folders that are copied, each with the names of its files."""
    for parent, below, names in os.walk(start, followlinks=links):
        folder = Path(parent)
        below[:] = sorted(
            name
            for name in below
            if not name.startswith(".")
            and name not in IGNORED
            and folder / name not in without
            and not ((folder / name).is_symlink() and (not links or _is_loop(folder / name)))
            and not (folder / name / "pyvenv.cfg").exists()
        )
        files = [
            name
            for name in sorted(names)
            if not name.startswith(".") and not name.endswith(".pyc") and (folder / name).is_file()
        ]
        yield folder, files


def _is_loop(link: Path) -> bool:
    """Whether a link leads to a folder that it lies in."""
    return link.parent.resolve().is_relative_to(link.resolve())


def of_artifacts(artifacts: Path, entries: Iterable[Path]) -> Copies:
    """Entries of the store, below the folder of all of its artifacts."""
    files = [
        file
        for entry in entries
        for file in sorted((artifacts / entry).rglob("*"))
        if file.is_file()
    ]
    return Copies({file.relative_to(artifacts).as_posix(): file for file in files}, ["."])


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
    with _reading(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PerfgateError(
            f"it cannot be copied to a target: {error.strerror}",
            where=str(path),
            next_step="make it readable, or move it out of the project; then run the session again",
        ) from None
