"""Versions of the packages that an artifact comes from: part of its key."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import Distribution, PackageNotFoundError, distributions, version

from pytest_perfgate.machine.fingerprint import PACKAGES

_OWN_PACKAGES = {"pytest-perfgate", "faster-coco-eval"}  # these do not change an artifact


def versions_of(modules: Iterable[str]) -> dict[str, str]:
    """Of the packages that these modules come from, and of numpy, which is in all of them. What a
    link does not use does not make it anew: it may be hours of training.
    """
    names = _distributions(frozenset({*modules, "numpy"}))
    return {name: version(name) for name in sorted(names)}


@lru_cache(maxsize=64)
def _distributions(modules: frozenset[str]) -> frozenset[str]:
    """Names of the distributions that have one of these top-level modules, as
    `importlib.metadata.packages_distributions` gives them. That one parses every list of files:
    a third of what a worker does for a small model.
    """
    return frozenset(
        distribution.name for distribution in distributions() if _has_any(distribution, modules)
    )


def _has_any(distribution: Distribution, modules: frozenset[str]) -> bool:
    declared = (distribution.read_text("top_level.txt") or "").split()
    if declared:
        return not modules.isdisjoint(declared)
    files = "\n" + (distribution.read_text("RECORD") or "")
    return any(f"\n{module}/" in files or f"\n{module}." in files for module in modules)


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
