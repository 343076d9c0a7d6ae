"""Settings under a library's own names: which of them are refused, and the library's own list."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pytest_perfgate.errors import RuntimeFault, suggestion

Value = bool | int | float | str

THREADS = "it is an option of this runtime: threads"
PROFILING = "it slows each inference: pytest --perf --perf-profile measures with it"


def refuse(names: Collection[str], refused: Mapping[str, str]) -> None:
    """Nothing, unless one of `names` stands in `refused` with a reason.

    Raises:
        ValueError: names it, with the reason.
    """
    for name in names:
        if name in refused:
            raise ValueError(f"{name} cannot be set: {refused[name]}")


def refuse_unknown(
    names: Collection[str], known: Collection[str], refused: Collection[str], what: str
) -> None:
    """Nothing, when all `names` are among those that a library says it has.

    Raises:
        RuntimeFault: names the first that is not, and the closest one.
    """
    for name in names:
        if name not in known:
            raise RuntimeFault(
                f"{what} has no {name!r}", valid=suggestion(name, set(known) - set(refused))
            )


def member(kind: type[Any], name: str, value: Value) -> Any:
    """The member of an enumeration that a value names.

    Raises:
        RuntimeFault: it has none of that name.
    """
    members: Mapping[str, Any] = kind.__members__
    if value not in members:
        raise RuntimeFault(f"{name} has no value {value!r}", valid=suggestion(str(value), members))
    return members[str(value)]


def attributes_of(settings: object) -> dict[str, Any]:
    """The public attributes of a library's object of settings, with their values."""
    return {
        name: getattr(settings, name)
        for name in dir(settings)
        if not name.startswith("_") and not callable(getattr(settings, name))
    }


def set_attribute(settings: object, name: str, value: Value, default: Any) -> None:
    """Sets an attribute whose usual value is `default`; an enumeration's by its name.

    Raises:
        RuntimeFault: the value is of another type, or none of the enumeration's.
    """
    if hasattr(type(default), "__members__"):
        setattr(settings, name, member(type(default), name, value))
        return
    if type(value) is not type(default):
        raise RuntimeFault(f"{name} cannot be {value!r}", valid=f"a value like {default!r}")
    setattr(settings, name, value)
