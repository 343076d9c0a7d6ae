"""Values of metrics with intervals, for people: nothing here decides."""

from __future__ import annotations

import math

from pytest_perfgate.metric import OVER_FOLDS, Better, Metric, Over, Rule
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.alike import unlike
from pytest_perfgate.records.launch_values import launch_values, level, stretches_of
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.verdict import MetricSummary
from pytest_perfgate.verdicts.evidence import Evidence
from pytest_perfgate.verdicts.log_values import finite

SHOWN = 0.05
"""Intervals that are only shown are 95 % intervals."""


def shown(metric: Metric, record: RecipeRecord) -> tuple[float | None, float | None, float | None]:
    """Value and 95 % interval of one metric of one recipe, for people; None: not measured."""
    value = level(record, metric)
    if value is None or metric.rule in {Rule.EXACT, Rule.ONCE}:
        return value, None, None
    if metric.rule is Rule.IMAGES:
        if record.accuracy is None:
            return value, None, None
        low, high = score_bounds(record.accuracy, metric, SHOWN)
        return (value, None, None) if low == high else (value, finite(low), finite(high))
    from pytest_perfgate.stats.sequential import fixed_bounds

    if metric.rule is Rule.FOLDS:
        score = metric.name.removesuffix(OVER_FOLDS)
        bounds = record.folds.bounds(score, SHOWN / 2) if record.folds else None
        return (value, None, None) if bounds is None else (value, bounds[1], bounds[2])
    stretches = stretches_of(record, metric) if metric.rule is Rule.STRETCHES else None
    if stretches is not None:
        _, low, high = fixed_bounds(stretches[0], SHOWN / 2, least_sd=stretches[1])
        return value, low, high
    values = list(launch_values(record, metric).values())
    if len(values) < 2 or min(values) <= 0:
        return value, None, None
    _, low, high = fixed_bounds([math.log(number) for number in values], SHOWN / 2)
    return value, math.exp(low), math.exp(high)


def score_bounds(accuracy: Accuracy, metric: Metric, alpha: float) -> tuple[float, float]:
    """The interval of a score that an evaluation or one of its sets has, alpha / 2 on each side;
    for the worst set that of the worst score of all.
    """
    from pytest_perfgate.verdicts.accuracy_intervals import accuracy_interval

    worst = metric.over is Over.WORST
    ones = [accuracy, *accuracy.sets.values()] if worst else [accuracy.on(metric.of_set)]
    intervals = [
        accuracy_interval(one, metric.score_name, alpha / len(ones)) for one in ones if one
    ]
    of_all = min if metric.better is Better.HIGHER else max
    return of_all(one.low for one in intervals), of_all(one.high for one in intervals)


def summarise(evidence: Evidence) -> tuple[MetricSummary, ...]:
    """Every metric that was measured of a recipe, with its reference's and baseline's value."""
    summaries = []
    base = evidence.base.record if evidence.base else None
    for metric in evidence.metrics.values():
        value, low, high = shown(metric, evidence.record)
        if value is None:
            continue
        stored = evidence.baseline.metrics.get(metric.name) if evidence.baseline else None
        beside = None if metric.incomparable_across_recipes else evidence.reference
        summaries.append(
            MetricSummary(
                metric=metric.name,
                value=value,
                low=low,
                high=high,
                reference=level(beside, metric) if beside else None,
                baseline=stored.value if stored else None,
                base=_level_of(base, metric, evidence.record) if base else None,
            )
        )
    return tuple(summaries)


def _level_of(base: RecipeRecord, metric: Metric, record: RecipeRecord) -> float | None:
    """The base's value, None where it was not measured like the record's."""
    return None if unlike(metric, record, base) else level(base, metric)
