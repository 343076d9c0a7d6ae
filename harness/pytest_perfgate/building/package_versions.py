"""Versions of the packages that an artifact comes from: part of its key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version

from pytest_perfgate.machine.fingerprint import PACKAGES

_OWN_PACKAGES = {"pytest-perfgate", "faster-coco-eval"}  # these do not change an artifact


def versions_of(modules: Iterable[str]) -> dict[str, str]:
    """Of the packages that these modules come from, and of numpy, which is in all of them. What a
    link does not use does not make it anew: it may be hours of training.
    """
    known = _distributions()
    names = {name for module in (*modules, "numpy") for name in known.get(module, ())}
    return {name: version(name) for name in sorted(names)}


@lru_cache(maxsize=1)
def _distributions() -> Mapping[str, Sequence[str]]:
    return packages_distributions()


def versions() -> dict[str, str]:
    """Of the packages that an artifact, or what it computes, may depend on."""
    found = {}
    for name in PACKAGES:
        if name in _OWN_PACKAGES:
            continue
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
