"""Versions of the packages that an artifact comes from: part of its key."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.metadata import (
    Distribution,
    PackageNotFoundError,
    distribution,
    distributions,
    version,
)

from pytest_perfgate.files import digest_of
from pytest_perfgate.machine.fingerprint import PACKAGES

_FIRST = re.compile(
    r"""
    ^ ([^/.\n]+) [/.]          # a package's folder, or a module's name before its suffix
    (?: .* \n \1 [/.] )*       # the files after it of the same name
    """,
    re.MULTILINE | re.VERBOSE,
)
"""The first part of each path in a list of files."""

_OWN_PACKAGES = {"pytest-perfgate", "faster-coco-eval"}  # these do not change an artifact


def versions_of(modules: Iterable[str]) -> dict[str, str]:
    """Of the packages that these modules come from, and of numpy, which is in all of them. What a
    link does not use does not make it anew: it may be hours of training.
    """
    names = _distributions(frozenset({*modules, "numpy"}))
    return {name: version_now(name) for name in sorted(names)}


def version_now(name: str) -> str:
    """The version of an installed distribution. Of one that comes from a folder, a repository or a
    file, and not from an index, with a digest of its files: it may have been built anew under its
    old version (PyPA, "Recording the Direct URL Origin").

    Raises:
        PackageNotFoundError: it is not installed.
    """
    package = distribution(name)
    origin = package.read_text("direct_url.json")
    if not origin:
        return package.version
    try:
        editable = json.loads(origin).get("dir_info", {}).get("editable", False)
    except (ValueError, AttributeError):
        editable = False
    # The files of an editable one are the project's, or lie beside it: they count by themselves.
    return package.version if editable else version_with_files(package)


_INSTALLATION = (
    "__pycache__",
    *(f".dist-info/{name}," for name in ("INSTALLER", "REQUESTED", "direct_url.json", "RECORD")),
)


def version_with_files(package: Distribution) -> str:
    """A version, and a digest of the list of the package's files, which has the digest of each."""
    record = package.read_text("RECORD") or ""
    # Scripts lie outside the folder and name its interpreter; the other three say how and from
    # where it was installed. Compiled code is no file of the package.
    own = [
        line
        for line in record.splitlines()
        if not line.startswith("../") and not any(part in line for part in _INSTALLATION)
    ]
    return f"{package.version} {digest_of(own)[:12]}" if own else package.version


def undistributed(modules: Iterable[str]) -> set[str]:
    """Those of some top-level modules that no distribution has."""
    return set(modules).difference(*(own for _, own in _top_levels()))


@lru_cache(maxsize=64)
def _distributions(modules: frozenset[str]) -> frozenset[str]:
    """Names of the distributions that have one of these top-level modules, as
    `importlib.metadata.packages_distributions` gives them. That one parses every list of files:
    a third of what a worker does for a small model.
    """
    # A name is in a file of its own, in a mail's format: only those that are asked for are parsed.
    return frozenset(one.name for one, own in _top_levels() if not modules.isdisjoint(own))


def _top_levels() -> Iterator[tuple[Distribution, frozenset[str]]]:
    """Each distribution on the import path and its top-level modules."""
    for folder in dict.fromkeys(sys.path):
        yield from _top_levels_in(folder)


@lru_cache(maxsize=64)
def _top_levels_in(folder: str) -> tuple[tuple[Distribution, frozenset[str]], ...]:
    """Those of one folder of the path, read once, whatever else is on it: a recipe has several
    keys.
    """
    return tuple((one, frozenset(_top_level(one))) for one in distributions(path=[folder]))


def _top_level(distribution: Distribution) -> Iterable[str]:
    declared = (distribution.read_text("top_level.txt") or "").split()
    return declared or _FIRST.findall(distribution.read_text("RECORD") or "")


def versions() -> dict[str, str]:
    """Of the packages that an artifact, or what it computes, may depend on."""
    installed = {}
    for name in PACKAGES:
        if name in _OWN_PACKAGES:
            continue
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    return installed
