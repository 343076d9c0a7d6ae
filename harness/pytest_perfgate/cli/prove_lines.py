"""A budget that sees a fault, as a line of a suite file, tried on what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from pytest_perfgate.metric import PARITY, Better, Metric, Rule
from pytest_perfgate.proving.catalogue import MAIN
from pytest_perfgate.records.launch_values import level
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.suite.budgets import allowed_limits
from pytest_perfgate.units import Unit, parse

_DROPS = ("0.05", "0.03", "0.02", "0.01", "0.005", "0.002")
_SHIFTS = ("0.2", "0.1", "0.05", "0.02", "0.01", "0.005")
_AGREEMENTS = ("0.9", "0.95", "0.97", "0.98", "0.99", "0.995")
_GROWTHS = ("50%", "30%", "20%", "15%", "10%", "8%", "5%", "4%", "3%", "2%", "1%")
_OF_NOW = (1.5, 1.3, 1.2, 1.1)
"""Times the clean value, for metrics that are compared with nothing but a limit."""
_PARITIES = ("1", "0.1", "0.05", "0.02", "0.01", "0.001")

Judge = Callable[[Budget], Verdict]
"""The verdict on a budget that the suite does not have, of one arm."""


def line(budget: Budget) -> str:
    """A budget as a line of `[recipe.budgets]`."""
    listed: list[str] = []
    of_classes: list[str] = []
    for limit in budget.limits:
        outer, _, inner = limit.kind.value.partition(".")
        (of_classes if inner else listed).append(f"{inner or outer} = {_value(limit)}")
    if of_classes:
        listed.append(f"per_class = {{ {', '.join(of_classes)} }}")
    if budget.when is not None:
        known = {"cpu": budget.when.cpu, "gpu": budget.when.gpu, "cores": budget.when.cores}
        words = [f"{key} = {_toml(value)}" for key, value in known.items() if value]
        if budget.when.memory:
            words.append(f'memory = "{budget.when.memory / 2**30:g} GiB"')
        listed.append(f"when = {{ {', '.join(words)} }}")
    return f"{budget.metric} = {{ {', '.join(listed)} }}"


def _value(limit: Limit) -> str:
    if limit.stored is None:
        return _written(limit.text)
    return f"{{ base = {_written(limit.text)}, stored = {_written(limit.stored.text)} }}"


def _written(text: str) -> str:
    """A number as it is, any other quantity in quotes."""
    try:
        float(text)
    except ValueError:
        return f'"{text}"'
    return text


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def lines_for(
    wanted: Iterable[str],
    own: Mapping[str, Budget],
    metrics: Mapping[str, Metric],
    clean: RecipeRecord,
    *,
    is_reference: bool,
    fault: Judge,
    unchanged: Judge,
) -> tuple[str, ...]:
    """The first budget that is red with a fault and not without it, by the judging of sessions.

    Args:
        wanted: metrics that can see the fault, the best first.
        own: the recipe's budgets by metric: a new limit joins those that are there.
        metrics: all of the task, by name, its main score first.
        clean: the record of the recipe without the fault.
        is_reference: whether the recipe is one, which is compared with itself at the base.
        fault: judges the arm with the fault.
        unchanged: judges an unchanged copy.

    Returns:
        One line, or none: no limit that was tried sees it.
    """
    for name in wanted:
        metric = next(iter(metrics.values())) if name == MAIN else metrics.get(name)
        if metric is None or (metric.against_reference and is_reference):
            continue
        for limit in _limits(metric, clean, is_reference):
            budget = Budget(metric.name, (limit,))
            if fault(budget).status is Status.FAIL and unchanged(budget).status not in {
                Status.FAIL,
                Status.ERROR,
            }:
                return (line(_merged(own.get(metric.name), budget)),)
        if metric.rule is Rule.LAUNCHES and fault(_any(metric)).status is Status.ERROR:
            return (line(_any(metric)),)  # the metric has no value any more
    return ()


def _any(metric: Metric) -> Budget:
    return Budget(metric.name, (_limit(metric, LimitKind.REGRESSION, "20%"),))


def _merged(own: Budget | None, new: Budget) -> Budget:
    if own is None:
        return new
    kinds = {limit.kind for limit in new.limits}
    kept = tuple(limit for limit in own.limits if limit.kind not in kinds)
    return replace(own, limits=kept + new.limits)


def _limits(metric: Metric, clean: RecipeRecord, is_reference: bool) -> Iterator[Limit]:
    """Limits from wide to narrow."""
    lower, allowed = metric.better is Better.LOWER, allowed_limits(metric)
    texts: tuple[str, ...]
    if metric.name == PARITY:
        texts, kind = _PARITIES, LimitKind.MAX
    elif metric.against_reference:
        texts = _SHIFTS if lower else _AGREEMENTS
        kind = LimitKind.MAX if lower else LimitKind.MIN
    elif metric.alone:
        texts, kind = tuple(_above(metric, clean)), LimitKind.MAX
    elif metric.relative:
        texts, kind = _GROWTHS, LimitKind.REGRESSION
    else:
        texts, kind = _DROPS, LimitKind.DROP
    if kind in allowed and not (is_reference and kind is LimitKind.DROP):
        for text in texts:
            yield _limit(metric, kind, text)
    if kind is LimitKind.DROP:
        # A recipe that scores better than its reference may lose what it has gained.
        for text in texts:
            yield _limit(metric, LimitKind.REGRESSION, text)


def _above(metric: Metric, clean: RecipeRecord) -> Iterator[str]:
    """Values somewhat above the clean one, as quantities with two digits."""
    now = level(clean, metric)
    if now is None:
        return
    for factor in _OF_NOW:
        value = float(f"{abs(now) * factor:.2g}")
        if metric.unit is Unit.SECONDS:
            yield f"{value * 1e3:g} ms"
        elif metric.unit is Unit.BYTES:
            yield f"{max(value, 1e5) / 1e6:g} MB"


def _limit(metric: Metric, kind: LimitKind, text: str) -> Limit:
    unit = Unit.RATIO if metric.relative and kind is LimitKind.REGRESSION else metric.unit
    return Limit(kind, parse(text, unit), text)
