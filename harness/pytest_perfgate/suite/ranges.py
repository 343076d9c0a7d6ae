"""Ranges in place of option values: read from a suite file, checked at their ends, and filled in.

A range stands wherever a step's, the runtime's or the workload's option may stand:
`pruning_ratio = { search = { low = 0.1, high = 0.8 } }`, or `{ search = { choices = [8, 16] } }`.
Within an option that is a table, one may stand for a value: `trainer_options.warmup`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.errors import PerfgateError, suggestion
from pytest_perfgate.metric import Metric, Over, Rule
from pytest_perfgate.records.recipe import LimitKind, Range, Recipe, SearchSpec
from pytest_perfgate.suite.tables import ChoicesTable, NumbersTable, Place, RecipeTable
from pytest_perfgate.units import Unit, parse

MARK = "search"
"""The key that makes a range of a table."""

_MOST_STEPS = 1_000_000

_LIKE = "{ search = { low = 0.1, high = 0.8 } } or { search = { choices = [8, 16] } }"


def taken(place: Place, table: RecipeTable) -> tuple[RecipeTable, tuple[Range, ...]]:
    """The table with the first value of every range in its place, and the ranges.

    Raises:
        RecipeError: a range cannot be understood, or stands where none may.
    """
    spans = []
    for key, value in _options(table):
        where = f"recipe {table.name!r}: {key}"
        if is_range(value) and (key.count(".") == 1 or isinstance(value[MARK], dict)):
            if key.endswith(".name") and key.count(".") == 1:
                raise place.error(
                    "a name cannot be a range", where, next_step="write a recipe of each"
                )
            spans.append(_read(place, key, value[MARK], where))
        elif _hidden(value):
            raise place.error(
                "a range replaces a whole value: no part of a list, nor of a table with dotted "
                "names",
                where,
                valid=_LIKE,
            )
    return filled(table, {span.place: ends(span)[0] for span in spans}), tuple(spans)


def filled(table: RecipeTable, values: Mapping[str, Any]) -> RecipeTable:
    """The table with these values at their places."""
    steps = [dict(step) for step in table.steps]
    runtime = dict(table.runtime) if isinstance(table.runtime, dict) else table.runtime
    workload = dict(table.workload) if isinstance(table.workload, dict) else table.workload
    parts: dict[str, Any] = {"runtime": runtime, "workload": workload}
    parts |= {f"steps[{index}]": step for index, step in enumerate(steps)}
    for key, value in values.items():
        part, *above, option = key.split(".")
        holder = parts[part]
        for name in above:  # a copy of each: the table that was read stays as it is
            holder[name] = dict(holder[name])
            holder = holder[name]
        holder[option] = value
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
    for span in ranges:
        if span.choices:
            total *= len(span.choices)
        elif span.step is not None or _whole(span):
            between = Decimal(str(span.high)) - Decimal(str(span.low))
            total *= int(between / Decimal(str(span.step or 1))) + 1
        else:
            return None
    return total


def read_search(
    place: Place,
    table: RecipeTable,
    ranges: tuple[Range, ...],
    recipe: Recipe,
    metrics: Mapping[str, Metric],
    measured: Collection[str],
) -> SearchSpec | None:
    """How to search for values, None for a recipe without ranges; `measured` names those of
    `metrics` that the recipe's workload measures.

    Raises:
        RecipeError: one of `search` and ranges stands there without the other, or there is nothing
            that a search could be held to.
    """
    where = f"recipe {table.name!r}: search"
    if table.search is None and not ranges:
        return None
    if table.search is None:
        raise place.error(
            f"{ranges[0].place} is a range, but the recipe has no key `search`",
            where,
            valid='{ trials = 20, seconds = "10 min" }',
        )
    if not ranges:
        raise place.error("no ranges, nothing to search", where, valid=f"an option = {_LIKE}")
    if recipe.is_reference:
        raise place.error(
            "a reference cannot have ranges: other recipes are compared with it",
            where,
            next_step="put the ranges into a recipe that is derived from it (from)",
        )
    goal = _goal(place, table.search.metric, recipe, metrics, measured, f"{where}.metric")
    held = [
        budget.metric
        for budget in recipe.budgets
        if metrics[budget.metric].rule is Rule.IMAGES
        and any(limit.kind is not LimitKind.REGRESSION for limit in budget.limits)
    ]
    if not held and metrics[goal].rule is not Rule.IMAGES:
        scores = ", ".join(name for name, metric in metrics.items() if metric.rule is Rule.IMAGES)
        raise place.error(
            "no budget on accuracy: the fastest recipe may be one that detects nothing",
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
            raise place.error(f"{table.search.seconds!r} is not above 0", f"{where}.seconds")
    return SearchSpec(ranges, table.search.trials, goal, seconds, table.search.seed)


def _goal(
    place: Place,
    written: str | None,
    recipe: Recipe,
    metrics: Mapping[str, Metric],
    measured: Collection[str],
    where: str,
) -> str:
    """The metric that a search is for."""
    times = [
        name
        for name, metric in metrics.items()
        if name in measured
        and metric.rule is Rule.LAUNCHES
        and metric.unit in {Unit.SECONDS, Unit.IMAGES_PER_SECOND}
    ]
    # Of the validation images the best of many trials would be chosen by what it is judged on.
    scores = [
        name
        for name, metric in metrics.items()
        if metric.rule is Rule.IMAGES
        and metric.over is Over.SET
        and not metric.against_reference
        and metric.score_name in measured
    ]
    workload = registry.find(registry.WORKLOADS, recipe.workload.name)
    name = written or workload.goal
    if name in times or name in scores:
        return name
    if name in metrics and metrics[name].rule is Rule.IMAGES and not metrics[name].of_set:
        raise place.error(
            f"{name!r} is of the images that the budgets are judged on: the best of many trials "
            "would be best by chance too",
            where,
            valid=", ".join(scores) or f'"{name}@tuning", with a set `tuning` in [suite.data.sets]',
        )
    raise place.error(
        f"{name!r} is not a time or rate of its workload, nor a score of a set",
        where,
        valid=suggestion(name, [*times, *scores]),
    )


def _options(table: RecipeTable) -> Iterator[tuple[str, Any]]:
    """Options with their places; of those that are tables and hold a range, the values inside."""
    tables = {f"steps[{index}]": step for index, step in enumerate(table.steps)}
    tables |= {part: getattr(table, part) for part in ("runtime", "workload")}
    for part, written in tables.items():
        if isinstance(written, dict):
            for key, value in written.items():
                yield from _within(f"{part}.{key}", value)


def _within(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    # A name with a dot has no place of its own: places are parted by dots.
    if isinstance(value, dict) and not is_range(value) and not any("." in key for key in value):
        for key, inner in value.items():
            yield from _within(f"{place}.{key}", inner)
    else:
        yield place, value


def _hidden(value: Any) -> bool:
    """Whether a range stands somewhere inside."""
    inside = value.values() if isinstance(value, dict) else value
    if not isinstance(value, (dict, list)):
        return False
    return any(
        (is_range(part) and isinstance(part[MARK], dict)) or _hidden(part) for part in inside
    )


def _read(place: Place, key: str, raw: Any, where: str) -> Range:
    if isinstance(raw, dict) and "choices" in raw:
        choices = place.validate(ChoicesTable, raw, where).choices
        if len({json.dumps(choice, sort_keys=True, default=str) for choice in choices}) < len(
            choices
        ):
            raise place.error("a choice is listed twice", f"{where}.choices")
        if any(_hidden([choice]) for choice in choices):
            raise place.error("a choice cannot be a range itself", f"{where}.choices")
        return Range(key, choices=tuple(choices))
    numbers = place.validate(NumbersTable, raw, where)
    span = Range(key, numbers.low, numbers.high, numbers.step, numbers.log)
    if not span.low < span.high:
        raise place.error(f"low {span.low} is not below high {span.high}", where)
    if span.log and span.low <= 0:
        raise place.error(f"low {span.low}: a logarithmic range begins above 0", where)
    if span.log and span.step is not None:
        raise place.error(
            "a range has either log or step", where, next_step="leave one of them out"
        )
    if span.step is not None:
        between = Decimal(str(span.high)) - Decimal(str(span.low))
        if between / Decimal(str(span.step)) > _MOST_STEPS:
            raise place.error(f"step {span.step} makes more than {_MOST_STEPS:,} values", where)
        if between % Decimal(str(span.step)):
            raise place.error(
                f"high {span.high} is not a whole number of steps of {span.step} above low "
                f"{span.low}",
                where,
            )
    return span


def _whole(span: Range) -> bool:
    return all(isinstance(number, int) for number in (span.low, span.high, span.step or 1))
