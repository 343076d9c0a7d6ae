"""Reads `recipes.toml`: each problem is named with its place, and fails only what it must."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.errors import PerfgateError, RecipeError
from pytest_perfgate.files import short_path
from pytest_perfgate.metric import Metric
from pytest_perfgate.records.recipe import Recipe, Suite
from pytest_perfgate.suite import ranges
from pytest_perfgate.suite.inheritance import Inheritance
from pytest_perfgate.suite.metrics import metrics_of, metrics_of_workload, task_of
from pytest_perfgate.suite.recipe_tables import RecipeTables, read_recipe_tables
from pytest_perfgate.suite.suite_table import read_suite_table
from pytest_perfgate.suite.tables import Place
from pytest_perfgate.workloads import Workload


@dataclass(frozen=True)
class SuiteFile:
    """A suite file, read.

    Attributes:
        suite: None when no recipe of the file can be used.
        suite_problems: why `suite` is None.
        problems: of single recipes, by name.
        data: the parsed file.
    """

    file: Path
    suite: Suite | None
    suite_problems: tuple[PerfgateError, ...] = ()
    problems: Mapping[str, tuple[PerfgateError, ...]] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)


def read(file: Path, root: Path) -> SuiteFile:
    """The suite that a file describes; problems are returned, not raised."""
    place = short_path(file, root)
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        return SuiteFile(
            file, None, (RecipeError(f"it cannot be read: {error.strerror}", where=place),)
        )
    except (
        ValueError,
        RecursionError,
    ) as error:  # of a number of 5,000 digits, of a key of 100,000
        problem = RecipeError(
            f"it is not TOML: {error}",
            where=place,
            next_step="fix that line; pytest-perfgate schema prints a JSON schema for your editor",
        )
        return SuiteFile(file, None, (problem,))
    return _read(file, root, data, {})


def filled(read: SuiteFile, root: Path, name: str, values: Mapping[str, Any]) -> Recipe:
    """The recipe `name` with values in place of its ranges: as ordinary as if they stood there.

    Raises:
        RecipeError: they do not fit its ranges, or not together.
    """
    again = _read(read.file, root, read.data, {name: values})
    if again.suite is None or name not in again.suite.recipes:
        raise again.problems.get(name, again.suite_problems)[0]
    return again.suite.recipes[name]


def _read(
    file: Path,
    root: Path,
    data: Mapping[str, Any],
    values: Mapping[str, Mapping[str, Any]],
) -> SuiteFile:
    """The suite of a parsed file; `values` are those of recipes whose ranges are filled in."""
    place = Place(short_path(file, root))
    try:
        table, model = read_suite_table(place, data, file, root)
        metrics = metrics_of(table.task)
    except PerfgateError as error:
        return SuiteFile(file, None, (error,))
    tables = read_recipe_tables(place, data.get("recipe", []), values)
    inheritance = Inheritance(place, table, model, metrics, tables)
    recipes: dict[str, Recipe] = {}
    for name in inheritance.order():
        if name in tables.problems:
            continue
        try:
            recipes[name] = _recipe(place, name, table.task, metrics, tables, inheritance)
        except PerfgateError as error:
            tables.refuse(name, error)
    if not tables.tables and not tables.problems:
        problem = place.error("there is no recipe", "recipe", next_step="add a [[recipe]]")
        return SuiteFile(file, None, (problem,))
    suite = Suite(
        name=table.name or file.parent.name,
        file=file,
        root=root,
        task=table.task,
        model=model,
        data=table.data,
        trainer=table.trainer,
        input=table.input,
        output=table.output,
        batch=table.batch,
        threads=table.threads,
        between_samples=table.between_samples,
        turns=table.turns,
        recipes={name: recipes[name] for name in tables.tables if name in recipes},
    )
    problems = {name: tuple(errors) for name, errors in tables.problems.items()}
    return SuiteFile(file, suite, (), problems, data)


def _recipe(
    place: Place,
    name: str,
    task: str,
    metrics: Mapping[str, Metric],
    tables: RecipeTables,
    inheritance: Inheritance,
) -> Recipe:
    """One recipe; where it has ranges, it is read with every end of each in its place.

    Raises:
        RecipeError: a key is wrong, or an option does not take an end of its range.
    """
    recipe, spans = inheritance.resolve(name), tables.ranges.get(name, ())
    table = tables.tables[name]
    workload: Workload = registry.find(registry.WORKLOADS, recipe.workload.name)
    measured = metrics_of_workload(workload, task_of(task))
    search = ranges.read_search(place, table, spans, recipe, metrics, measured)
    for span in spans:
        for value in ranges.ends(span)[1:]:
            inheritance.resolve(name, ranges.filled(table, {span.place: value}))
    return replace(recipe, search=search)
