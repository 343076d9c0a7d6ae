"""Keys that a function of the project takes the place of."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_perfgate.artifact import OptionsModel
from pytest_perfgate.errors import RecipeError


def refuse_replaced(options: OptionsModel, key: str, replaced: Iterable[str], where: str) -> None:
    """Check that no key stands beside the function that replaces it.

    Args:
        options: as they were written.
        key: the key that names the function.
        replaced: the keys that it takes the place of.
        where: the table of both.

    Raises:
        RecipeError: names the first such key, its value and the function.
    """
    for name in replaced:
        if name in options.model_fields_set:
            raise RecipeError(
                f"{name} = {shown(getattr(options, name))} has no effect beside {key} = "
                f"{shown(getattr(options, key))}",
                where=f"{where}.{name}",
                valid=f"{key}, or {name} and the other declared keys",
                next_step=f"leave out {name}",
            )


def shown(value: object) -> str:
    """A value as a suite file has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return str(list(value)) if isinstance(value, tuple) else str(value)
