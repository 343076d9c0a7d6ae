"""Reads `recipes.toml`: every problem named with its place, and failing only what it must."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.artifact import IMPORT_PATH
from pytest_perfgate.errors import PerfgateError, RecipeError, suggestion
from pytest_perfgate.metric import Metric
from pytest_perfgate.records.recipe import ModelSpec, Range, Recipe, RuntimeSpec, StepSpec, Suite
from pytest_perfgate.sources import Fence
from pytest_perfgate.sources.naming import source_of
from pytest_perfgate.suite import ranges
from pytest_perfgate.suite.budgets import read_budget
from pytest_perfgate.suite.chain import (
    one_per_runtime,
    read_model,
    read_runtime,
    read_step,
    read_workload,
    steps_of_workload,
    way_to,
)
from pytest_perfgate.suite.metrics import metrics_of, metrics_of_workload, task_of
from pytest_perfgate.suite.tables import NAME, Place, RecipeTable, SuiteTable
from pytest_perfgate.workloads import Workload

SPLITS = ("train", "calibration", "validation")


@dataclass(frozen=True)
class SuiteFile:
    """What was read. `suite` is None when the whole file is of no use; `problems` are those of
    single recipes, by name.
    """

    file: Path
    suite: Suite | None
    suite_problems: tuple[PerfgateError, ...] = ()
    problems: Mapping[str, tuple[PerfgateError, ...]] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)  # the file as it was then


def read(file: Path, root: Path) -> SuiteFile:
    """The suite that a file describes; problems are returned, not raised."""
    place = _relative(file, root)
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        return SuiteFile(
            file, None, (RecipeError(f"it cannot be read: {error.strerror}", where=place),)
        )
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problem = RecipeError(
            f"it is not TOML: {error}",
            where=place,
            next_step="fix that line; pytest-perfgate schema prints a JSON schema for your editor",
        )
        return SuiteFile(file, None, (problem,))
    return _Reader(file, root, Place(place), data).read()


def filled(read: SuiteFile, root: Path, name: str, values: Mapping[str, Any]) -> Recipe:
    """The recipe `name` with values in place of its ranges: as ordinary as if they stood there.

    Raises:
        RecipeError: they do not fit its ranges, or not together.
    """
    place = Place(_relative(read.file, root))
    found = _Reader(read.file, root, place, dict(read.data), {name: values}).read()
    if found.suite is None or name not in found.suite.recipes:
        raise found.problems.get(name, found.suite_problems)[0]
    return found.suite.recipes[name]


class _Reader:
    def __init__(
        self,
        file: Path,
        root: Path,
        place: Place,
        data: dict[str, Any],
        values: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._file = file
        self._root = root
        self._place = place
        self._data = data
        self._problems: dict[str, list[PerfgateError]] = {}
        self._names: dict[str, list[str]] = {}  # of the recipes that one table makes
        self._runtime_at: dict[str, str] = {}  # the key that a recipe's runtime stands at
        self._values = values or {}  # of recipes whose ranges are filled in
        self._ranges: dict[str, tuple[Range, ...]] = {}

    def read(self) -> SuiteFile:
        try:
            table, model, metrics = self._suite_table()
        except PerfgateError as error:
            return SuiteFile(self._file, None, (error,))
        tables = self._recipe_tables()
        recipes: dict[str, Recipe] = {}
        for name in sorted(tables, key=lambda name: _depth(name, tables)):
            if name not in self._problems:
                recipe = self._guarded(name, tables, table, model, metrics)
                if recipe is not None:
                    recipes[name] = recipe
        suite = Suite(
            name=table.name or self._file.parent.name,
            file=self._file,
            root=self._root,
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
            recipes={name: recipes[name] for name in tables if name in recipes},
        )
        if not tables and not self._problems:
            problem = self._place.error(
                "there is no recipe", "recipe", next_step="add a [[recipe]]"
            )
            return SuiteFile(self._file, None, (problem,))
        frozen = {name: tuple(errors) for name, errors in self._problems.items()}
        return SuiteFile(self._file, suite, (), frozen, self._data)

    # -- the suite -------------------------------------------------------------------------

    def _suite_table(self) -> tuple[SuiteTable, ModelSpec, Mapping[str, Metric]]:
        unknown = sorted(self._data.keys() - {"suite", "recipe"})
        if unknown:
            raise self._place.error(
                f"{unknown[0]!r} is not a key of the file", unknown[0], valid="suite, recipe"
            )
        if not isinstance(self._data.get("suite"), dict):
            raise self._place.error(
                "there is no [suite] table", "suite", next_step="pytest-perfgate init shows one"
            )
        table = self._place.validate(SuiteTable, self._data["suite"], "suite")
        name = table.name or self._file.parent.name
        if not NAME.fullmatch(name):
            raise self._place.error(
                f"{name!r} cannot be a suite's name", "suite.name", valid=NAME.pattern
            )
        task = self._place.find(registry.TASKS, table.task, "suite.task")
        model = read_model(self._place, table.model, Fence(self._file.parent, self._root))
        for split, source in table.data.items():
            if split not in SPLITS:
                raise self._place.error(
                    f"{split!r} is not a split",
                    f"suite.data.{split}",
                    valid=suggestion(split, SPLITS),
                )
            if isinstance(source, str):
                self._check_import(source, f"suite.data.{split}")
        if "validation" not in table.data:
            raise self._place.error("there is no validation data", "suite.data.validation")
        if table.trainer:
            self._check_import(table.trainer, "suite.trainer")
        self._place.validate(task.Input, table.input, "suite.input")
        self._place.validate(task.Output, table.output, "suite.output")
        decoder = table.output.get("decode", "boxes_scores")
        if "decode" in task.Output.model_fields:
            found = self._place.find(registry.DECODERS, decoder, "suite.output.decode")
            self._place.validate(
                found.Options, table.output.get("options", {}), "suite.output.options"
            )
        return table, model, metrics_of(table.task)

    def _check_import(self, path: str, key: str) -> None:
        if not IMPORT_PATH.fullmatch(path):
            raise self._place.error(
                f"{path!r} is not an import path", key, valid='"package.module:function"'
            )

    # -- the recipes -----------------------------------------------------------------------

    def _recipe_tables(self) -> dict[str, RecipeTable]:
        listed = self._data.get("recipe", [])
        if not isinstance(listed, list):
            listed = [listed]
        tables: dict[str, RecipeTable] = {}
        seen: set[str] = set()
        for index, raw in enumerate(listed):
            given = raw.get("name") if isinstance(raw, dict) else None
            name = str(given) if given is not None else f"recipe[{index}]"
            try:
                table = self._place.validate(RecipeTable, raw, f"recipe {name!r}")
                if not NAME.fullmatch(table.name):
                    raise self._place.error(
                        f"{table.name!r} cannot be a recipe's name",
                        f"recipe {name!r}: name",
                        valid="letters, digits, '.', '_', '-'; a letter or digit first; at most 64",
                    )
                single = one_per_runtime(self._place, table)
            except PerfgateError as error:
                self._problems.setdefault(name, []).append(error)
                continue
            self._names[name] = [each.name for each, _ in single]
            for each, key in single:
                if each.name in tables or each.name in self._problems or name in seen:
                    twice = name if name in seen else each.name
                    problem = self._place.error(
                        f"there are two recipes named {twice!r}", f"recipe {name!r}: name"
                    )
                    self._problems.setdefault(each.name, []).append(problem)
                    continue
                self._runtime_at[each.name] = key
                try:
                    tables[each.name] = self._without_ranges(each)
                except PerfgateError as error:
                    self._problems.setdefault(each.name, []).append(error)
            seen.add(name)
        return tables

    def _without_ranges(self, table: RecipeTable) -> RecipeTable:
        """The table with values at the places of its ranges, which are kept beside it."""
        taken, found = ranges.taken(self._place, table)
        values = self._values.get(table.name)
        if values is None:
            self._ranges[table.name] = found
            return taken
        if values.keys() != {each.place for each in found}:
            raise self._place.error(
                "the values that were found belong to other ranges than stand there now",
                f"recipe {table.name!r}: search",
            )
        return ranges.filled(taken, values).model_copy(update={"search": None})

    def _guarded(
        self,
        name: str,
        tables: dict[str, RecipeTable],
        suite: SuiteTable,
        model: ModelSpec,
        metrics: Mapping[str, Metric],
    ) -> Recipe | None:
        try:
            return self._searched(name, tables, suite, model, metrics)
        except PerfgateError as error:
            self._problems.setdefault(name, []).append(error)
            return None

    def _searched(
        self,
        name: str,
        tables: dict[str, RecipeTable],
        suite: SuiteTable,
        model: ModelSpec,
        metrics: Mapping[str, Metric],
    ) -> Recipe:
        """The recipe; where it has ranges, every end of each is read as if it stood there."""
        recipe = self._recipe(name, tables, suite, model, metrics)
        found = self._ranges.get(name, ())
        workload: Workload = registry.find(registry.WORKLOADS, recipe.workload.name)
        told = metrics_of_workload(workload, task_of(suite.task))
        search = ranges.read_search(self._place, tables[name], found, recipe, metrics, told)
        for each in found:
            for value in ranges.ends(each)[1:]:
                other = ranges.filled(tables[name], {each.place: value})
                self._recipe(name, {**tables, name: other}, suite, model, metrics)
        return replace(recipe, search=search)

    def _recipe(
        self,
        name: str,
        tables: Mapping[str, RecipeTable],
        suite: SuiteTable,
        model: ModelSpec,
        metrics: Mapping[str, Metric],
    ) -> Recipe:
        line = self._line(name, tables)
        where = f"recipe {name!r}"
        chain: list[StepSpec] = []
        runtime: RuntimeSpec | None = None
        kind = source_of(model.name)[0].gives
        for link in line:  # the root first
            for index, raw in enumerate(tables[link].steps):
                spec, kind = read_step(
                    self._place,
                    raw,
                    f"recipe {link!r}: steps[{index}]",
                    kind,
                    suite,
                    [each.name for each in chain],
                )
                chain.append(spec)
            asked = tables[link].runtime
            if asked is not None:
                runtime = read_runtime(self._place, asked, self._runtime_at[link])
        measured_by, workload_at = read_workload(self._place, [tables[link] for link in line])
        for raw in steps_of_workload(measured_by):
            before = [each.name for each in chain]
            spec, kind = read_step(self._place, raw, workload_at, kind, suite, before)
            chain.append(spec)
        if runtime is None:
            raise self._place.error(
                "there is no runtime",
                f"{where}: runtime",
                valid=", ".join(registry.names(registry.RUNTIMES)),
            )
        accepts = registry.find(registry.RUNTIMES, runtime.name).accepts
        if kind not in accepts:
            raise self._place.error(
                f"the runtime {runtime.name!r} takes {' or '.join(sorted(accepts))}, and the chain "
                f"ends on {kind}",
                self._runtime_at.get(name, f"{where}: runtime"),
                next_step=way_to(kind, accepts),
            )
        workload: Workload = registry.find(registry.WORKLOADS, measured_by.name)
        if workload.accepts is not None and kind not in workload.accepts:
            raise self._place.error(
                f"the workload {workload.name!r} takes {' or '.join(sorted(workload.accepts))}, "
                f"and the chain ends on {kind}",
                workload_at,
            )
        told = metrics_of_workload(workload, self._place.find(registry.TASKS, suite.task, where))
        for metric in tables[name].budgets:
            if metric in metrics and metric not in told:
                raise self._place.error(
                    f"{metric} is not measured by the workload {workload.name!r}",
                    f"{where}: budgets.{metric}",
                    valid=", ".join(each for each in metrics if each in told),
                )
        root = line[0]
        budgets = tuple(
            read_budget(
                self._place, metric, limits, f"{where}: budgets.{metric}", metrics, name == root
            )
            for metric, limits in tables[name].budgets.items()
        )
        return Recipe(
            name=name,
            parent=tables[name].parent,
            reference=root,
            chain=tuple(chain),
            own_steps=len(tables[name].steps) + len(steps_of_workload(measured_by)),
            runtime=runtime,
            budgets=budgets,
            workload=measured_by,
        )

    def _line(self, name: str, tables: Mapping[str, RecipeTable]) -> list[str]:
        """The recipe's ancestors and itself, the root first."""
        line = [name]
        while parent := tables[line[0]].parent:
            where = f"recipe {name!r}: from"
            if parent in line:
                cycle = " -> ".join([parent, *line[: line.index(parent) + 1]])
                raise self._place.error(f"`from` goes in a circle: {cycle}", where)
            if parent in self._problems:
                raise self._place.error(
                    f"it is derived from {parent!r}, which has errors",
                    where,
                    next_step=f"mend {parent!r} first",
                )
            if self._ranges.get(parent):
                raise self._place.error(
                    f"it is derived from {parent!r}, whose values are searched",
                    where,
                    next_step=f"pytest-perfgate freeze {parent}, and derive from what that writes",
                )
            if parent not in tables and parent in self._names:
                raise self._place.error(
                    f"{parent!r} has several runtimes, and each of them is a recipe of its own",
                    where,
                    valid=", ".join(self._names[parent]),
                )
            if parent not in tables:
                raise self._place.error(
                    f"there is no recipe {parent!r}", where, valid=suggestion(parent, tables)
                )
            line.insert(0, parent)
        return line


def _depth(name: str, tables: Mapping[str, RecipeTable]) -> int:
    """How many ancestors a recipe has, so that parents can be read first; a circle ends it."""
    seen: set[str] = set()
    while name in tables and name not in seen:
        seen.add(name)
        name = tables[name].parent
    return len(seen)


def _relative(file: Path, root: Path) -> str:
    try:
        return file.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return str(file)
