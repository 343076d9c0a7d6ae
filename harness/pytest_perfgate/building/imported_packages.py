"""Versions of the installed packages that a project's own code has imported."""

from __future__ import annotations

import ast
import functools
import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest_perfgate
from pytest_perfgate.building.implementation_code import digest_folder
from pytest_perfgate.building.package_versions import undistributed, version_now, versions_of
from pytest_perfgate.files import digest_of

_OWN = pytest_perfgate.__name__
_DIGEST = "sha256:"


def top_levels() -> set[str]:
    """The top-level modules that are loaded."""
    return {name.partition(".")[0] for name in [*sys.modules]}


def named_in(files: Iterable[Path]) -> set[str]:
    """The top-level modules that import statements of these sources name."""
    return {name.partition(".")[0] for file in files for name in _imports(file)}


def versions_of_imported(modules: Iterable[str]) -> dict[str, str]:
    """Of the distributions of these top-level modules; of an installed module that no distribution
    has, its name with a digest of its source. Modules of Python, of this project and of the user's
    are left out: files stand for the last.
    """
    wanted = {
        name
        for name in modules
        if name not in sys.stdlib_module_names and name != _OWN and name.isidentifier()
    }
    digests = {name: _digest(name) for name in sorted(undistributed(wanted))}
    return versions_of(wanted) | {name: digest for name, digest in digests.items() if digest}


def unchanged(versions: Mapping[str, str]) -> bool:
    """Whether all of what `versions_of_imported` gave is as it was."""
    return all(_now(name, text) == text for name, text in versions.items())


def _now(name: str, text: str) -> str:
    if text.startswith(_DIGEST):
        return _digest(name)
    try:
        return version_now(name)
    except PackageNotFoundError:
        return ""


def _digest(name: str) -> str:
    """Of the source of an installed module; "" where it is not installed, or has none."""
    # As an import would find it: some packages put parts of theirs among the top-level modules.
    spec = PathFinder.find_spec(name)
    if spec is None or not spec.origin or not spec.has_location:
        return ""
    origin = Path(spec.origin)
    if not {"site-packages", "dist-packages"} & set(origin.parts):
        return ""
    if spec.submodule_search_locations:
        return _DIGEST + digest_folder(origin.parent)
    return _DIGEST + digest_of([origin.read_bytes().hex()])


def _imports(file: Path) -> frozenset[str]:
    try:
        source = file.read_bytes()
    except OSError:
        return frozenset()
    parsed, digest = _parsed(), hashlib.sha256(source).digest()
    if digest not in parsed:
        parsed[digest] = frozenset(_names(source))
    return parsed[digest]


@functools.cache
def _parsed() -> dict[bytes, frozenset[str]]:
    """What sources name, by their digests: each is parsed once in a worker, which asks for all of
    a project's sources with every link.
    """
    return {}


def _names(source: bytes) -> Iterator[str]:
    try:
        tree = ast.parse(source)
    except (ValueError, SyntaxError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module
