"""Digests of what recipes rest on, computed in the pytest process: no framework is imported."""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Collection, Iterable, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest_perfgate
from pytest_perfgate.building.file_digests import Digests
from pytest_perfgate.building.folder_digests import MODULE
from pytest_perfgate.building.implementation_code import digest_folder
from pytest_perfgate.building.own_reads import RUN, SECRET
from pytest_perfgate.building.package_versions import version_with_files
from pytest_perfgate.records.inputs import CHANGED, CONTENTS, MODULES, NAMES

_MOST = 24
"""Files of one folder that are listed one by one; of more, the whole folder is digested."""


class InputDigests(Digests):
    """What files and folders hold now; names as in `RecipeInputs.files`.

    Args:
        root: the project's root.
        since: seconds since the epoch; a file that was changed later is `CHANGED`. 0: whenever.
    """

    def __init__(self, root: Path, since: float = 0.0) -> None:
        super().__init__(root)
        self._since = since

    def digest(self, name: str) -> str:
        """That of a file or a folder; "" where there is none, and where it cannot be read."""
        try:
            if self._since and any(map(self._is_later, self._files(name))):
                return CHANGED
            return super().digest(name)
        except OSError:
            return ""

    def _files(self, name: str) -> list[Path]:
        """The file of a name; of a folder those that decide what an import finds there."""
        if name.endswith(MODULES):
            return list((self._root / name.removesuffix(MODULES)).glob("*.py"))
        return [] if name.endswith((NAMES, CONTENTS)) else [self._root / name]

    def _is_later(self, file: Path) -> bool:
        status = file.stat()
        return max(status.st_mtime, status.st_ctime) > self._since


def listed(files: Mapping[str, str], digests: InputDigests) -> dict[str, str]:
    """The files that were read for a recipe, with what else decides which files are read: the
    modules that lie beside those that were imported. `files` are names with digests.
    """
    folders: dict[str, list[str]] = {}
    for name in files:
        if not name.endswith((MODULES, NAMES, CONTENTS)):
            folders.setdefault(name.rpartition("/")[0], []).append(name)
    result = dict(files)
    for folder, names in folders.items():
        # Beside modules lie their data, which may be more than is worth a line each.
        if len(names) > _MOST and folder:
            for name in names:
                del result[name]
            known = CHANGED not in map(files.__getitem__, names)
            result[folder + CONTENTS] = digests.digest(folder + CONTENTS) if known else CHANGED
        elif any(_is_code(name) for name in names):
            result[folder + MODULES] = digests.digest(folder + MODULES)
    return dict(sorted(result.items()))


def _is_code(name: str) -> bool:
    return bool(MODULE.search(name)) and not name.endswith("/__init__.py")


def again(files: Collection[str], digests: InputDigests) -> dict[str, str]:
    """The same names with what they hold now."""
    return {name: digests.digest(name) for name in files}


@functools.cache
def program() -> str:
    """Version and code of this project, and the interpreter."""
    return program_in(Path(pytest_perfgate.__file__).parent, pytest_perfgate.__version__)


def program_in(folder: Path, version: str) -> str:
    """As `program`, of a folder with this project's code."""
    return f"{version} {digest_folder(folder)[:16]}, Python {sys.version}"


@functools.cache
def installed() -> dict[str, str]:
    """`versions_of` all distributions of this interpreter."""
    return versions_of(distributions())


def versions_of(packages: Iterable[Distribution]) -> dict[str, str]:
    """Each distribution with its version and a digest of the list of its files, which has the
    digest of each (PyPA, "Recording installed projects"): a package that was built anew under its
    old version is another one.
    """
    versions: dict[str, list[str]] = {}
    for package in packages:  # one may hide another of its name
        versions.setdefault(package.name, []).append(version_with_files(package))
    return {name: ", ".join(found) for name, found in sorted(versions.items())}


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """A digest of each environment variable that may change a result. Credentials are left out."""
    return {
        name: hashlib.sha256(f"{name}={value}".encode(errors="surrogateescape")).hexdigest()[:16]
        for name, value in sorted(environ.items())
        if not RUN.fullmatch(name) and not SECRET.search(name.upper())
    }
