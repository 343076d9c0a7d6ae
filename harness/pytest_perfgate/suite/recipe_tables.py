"""Reads the `[[recipe]]` tables by name, without what one inherits from another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.records.recipe import Range
from pytest_perfgate.suite import ranges
from pytest_perfgate.suite.chain import one_per_runtime
from pytest_perfgate.suite.tables import NAME, Place, RecipeTable


@dataclass
class RecipeTables:
    """The tables of a suite file, by recipe name and in the file's order.

    Attributes:
        tables: with the first value of each range in place of the range.
        problems: of single recipes.
        variants: name of a table to the recipes that its runtimes make of it.
        runtime_at: the key at which a recipe's runtime stands.
        ranges: the ranges that stand in a recipe's options.
    """

    tables: dict[str, RecipeTable] = field(default_factory=dict)
    problems: dict[str, list[PerfgateError]] = field(default_factory=dict)
    variants: dict[str, list[str]] = field(default_factory=dict)
    runtime_at: dict[str, str] = field(default_factory=dict)
    ranges: dict[str, tuple[Range, ...]] = field(default_factory=dict)

    def refuse(self, name: str, problem: PerfgateError) -> None:
        """Notes one more problem of a recipe."""
        self.problems.setdefault(name, []).append(problem)


def read_recipe_tables(
    place: Place, listed: Any, values: Mapping[str, Mapping[str, Any]]
) -> RecipeTables:
    """The tables that `listed`, the value of the key `recipe`, holds; `values` are those of recipes
    whose ranges are to be filled in, by place. Problems are returned, not raised.
    """
    result = RecipeTables()
    names: set[str] = set()
    for index, raw in enumerate(listed if isinstance(listed, list) else [listed]):
        written = raw.get("name") if isinstance(raw, dict) else None
        name = str(written) if written is not None else f"recipe[{index}]"
        try:
            table = place.validate(RecipeTable, raw, f"recipe {name!r}")
            if not NAME.fullmatch(table.name):
                raise place.error(
                    f"{table.name!r} cannot be a recipe's name",
                    f"recipe {name!r}: name",
                    valid="letters, digits, '.', '_', '-'; a letter or digit first; at most 64",
                )
            variants = one_per_runtime(place, table)
        except PerfgateError as error:
            result.refuse(name, error)
            continue
        result.variants[name] = [variant.name for variant, _ in variants]
        for variant, key in variants:
            _add(place, result, variant, key, values, name if name in names else "")
        names.add(name)
    return result


def _add(
    place: Place,
    result: RecipeTables,
    table: RecipeTable,
    runtime_at: str,
    values: Mapping[str, Mapping[str, Any]],
    repeated: str,
) -> None:
    """Adds one recipe; `repeated` is the name of its table where an earlier one has it too."""
    if repeated or table.name in result.tables or table.name in result.problems:
        name = repeated or table.name
        result.refuse(
            table.name,
            place.error(f"there are two recipes named {name!r}", f"recipe {name!r}: name"),
        )
        return
    result.runtime_at[table.name] = runtime_at
    try:
        result.tables[table.name] = _without_ranges(place, result, table, values.get(table.name))
    except PerfgateError as error:
        result.refuse(table.name, error)


def _without_ranges(
    place: Place, result: RecipeTables, table: RecipeTable, values: Mapping[str, Any] | None
) -> RecipeTable:
    """The table with values at the places of its ranges: `values`, or the first of each range."""
    plain, spans = ranges.taken(place, table)
    if values is None:
        result.ranges[table.name] = spans
        return plain
    if values.keys() != {span.place for span in spans}:
        raise place.error(
            "the stored values belong to other ranges than the recipe has now",
            f"recipe {table.name!r}: search",
        )
    return ranges.filled(plain, values).model_copy(update={"search": None})
