"""Reads further validation sets, their slices and a shift between two of them; and which of them a
budget is on.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import DataError, PerfgateError, suggestion
from pytest_perfgate.metric import ALL_SETS, AT, FOLDS, WORST_SET, Metric, Over, Rule, Scope
from pytest_perfgate.records.recipe import VALIDATION, Shift, SliceSpec, split_of
from pytest_perfgate.records.robustness import is_corrupted
from pytest_perfgate.sources import Fence
from pytest_perfgate.suite.metrics import task_of
from pytest_perfgate.suite.tables import NAME, Place, SuiteTable
from pytest_perfgate.tasks import Task

SETS = "sets"

_TAKEN = ("train", "calibration", VALIDATION, ALL_SETS, WORST_SET, FOLDS)
"""Names that mean something else where a budget names a set."""

_NAMES = f"letters, digits, '.', '_', '-'; a letter or digit first; none of {', '.join(_TAKEN)}"


def with_sets(place: Place, table: SuiteTable) -> SuiteTable:
    """The table with each entry of `[suite.data.sets]` as a split of its own.

    Raises:
        RecipeError: a name cannot be a set's, or two sets are the same data.
    """
    written = table.data.get(SETS)
    if written is None:
        return table
    if isinstance(written, str) or not written:
        raise place.error(
            f"sets is {written!r}",
            f"suite.data.{SETS}",
            valid='a table of sets by name: night = "package.module:function"',
        )
    data: dict[str, Any] = {key: value for key, value in table.data.items() if key != SETS}
    for name, source in written.items():
        key = f"suite.data.{SETS}.{name}"
        _check_name(place, name, key, "set", task_of(table.task))
        if not isinstance(source, (str, Mapping)) or not source:
            raise place.error(
                f"the set is {source!r}",
                key,
                valid='"package.module:function", or a table of a data set',
            )
        same = next((split for split, other in data.items() if other == source), None)
        if same is not None:
            raise place.error(
                f"it is the same data as suite.data.{same}",
                key,
                valid="data of its own for each set",
                next_step="leave one of the two out",
            )
        data[split_of(name)] = source
    return table.model_copy(update={"data": data})


def read_slices(
    place: Place, table: SuiteTable, sets: Sequence[str], fence: Fence
) -> dict[str, SliceSpec]:
    """The slices by name.

    Raises:
        RecipeError: a name is taken, the set or the column does not exist, or the task has frames
            in order.
    """
    slices = {}
    for name, entry in table.slices.items():
        key = f"suite.slices.{name}"
        _check_name(place, name, key, "slicing", task_of(table.task))
        if name in sets:
            raise place.error(
                f"{name!r} is a set already",
                key,
                valid="a name that no set has",
                next_step="rename one of the two",
            )
        if task_of(table.task).in_order:
            raise place.error(
                f"images of the task {table.task!r} are frames of sequences, which are not sliced",
                key,
                valid="a task whose images stand alone",
                next_step=f"make it a set: [suite.data.{SETS}]",
            )
        sliced = _set_at(place, entry.on, f"{key}.on", sets)
        if entry.file:
            _check_column(place, entry.file, entry.by, key, fence)
        slices[name] = SliceSpec(entry.by, sliced, tuple(entry.edges), entry.file, entry.least)
    return slices


def read_shift(place: Place, table: SuiteTable, sets: Sequence[str]) -> Shift | None:
    """The source and the target of recipes that adapt; None where the suite names none.

    Raises:
        RecipeError: one is no set, or both are the same.
    """
    if table.shift is None:
        return None
    source = _set_at(place, table.shift.source, "suite.shift.source", sets)
    target = _set_at(place, table.shift.target, "suite.shift.target", sets)
    if source == target:
        raise place.error(
            f"source and target are both {table.shift.target!r}",
            "suite.shift.target",
            valid=", ".join(name for name in (VALIDATION, *sets) if name != table.shift.source),
        )
    return Shift(source, target)


def budget_name(
    place: Place,
    name: str,
    on: str | None,
    where: str,
    metrics: Mapping[str, Metric],
    scopes: Sequence[Scope],
) -> str:
    """The metric that a budget is on: its key with what `on` says, `map@night`.

    Raises:
        RecipeError: there is no such set, both the key and `on` name one, or the metric is no score
            that the images of a set have.
    """
    metric = metrics.get(name)
    known = tuple(scope.name for scope in scopes)
    score, _, named = name.rpartition(AT)
    if metric is None and metrics.get(score) is not None:
        on, name, metric, where_on = named, score, metrics[score], where
    elif on is None:
        return name
    else:
        where_on = f"{where}.on"
    if metric is None:
        return name
    if metric.scope is not None:
        raise place.error(
            f"the budget is on {metric.scope.name!r} and on {on!r}", where_on, valid="one of them"
        )
    if metric.rule is not Rule.IMAGES:
        raise place.error(
            f"{name} is no score, so that it has no value on a set",
            where_on,
            valid=", ".join(
                key for key, one in metrics.items() if one.rule is Rule.IMAGES and not one.scope
            ),
        )
    if on == VALIDATION:
        return name
    if f"{name}{AT}{on}" in metrics:  # a scope, or a corruption
        return f"{name}{AT}{on}"
    if on not in known:
        start = f"{name}{AT}"
        others = (
            key.removeprefix(start)
            for key, one in metrics.items()
            if key.startswith(start) and one.scope is None
        )
        raise place.error(
            f"there is no set and no slicing {on!r}",
            where_on,
            valid=suggestion(str(on), (VALIDATION, *known, *others)),
            next_step=""
            if known
            else f"name sets in [suite.data.{SETS}], slices in [suite.slices]",
        )
    if is_corrupted(name):
        raise place.error(
            f"{name} is of corrupted validation images, and sets are not corrupted",
            where_on,
            valid=f'{name} without "on"',
        )
    raise place.error(
        f"{name} is known of all images together, not of slices",
        where_on,
        valid=", ".join(
            one.score_name
            for one in metrics.values()
            if one.over is Over.SLICES and one.scope is not None and one.scope.name == on
        ),
    )


def _set_at(place: Place, name: str, key: str, sets: Sequence[str]) -> str:
    """The set that is named at a key, "" for the validation images."""
    if name == VALIDATION:
        return ""
    if name not in sets:
        raise place.error(
            f"there is no set {name!r}",
            key,
            valid=suggestion(name, (VALIDATION, *sets)),
            next_step="" if sets else f"name sets in [suite.data.{SETS}]",
        )
    return name


def _check_name(place: Place, name: str, key: str, what: str, task: Task) -> None:
    if name in task.corruptions:
        raise place.error(
            f"{name!r} is a corruption, whose scores have that name",
            key,
            valid="a name that no corruption has",
            next_step="rename it",
        )
    if not NAME.fullmatch(name) or name in _TAKEN:
        raise place.error(
            f"{name!r} cannot be the name of a {what}", key, valid=_NAMES, next_step="rename it"
        )


def _check_column(place: Place, file: str, column: str, key: str, fence: Fence) -> None:
    """Check that a CSV file is there and has a column."""
    try:
        columns = csv_columns(fence.place(file))
    except PerfgateError as error:
        raise place.error(
            error.problem, f"{key}.file", valid=error.valid, next_step=error.next_step
        ) from None
    if column not in columns:
        raise place.error(
            f"{file} has no column {column!r}", f"{key}.by", valid=suggestion(column, columns)
        )


def csv_columns(path: Path) -> list[str]:
    """The columns of a CSV file.

    Raises:
        DataError: it cannot be read, or has no header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            header = next(csv.reader(opened), [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(
            f"{path.name} cannot be read: {reason}",
            valid="a CSV file in UTF-8, its first line the names of columns",
        ) from error
    if not header:
        raise DataError(
            f"{path.name} is empty",
            valid="a CSV file in UTF-8, its first line the names of columns",
        )
    return header
