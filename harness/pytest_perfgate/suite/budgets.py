"""Budgets as a suite file has them: which limits fit which metric, and their values read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pytest_perfgate.errors import PerfgateError, suggestion
from pytest_perfgate.machine.fingerprint import FEATURES
from pytest_perfgate.metric import PARITY, Better, Metric, Over, Scope
from pytest_perfgate.records.calibration import ECE
from pytest_perfgate.records.recipe import Budget, Condition, Limit, LimitKind
from pytest_perfgate.records.score_ranges import range_of
from pytest_perfgate.suite.scopes import budget_name
from pytest_perfgate.suite.tables import BudgetTable, Place, Quantity, RegressionTable, WhenTable
from pytest_perfgate.units import Unit, parse


def allowed_limits(metric: Metric) -> tuple[LimitKind, ...]:
    """The limits that make sense for a metric."""
    lower = metric.better is Better.LOWER
    allowed = [LimitKind.MAX if lower else LimitKind.MIN]
    if metric.name == PARITY:  # its inputs are looked for with the limit in mind
        return tuple(allowed)
    if metric.alone:  # a ratio of two of them would prove nothing
        return tuple(allowed)
    # Recipes differ in the work behind a value, or a value is a comparison with the reference.
    if metric.incomparable_across_recipes or metric.against_reference:
        return (*allowed, LimitKind.REGRESSION)
    if not metric.relative:
        allowed.append(LimitKind.DROP)
    if metric.by_class and metric.over in {None, Over.SET}:
        allowed += [LimitKind.CLASS_MAX if lower else LimitKind.CLASS_MIN, LimitKind.CLASS_DROP]
    if metric.unit in {Unit.SECONDS, Unit.IMAGES_PER_SECOND}:
        allowed.append(LimitKind.SPEEDUP)
    if metric.relative and lower:
        allowed.append(LimitKind.GROWTH)
    return tuple(allowed) if _is_unstored(metric) else (*allowed, LimitKind.REGRESSION)


def _is_unstored(metric: Metric) -> bool:
    """Whether no baseline tells its value: it is of scores on a slice, and what is stored for
    slices is the order of detections.
    """
    return metric.score_name == ECE and metric.over is Over.SLICES


def read_budgets(
    place: Place,
    tables: Mapping[str, BudgetTable],
    where: str,
    metrics: Mapping[str, Metric],
    scopes: Sequence[Scope],
    is_reference: bool,
) -> tuple[Budget, ...]:
    """The budgets of a recipe, in the file's order; each of a metric of its own.

    Raises:
        RecipeError: a key or limit is wrong, or two budgets are on one metric.
    """
    budgets: dict[str, Budget] = {}
    for written, table in tables.items():
        key = f"{where}.{written}"
        name = budget_name(place, written, table.on, key, metrics, scopes)
        if name in budgets:
            raise place.error(f"two budgets are on {name}", key, next_step="join their limits")
        budgets[name] = read_budget(place, name, table, key, metrics, is_reference)
    return tuple(budgets.values())


def read_budget(
    place: Place,
    name: str,
    table: BudgetTable,
    where: str,
    metrics: Mapping[str, Metric],
    is_reference: bool,
) -> Budget:
    """The budget on one metric.

    Raises:
        RecipeError: the metric is unknown, or a limit makes no sense for it.
    """
    metric = metrics.get(name)
    if metric is None:
        raise place.error(
            f"there is no metric {name!r} in this task", where, valid=suggestion(name, metrics)
        )
    if metric.against_reference and is_reference:
        raise place.error(
            f"{name} compares with the reference, and this recipe is the reference",
            where,
            valid=f'{name} of a recipe that has from = "…"',
        )
    limits = []
    for kind in LimitKind:
        written = _written(table, kind)
        if isinstance(written, RegressionTable):
            sides = [
                _limit(place, kind, limit, metric, f"{where}.{kind.value}.{side}", is_reference)
                for side, limit in (("base", written.base), ("stored", written.stored))
            ]
            limits.append(replace(sides[0], stored=sides[1]))
        elif written is not None:
            limits.append(
                _limit(place, kind, written, metric, f"{where}.{kind.value}", is_reference)
            )
    if not limits:
        raise place.error(
            "the budget has no limit",
            where,
            valid=", ".join(kind.value for kind in allowed_limits(metric)),
        )
    return Budget(name, tuple(limits), _when(place, table.when, f"{where}.when"))


def _written(table: BudgetTable, kind: LimitKind) -> Quantity | RegressionTable | None:
    """What stands under the key of a limit, "per_class.drop" for one in a table."""
    outer, _, inner = kind.value.partition(".")
    value = getattr(table, outer)
    if inner and value is not None:
        value = getattr(value, inner)
    return value  # type: ignore[no-any-return] # the fields of both tables are such


def _limit(
    place: Place,
    kind: LimitKind,
    written: Quantity,
    metric: Metric,
    where: str,
    is_reference: bool,
) -> Limit:
    _check_kind(place, kind, metric, where, is_reference)
    return Limit(kind, _value(place, kind, written, metric, where), str(written))


_AGAINST_REFERENCE = {
    LimitKind.DROP,
    LimitKind.SPEEDUP,
    LimitKind.GROWTH,
    LimitKind.CLASS_DROP,
}


def _check_kind(
    place: Place, kind: LimitKind, metric: Metric, where: str, is_reference: bool
) -> None:
    """Check that the metric can be held to this kind of limit, in this recipe."""
    allowed = allowed_limits(metric)
    if kind not in allowed:
        if metric.alone:
            why = "this metric is never compared"
        elif kind is LimitKind.REGRESSION and _is_unstored(metric):
            why = "baselines do not store it by slice"
        elif metric.incomparable_across_recipes:
            why = "the reference may do other work"
        elif kind in {LimitKind.CLASS_MAX, LimitKind.CLASS_MIN, LimitKind.CLASS_DROP}:
            why = "its classes are not compared"
        else:
            why = f"{metric.better.value} is better"
        raise place.error(
            f"{kind.value} does not fit {metric.name} ({why})",
            where,
            valid=", ".join(limit.value for limit in allowed),
        )
    if is_reference and kind in _AGAINST_REFERENCE:
        raise place.error(
            f"{kind.value} compares with the reference, and this recipe is the reference",
            where,
            valid=", ".join(limit.value for limit in allowed if limit not in _AGAINST_REFERENCE),
        )


def _value(place: Place, kind: LimitKind, written: Quantity, metric: Metric, where: str) -> float:
    """The limit in the metric's base unit, or as a plain ratio."""
    relative = kind is LimitKind.GROWTH or (kind is LimitKind.REGRESSION and metric.relative)
    unit = Unit.RATIO if kind is LimitKind.SPEEDUP or relative else metric.unit
    percent = isinstance(written, str) and written.rstrip().endswith("%")
    if relative and not percent:
        raise place.error(f"{written!r} is not a percentage", where, valid='"5%"')
    if kind is LimitKind.SPEEDUP and percent:
        raise place.error(f"{written!r} is a percentage; speedup is a factor", where, valid="1.5")
    try:
        value = parse(written, unit)
    except PerfgateError as error:
        raise place.error(error.problem, where, valid=error.valid) from None
    if metric.unit is Unit.SCORE and unit is Unit.SCORE and value > 1:
        raise place.error(f"{written!r}: {metric.name} is in [0, 1]", where, valid="0 to 1")
    floor = -1.0 if kind is LimitKind.GROWTH else 0.0
    if value < floor or (value <= floor and kind in {LimitKind.SPEEDUP, LimitKind.GROWTH}):
        least = "above -100%" if kind is LimitKind.GROWTH else "0 or more"
        raise place.error(
            f"{written!r} is too small for {kind.value}",
            where,
            valid="above 0" if kind is LimitKind.SPEEDUP else least,
        )
    _check_breakable(place, kind, value, written, metric, where)
    return value


def _check_breakable(
    place: Place, kind: LimitKind, value: float, written: Quantity, metric: Metric, where: str
) -> None:
    """Check that some value of the metric breaks the limit: one that none breaks is green for ever,
    whatever becomes of the recipe.
    """
    least, most = range_of(metric.score_name) if metric.unit is Unit.SCORE else (0.0, math.inf)
    if kind in {LimitKind.MIN, LimitKind.CLASS_MIN}:
        unbroken, valid = value <= least, f"above {least:g}"
    elif kind in {LimitKind.MAX, LimitKind.CLASS_MAX}:
        unbroken, valid = value >= most, f"below {most:g}"
    elif metric.relative:  # nothing falls by more than all of it
        rate = metric.better is Better.HIGHER and kind is LimitKind.REGRESSION
        unbroken, valid = rate and value >= 1, "below 100%"
    else:  # as the difference of two scores
        unbroken = metric.unit is Unit.SCORE and value >= most - least
        valid = f"below {most - least:g}"
    if unbroken:
        raise place.error(
            f"{written!r}: no value of {metric.name} breaks such a limit", where, valid=valid
        )


def _when(place: Place, table: WhenTable | None, where: str) -> Condition | None:
    if table is None:
        return None
    try:
        memory = parse(table.memory, Unit.BYTES) if table.memory else 0.0
    except PerfgateError as error:
        raise place.error(error.problem, f"{where}.memory", valid=error.valid) from None
    cpu = table.cpu.casefold()  # as Linux writes it
    if cpu and cpu not in FEATURES:  # the budget would be skipped on every machine
        raise place.error(
            f"{table.cpu!r} is no CPU feature", f"{where}.cpu", valid=suggestion(cpu, FEATURES)
        )
    return Condition(cpu=cpu, gpu=table.gpu, cores=table.cores, memory=memory)
