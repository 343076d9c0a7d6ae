"""Extensions by entry point: sources of models, steps, runtimes, workloads, tasks and decoders; and
functions of the project by their import path.

A package adds its own by declaring an entry point in one of the groups below; nothing here
changes. An entry point names a class that derives from the group's base class; it is made without
arguments.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import Distribution, EntryPoint, EntryPoints, distributions
from pathlib import Path
from typing import Any, ClassVar

from pytest_perfgate.errors import MissingPackage, RecipeError, RuntimeFault, suggestion

SOURCES = "pytest_perfgate.sources"
STEPS = "pytest_perfgate.steps"
RUNTIMES = "pytest_perfgate.runtimes"
WORKLOADS = "pytest_perfgate.workloads"
TASKS = "pytest_perfgate.tasks"
DECODERS = "pytest_perfgate.decoders"
MASK_DECODERS = "pytest_perfgate.mask_decoders"

_BASES = {
    SOURCES: "pytest_perfgate.sources:Source",
    STEPS: "pytest_perfgate.steps:Step",
    RUNTIMES: "pytest_perfgate.runtimes:Runtime",
    WORKLOADS: "pytest_perfgate.workloads:Workload",
    TASKS: "pytest_perfgate.tasks:Task",
    DECODERS: "pytest_perfgate.tasks.decoders:Decoder",
    MASK_DECODERS: "pytest_perfgate.tasks.mask_decoders:MaskDecoder",
}
"""The base class of each group, for messages: those modules import this one."""


class Extension:
    """What the base classes of all extension points share.

    Attributes:
        group: the entry-point group.
        needed: attributes that every class of the group sets, for they have no default.
    """

    group: ClassVar[str] = ""
    needed: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True)
class Requirement:
    """A package that an extension imports: its import name, and the command that installs it."""

    module: str
    install: str

    @property
    def missing(self) -> bool:
        """Whether it cannot be imported here. Nothing is imported to know it."""
        try:
            return importlib.util.find_spec(self.module) is None
        except (ImportError, ValueError):
            return True

    @property
    def reason(self) -> str:
        """Why it is missing, for messages; "": it is not installed."""
        return ""


def lacks(missing: Collection[Requirement]) -> str:
    """Missing requirements in words, each reason once."""
    absent = [requirement.module for requirement in missing if not requirement.reason]
    parts = [f"not installed: {', '.join(dict.fromkeys(absent))}"] if absent else []
    reasons = dict.fromkeys(requirement.reason for requirement in missing)
    return "; ".join([*parts, *(reason for reason in reasons if reason)])


def from_extra(module: str, name: str) -> Requirement:
    """A requirement that one of this distribution's extras installs."""
    return Requirement(module, f"python -m pip install 'pytest-perfgate[{name}]'")


def _registered(group: str) -> EntryPoints:
    return _entries(tuple(sys.path))[group]


@lru_cache(maxsize=16)
def _entries(path: tuple[str, ...]) -> dict[str, EntryPoints]:
    """The entry points of every group, from all installed packages, of which the first of a name
    counts. Kept: a session looks dozens of times.
    """
    entries = [
        entry
        for folder in dict.fromkeys(path)
        for package, own in _extensions_in(folder)
        if _is_first(package, path)
        for entry in own
    ]
    return {group: EntryPoints(entries).select(group=group) for group in _BASES}


@lru_cache(maxsize=64)
def _extensions_in(folder: str) -> tuple[tuple[Distribution, tuple[EntryPoint, ...]], ...]:
    """The packages in a folder of the import path that register extensions, and these. Read once,
    whatever else is on the path: that of a worker changes, and arms have what their launch read.
    """
    packages = (
        (package, tuple(entry for entry in package.entry_points if entry.group in _BASES))
        for package in distributions(path=[folder])
    )
    return tuple((package, entries) for package, entries in packages if entries)


def _is_first(package: Distribution, path: tuple[str, ...]) -> bool:
    first = next(iter(distributions(name=package.name, path=list(path))), package)
    return first.locate_file("") == package.locate_file("")


def names(group: str) -> tuple[str, ...]:
    """Every name that is registered in `group`, sorted."""
    return tuple(sorted({entry.name for entry in _registered(group)}))


def find(group: str, name: str) -> Any:
    """A new instance of the class that is registered as `name` in `group`, or that
    "package.module:Class" names in the project.

    Raises:
        RecipeError: no class has that name, its module does not import, or it does not derive from
            the group's base class.
    """
    kind = group.rpartition(".")[2].rstrip("s").replace("_", " ")
    if is_own(name):
        return _own(group, name, f"the {kind} {name!r}")
    for entry in _registered(group).select(name=name):
        origin = f"the {kind} {name!r} ({entry.value})"
        try:
            extension = entry.load()()
        except Exception as error:  # whatever an extension's module or class raises
            raise RecipeError(
                f"{origin} could not be imported: {type(error).__name__}: {error}",
                next_step=f"python -c 'import {entry.value.partition(':')[0]}'",
            ) from error
        _check(extension, group, origin)
        return extension
    raise RecipeError(f"there is no {kind} {name!r}", valid=suggestion(name, names(group)))


def is_own(name: str) -> bool:
    """Whether a name is that of a class of the project: "package.module:Class"."""
    return ":" in name


def search_in(root: Path) -> None:
    """Makes modules below the project's root importable, before all others, as in workers."""
    if sys.path[:1] != [str(root)]:
        sys.path.insert(0, str(root))
    importlib.invalidate_caches()


def _own(group: str, name: str, origin: str) -> Any:
    module, _, base = _BASES[group].partition(":")
    try:
        kind = resolve(name, origin)
        if not isinstance(kind, type):
            raise RecipeError(f"{origin} is a {type(kind).__name__}", valid=f"a class ({base})")
        if not issubclass(kind, Extension) or kind.group != group:
            raise RecipeError(
                f"{origin} does not derive from {module}.{base}",
                valid=f"class {kind.__name__}({base})",
                next_step=f"python -c 'import {module}; help({module}.{base})' shows an example",
            )
        extension = kind()
    except RecipeError:
        raise
    except Exception as error:  # whatever the project's module or class raises
        raise RecipeError(
            f"{origin} could not be imported: {type(error).__name__}: {error}",
            next_step=f"from the project's root: python -c 'import {name.partition(':')[0]}'",
        ) from error
    _check(extension, group, origin)
    return extension


def _check(extension: Any, group: str, origin: str) -> None:
    module, _, base = _BASES[group].partition(":")
    if not isinstance(extension, Extension) or extension.group != group:
        raise RecipeError(
            f"{origin} does not derive from {module}.{base}",
            valid=f"class {type(extension).__name__}({base})",
            next_step=f"python -c 'import {module}; help({module}.{base})' shows an example",
        )
    for attribute in extension.needed:
        if not hasattr(extension, attribute):
            raise RecipeError(
                f"{origin} does not set `{attribute}`",
                next_step=f"python -c 'import {module}; help({module}.{base})' describes it",
            )


def derived(extension: Any, base: type[Any], origin: str) -> None:
    """Check that an object that an extension made derives from `base`.

    Raises:
        RuntimeFault: names the class, and the base class.
    """
    if not isinstance(extension, base):
        raise RuntimeFault(
            f"{origin} a {type(extension).__module__}.{type(extension).__qualname__}, "
            f"which does not derive from {base.__module__}.{base.__name__}",
            valid=f"class {type(extension).__name__}({base.__name__})",
        )


def require(needed: tuple[Requirement, ...], what: str) -> None:
    """Check that all of `needed` can be imported.

    Raises:
        MissingPackage: names the first that cannot, and the command that installs it.
    """
    for requirement in needed:
        if requirement.missing:
            raise MissingPackage(
                f"{what} needs the package {requirement.module!r}, which is not installed",
                next_step=requirement.install,
            )


def resolve(path: str, where: str) -> Callable[..., Any]:
    """The function that `path` ("package.module:function") names.

    Raises:
        RecipeError: the module or the function is not there.
    """
    module_name, _, name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and module_name.startswith(error.name):
            raise RecipeError(
                f"the module {module_name!r} is not found",
                where=where,
                next_step=f"from the project's root: python -c 'import {module_name}'",
            ) from error
        raise
    function = getattr(module, name, None)
    if not callable(function):
        public = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
        raise RecipeError(
            f"{module_name!r} has no function {name!r}",
            where=where,
            valid=", ".join(sorted(public)),
        )
    return function  # type: ignore[no-any-return] # callable() does not narrow Any
