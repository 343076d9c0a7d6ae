"""Finds what is open to extension, by entry point: sources of models, steps, runtimes, workloads,
tasks and decoders.

A package adds its own by declaring an entry point in one of the groups below; nothing here
changes. An entry point names a class; it is made without arguments.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoints, entry_points
from typing import Any

from pytest_perfgate.errors import MissingPackage, RecipeError, suggestion

SOURCES = "pytest_perfgate.sources"
STEPS = "pytest_perfgate.steps"
RUNTIMES = "pytest_perfgate.runtimes"
WORKLOADS = "pytest_perfgate.workloads"
TASKS = "pytest_perfgate.tasks"
DECODERS = "pytest_perfgate.decoders"


@dataclass(frozen=True)
class Requirement:
    """A package that an implementation imports when it works: its import name and how to get it."""

    module: str
    install: str

    @property
    def missing(self) -> bool:
        """Whether it cannot be imported here (found without importing it)."""
        try:
            return importlib.util.find_spec(self.module) is None
        except (ImportError, ValueError):
            return True

    @property
    def reason(self) -> str:
        """What to say when it is missing, "" for: not installed."""
        return ""


def lacks(missing: Collection[Requirement]) -> str:
    """What is missing, in words."""
    reasons = dict.fromkeys(each.reason for each in missing)
    installed = ", ".join(dict.fromkeys(each.module for each in missing if not each.reason))
    said = [f"not installed: {installed}"] if installed else []
    return "; ".join([*said, *(each for each in reasons if each)])


def requires_of(piece: Any, options: Any) -> tuple[Requirement, ...]:
    """What a step or runtime needs with these options: those may have `requires` of their own."""
    found: tuple[Requirement, ...] = getattr(options, "requires", piece.requires)
    return found


def from_extra(module: str, name: str) -> Requirement:
    """A requirement that one of this distribution's extras installs."""
    return Requirement(module, f"python -m pip install 'pytest-perfgate[{name}]'")


def _registered(group: str) -> EntryPoints:
    return _entries(group, tuple(sys.path))


@lru_cache(maxsize=16)
def _entries(group: str, _path: tuple[str, ...]) -> EntryPoints:
    """What is installed where modules are looked for. Every package's files are read for it, and
    a session asks dozens of times.
    """
    return entry_points(group=group)


def names(group: str) -> tuple[str, ...]:
    """Every name that is registered in `group`, sorted."""
    return tuple(sorted({entry.name for entry in _registered(group)}))


def find(group: str, name: str) -> Any:
    """A new instance of what is registered as `name` in `group`.

    Raises:
        RecipeError: nothing of that name, or its module does not import.
    """
    kind = group.rpartition(".")[2].rstrip("s")
    for entry in _registered(group).select(name=name):
        try:
            return entry.load()()
        except (ImportError, AttributeError, TypeError) as error:
            raise RecipeError(
                f"the {kind} {name!r} comes from {entry.value}, which cannot be had: {error}",
                next_step=f"python -c 'import {entry.value.partition(':')[0]}'",
            ) from error
    raise RecipeError(f"there is no {kind} {name!r}", valid=suggestion(name, names(group)))


def require(needed: tuple[Requirement, ...], what: str) -> None:
    """Nothing, when all of `needed` can be imported.

    Raises:
        MissingPackage: names the first that cannot, and the command that installs it.
    """
    for requirement in needed:
        if requirement.missing:
            raise MissingPackage(
                f"{what} needs the package {requirement.module!r}, which is not installed",
                next_step=requirement.install,
            )
