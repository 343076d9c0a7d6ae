"""Ranges in place of option values: read from a suite file, checked at their ends, and filled in.

A range stands wherever a step's, the runtime's or the workload's option may stand:
`pruning_ratio = { search = { low = 0.1, high = 0.8 } }`, or `{ search = { choices = [8, 16] } }`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.errors import PerfgateError, suggestion
from pytest_perfgate.metric import Metric, Rule
from pytest_perfgate.records.recipe import LimitKind, Range, Recipe, SearchSpec
from pytest_perfgate.suite.tables import ChoicesTable, NumbersTable, Place, RecipeTable
from pytest_perfgate.units import Unit, parse

MARK = "search"
"""The key that makes a range of a table."""

_LIKE = "{ search = { low = 0.1, high = 0.8 } } or { search = { choices = [8, 16] } }"


def taken(place: Place, table: RecipeTable) -> tuple[RecipeTable, tuple[Range, ...]]:
    """The table with the first value of every range in its place, and the ranges.

    Raises:
        RecipeError: a range cannot be understood, or stands where none may.
    """
    found = []
    for key, value in _options(table):
        where = f"recipe {table.name!r}: {key}"
        if is_range(value):
            if key.endswith(".name"):
                raise place.error("a name is no option", where, next_step="write a recipe of each")
            found.append(_read(place, key, value[MARK], where))
        elif _hidden(value):
            raise place.error("a range stands in place of a whole option", where, valid=_LIKE)
    return filled(table, {each.place: ends(each)[0] for each in found}), tuple(found)


def filled(table: RecipeTable, values: Mapping[str, Any]) -> RecipeTable:
    """The table with these values at their places."""
    steps = [dict(step) for step in table.steps]
    runtime = dict(table.runtime) if isinstance(table.runtime, dict) else table.runtime
    workload = dict(table.workload) if isinstance(table.workload, dict) else table.workload
    parts: dict[str, Any] = {"runtime": runtime, "workload": workload}
    parts |= {f"steps[{index}]": step for index, step in enumerate(steps)}
    for key, value in values.items():
        part, _, option = key.partition(".")
        parts[part][option] = value
    return table.model_copy(update={"steps": steps, "runtime": runtime, "workload": workload})


def is_range(value: Any) -> bool:
    """Whether a range stands there, well written or not."""
    return isinstance(value, dict) and value.keys() == {MARK}


def ends(span: Range) -> list[Any]:
    """Values that tell whether an option takes a range: its ends and one between, or all."""
    if span.choices:
        return list(span.choices)
    if _whole(span):
        return [span.low, span.high]
    between = float(span.low) + (span.step or (float(span.high) - float(span.low)) * 0.382)
    return [span.low, exact(span, between), span.high]


def exact(span: Range, value: float) -> int | float:
    """A number of the range as a person would write it: on its grid, or of six digits.

    Its own result gives the same again.
    """
    if span.step is not None:
        low, step = Decimal(str(span.low)), Decimal(str(span.step))
        count = round((Decimal(str(value)) - low) / step)
        number = low + count * step
        return int(number) if _whole(span) else float(number)
    if _whole(span):
        return round(value)
    if value in {span.low, span.high}:  # an end is as it was written
        return float(value)
    return min(max(float(f"{value:.6g}"), float(span.low)), float(span.high))


def count(ranges: Sequence[Range]) -> int | None:
    """How many different sets of values there are; None: no end of them."""
    total = 1
    for each in ranges:
        if each.choices:
            total *= len(each.choices)
        elif each.step is not None or _whole(each):
            between = Decimal(str(each.high)) - Decimal(str(each.low))
            total *= int(between / Decimal(str(each.step or 1))) + 1
        else:
            return None
    return total


def read_search(
    place: Place,
    table: RecipeTable,
    ranges: tuple[Range, ...],
    recipe: Recipe,
    metrics: Mapping[str, Metric],
    told: Collection[str],
) -> SearchSpec | None:
    """How values are looked for, None for a recipe without ranges; `told` are the names of those of
    `metrics` that are measured of the recipe.

    Raises:
        RecipeError: one of `search` and ranges stands there without the other, or there is nothing
            that a search could be held to.
    """
    where = f"recipe {table.name!r}: search"
    if table.search is None and not ranges:
        return None
    if table.search is None:
        raise place.error(
            f"{ranges[0].place} is a range, and nothing says how long to search",
            where,
            valid='{ trials = 20, seconds = "10 min" }',
        )
    if not ranges:
        raise place.error(
            "there is nothing to search: no option is a range", where, valid=f"an option = {_LIKE}"
        )
    if recipe.is_reference:
        raise place.error(
            "a reference is what others are compared with: its values are not searched",
            where,
            next_step="put the ranges into a recipe that continues it (from)",
        )
    held = [
        budget.metric
        for budget in recipe.budgets
        if metrics[budget.metric].rule is Rule.IMAGES
        and any(limit.kind is not LimitKind.REGRESSION for limit in budget.limits)
    ]
    if not held:
        scores = ", ".join(name for name, each in metrics.items() if each.rule is Rule.IMAGES)
        raise place.error(
            "no budget holds its accuracy, and the fastest of all would be one that sees nothing",
            f"recipe {table.name!r}: budgets",
            valid=f"min or drop of one of {scores}",
        )
    seconds = None
    if table.search.seconds is not None:
        try:
            seconds = parse(table.search.seconds, Unit.SECONDS)
        except PerfgateError as error:
            raise place.error(error.problem, f"{where}.seconds", valid=error.valid) from None
        if seconds <= 0:
            raise place.error(f"{table.search.seconds!r} is no time", f"{where}.seconds")
    goal = _goal(place, table.search.metric, recipe, metrics, told, f"{where}.metric")
    return SearchSpec(ranges, table.search.trials, goal, seconds, table.search.seed)


def _goal(
    place: Place,
    asked: str | None,
    recipe: Recipe,
    metrics: Mapping[str, Metric],
    told: Collection[str],
    where: str,
) -> str:
    """The metric that a search is for."""
    known = [
        name
        for name, each in metrics.items()
        if name in told
        and each.rule is Rule.LAUNCHES
        and each.unit in {Unit.SECONDS, Unit.IMAGES_PER_SECOND}
    ]
    workload = registry.find(registry.WORKLOADS, recipe.workload.name)
    name = asked or workload.goal
    if name not in known:
        raise place.error(
            f"{name!r} is no time or rate that is measured of it",
            where,
            valid=suggestion(name, known),
        )
    return name


def _options(table: RecipeTable) -> Iterator[tuple[str, Any]]:
    for index, step in enumerate(table.steps):
        for key, value in step.items():
            yield f"steps[{index}].{key}", value
    for part in ("runtime", "workload"):
        written = getattr(table, part)
        if isinstance(written, dict):
            for key, value in written.items():
                yield f"{part}.{key}", value


def _hidden(value: Any) -> bool:
    """Whether a range stands somewhere inside."""
    inside = value.values() if isinstance(value, dict) else value
    if not isinstance(value, (dict, list)):
        return False
    return any(
        (is_range(each) and isinstance(each[MARK], dict)) or _hidden(each) for each in inside
    )


def _read(place: Place, key: str, raw: Any, where: str) -> Range:
    if isinstance(raw, dict) and "choices" in raw:
        choices = place.validate(ChoicesTable, raw, where).choices
        if len({json.dumps(each, sort_keys=True, default=str) for each in choices}) < len(choices):
            raise place.error("the same choice stands there twice", f"{where}.choices")
        if any(_hidden([each]) for each in choices):
            raise place.error("a choice cannot be a range itself", f"{where}.choices")
        return Range(key, choices=tuple(choices))
    numbers = place.validate(NumbersTable, raw, where)
    span = Range(key, numbers.low, numbers.high, numbers.step, numbers.log)
    if not span.low < span.high:
        raise place.error(f"low {span.low} is not below high {span.high}", where)
    if span.log and span.low <= 0:
        raise place.error(f"low {span.low}: orders of magnitude begin above zero", where)
    if span.log and span.step is not None:
        raise place.error("log has no steps of one size", where, next_step="leave one of them out")
    if span.step is not None:
        between = Decimal(str(span.high)) - Decimal(str(span.low))
        if between % Decimal(str(span.step)):
            raise place.error(
                f"high {span.high} is no whole number of steps of {span.step} above low {span.low}",
                where,
            )
    return span


def _whole(span: Range) -> bool:
    return all(isinstance(each, int) for each in (span.low, span.high, span.step or 1))
