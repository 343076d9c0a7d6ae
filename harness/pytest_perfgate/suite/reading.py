"""Reads `recipes.toml`: each problem is named with its place, and fails only what it must."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.errors import PerfgateError, RecipeError
from pytest_perfgate.files import short_path
from pytest_perfgate.locations.lock_file import lock_file
from pytest_perfgate.metric import Metric
from pytest_perfgate.plain_text import encodable
from pytest_perfgate.records.code_tree import CodeTree
from pytest_perfgate.records.recipe import Recipe, Suite, scopes_of, sets_of
from pytest_perfgate.sources import Fence
from pytest_perfgate.suite import ranges
from pytest_perfgate.suite.corruptions import check_budgets, read_corruptions
from pytest_perfgate.suite.inheritance import Inheritance
from pytest_perfgate.suite.locations import read_locations
from pytest_perfgate.suite.metrics import metrics_of, metrics_of_workload, task_of
from pytest_perfgate.suite.recipe_tables import RecipeTables, read_recipe_tables
from pytest_perfgate.suite.scopes import read_shift, read_slices
from pytest_perfgate.suite.suite_table import read_suite_table
from pytest_perfgate.suite.tables import Place
from pytest_perfgate.suite.trainer_signature import read_signature
from pytest_perfgate.workloads import Workload

_DEEPEST = 32
"""Tables within tables: options of an option need five."""
_LONGEST = 4_000_000
"""Characters: 2,000 recipes have 300,000."""
_PART = r"""(?:[A-Za-z0-9_-]++|"[^"\n]*+"|'[^'\n]*+')"""
_MANY_PARTS = re.compile(
    rf"""(?:^|[\[{{,])[ \t]*+{_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{_DEEPEST}}}""", re.MULTILINE
)
"""Where a key may stand: at the start of a line, after a bracket or a comma."""


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


def read(file: Path, root: Path, tree: CodeTree | None = None) -> SuiteFile:
    """The suite that a file describes; problems are returned, not raised. `tree` is the version of
    the code that `root` is of, None for the working tree.
    """
    file, root = file.absolute(), root.absolute()  # what lies beside the file is inside of the root
    place = short_path(file, root)
    if encodable(place) != place:
        problem = RecipeError("its path is not UTF-8", where=place, next_step="rename the folder")
        return SuiteFile(file, None, (problem,))
    try:
        text = file.read_text(encoding="utf-8")
        if (excess := _excess(text)) is not None:
            return SuiteFile(file, None, (RecipeError(excess, where=place),))
        data = tomllib.loads(text)
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
    if (beyond := _beyond(data)) is not None:
        return SuiteFile(file, None, (Place(place).error(*beyond),))
    return _read(file, root, data, {}, tree)


def _excess(text: str) -> str | None:
    """Why a text is not given to the parser, whose memory grows by the square of a key's parts."""
    if len(text) > _LONGEST:
        return f"it has {len(text):,} characters, and a suite file may have {_LONGEST:,}"
    key = _MANY_PARTS.search(text)
    if key is None:
        return None
    line = text.count("\n", 0, key.start() + 1) + 1
    return f"the key in line {line} has more than {_DEEPEST} parts: {key[0].strip()[:40]}…"


def _beyond(data: Mapping[str, Any]) -> tuple[str, str] | None:
    """What no suite file has, with its key: a number that TOML does not know, a table within
    hundreds of tables. Both end everything that comes after with errors of its own.
    """
    waiting: list[tuple[Any, str, int]] = [(data, "", 0)]
    while waiting:
        value, key, depth = waiting.pop()
        if depth > _DEEPEST:
            return f"it is nested more than {_DEEPEST} times", f"{key[:80]}…"
        if isinstance(value, dict):
            waiting += [
                (part, f"{key}.{name}".lstrip("."), depth + 1) for name, part in value.items()
            ]
        elif isinstance(value, list):
            waiting += [(part, f"{key}[{index}]", depth + 1) for index, part in enumerate(value)]
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            return "the number has more than 64 bits, which TOML does not know", key
    return None


def filled(read: SuiteFile, root: Path, name: str, values: Mapping[str, Any]) -> Recipe:
    """The recipe `name` with values in place of its ranges: as ordinary as if they stood there.

    Raises:
        RecipeError: they do not fit its ranges, or not together.
    """
    tree = read.suite.tree if read.suite else None
    again = _read(read.file, root, read.data, {name: values}, tree)
    if again.suite is None or name not in again.suite.recipes:
        raise again.problems.get(name, again.suite_problems)[0]
    return again.suite.recipes[name]


def _read(
    file: Path,
    root: Path,
    data: Mapping[str, Any],
    values: Mapping[str, Mapping[str, Any]],
    tree: CodeTree | None,
) -> SuiteFile:
    """The suite of a parsed file; `values` are those of recipes whose ranges are filled in."""
    place = Place(short_path(file, root))
    try:
        table, model, state = read_suite_table(place, data, file, root, tree)
        sets = sets_of(table.data)
        fence = Fence(file.parent, root, table.allow_outside, table.mounts, tree)
        slices = read_slices(place, table, sets, fence)
        scopes = scopes_of(sets, slices)
        shift = read_shift(place, table, sets)
        metrics = metrics_of(table.task, scopes)
        corruptions = read_corruptions(place, table.corruptions, task_of(table.task))
        locations = read_locations(place, table.model, table.data, lock_file(file))
    except PerfgateError as error:
        return SuiteFile(file, None, (error,))
    tables = read_recipe_tables(place, data.get("recipe", []), values)
    trainer = read_signature(table.trainer, root) if table.trainer else None
    inheritance = Inheritance(place, table, model, metrics, tables, scopes, shift, trainer)
    recipes: dict[str, Recipe] = {}
    for name in inheritance.order():
        if name in tables.problems:
            continue
        try:
            recipe = _recipe(place, name, table.task, metrics, tables, inheritance)
            check_budgets(place, recipe, task_of(table.task), corruptions)
            recipes[name] = recipe
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
        require=tuple(table.require),
        targets=tuple(table.targets),
        untracked=table.untracked,
        near_duplicates=table.near_duplicates,
        tree=tree,
        allow_outside=table.allow_outside,
        mounts=table.mounts,
        locations=locations,
        state=state,
        corruptions=corruptions,
        slices=slices,
        shift=shift,
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
    if spans and recipe.folds is not None:
        raise place.error(
            "the recipe has ranges: each trial of the search would train its folds",
            f"recipe {name!r}: folds",
            next_step=f"pytest-perfgate freeze {name}, then add folds to the recipe that it writes",
        )
    workload: Workload = registry.find(registry.WORKLOADS, recipe.workload.name)
    measured = metrics_of_workload(workload, task_of(task))
    search = ranges.read_search(place, table, spans, recipe, metrics, measured)
    for span in spans:
        for value in ranges.ends(span)[1:]:
            inheritance.resolve(name, ranges.filled(table, {span.place: value}))
    return replace(recipe, search=search)
