"""A session's record as rows of the history: one per recipe and metric, plain data."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pytest_perfgate.metric import Metric, Rule
from pytest_perfgate.records.launch_values import launch_values
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.recipe_spec import spec_digest
from pytest_perfgate.records.session import SessionRecord, SuiteRecord
from pytest_perfgate.records.verdict import LimitResult, MetricSummary
from pytest_perfgate.records.yardsticks import yardstick_values
from pytest_perfgate.runtimes import on_device
from pytest_perfgate.stats.sequential import fixed_bounds
from pytest_perfgate.units import Unit
from pytest_perfgate.verdicts.limit_bounds import log_ratios

COLUMNS: Mapping[str, str] = {
    # the session
    "session": "VARCHAR",
    "machine": "VARCHAR",
    "started": "TIMESTAMP",
    "seconds": "DOUBLE",
    "commit": "VARCHAR",
    "dirty": "BOOLEAN",
    "complete": "BOOLEAN",
    "command": "VARCHAR",
    "fingerprint": "VARCHAR",
    "environment": "VARCHAR",
    # the suite
    "suite": "VARCHAR",
    "phases": "MAP(VARCHAR, DOUBLE)",
    "launches": "INTEGER",
    # the recipe
    "recipe": "VARCHAR",
    "reference": "VARCHAR",
    "spec": "VARCHAR",
    "failure": "VARCHAR",
    "inputs": "VARCHAR",
    # the metric
    "metric": "VARCHAR",
    "unit": "VARCHAR",
    "better": "VARCHAR",
    "rule": "VARCHAR",
    "relative": "BOOLEAN",
    "value": "DOUBLE",
    "low": "DOUBLE",
    "high": "DOUBLE",
    "through": "VARCHAR",
    "compared": "DOUBLE",
    "compared_low": "DOUBLE",
    "compared_high": "DOUBLE",
    "sample": "INTEGER",
    "samples": "INTEGER",
    # its budget
    "status": "VARCHAR",
    "reason": "VARCHAR",
    "limits": "STRUCT(kind VARCHAR, text VARCHAR, status VARCHAR, scale VARCHAR, "
    '"limit" DOUBLE, estimate DOUBLE, low DOUBLE, high DOUBLE, kept DOUBLE)[]',
}
"""Column to DuckDB type. Every row repeats its session, which Parquet stores once; a session that
measured nothing is one row without a suite. What was not measured is NULL, never zero.

`compared` is what nights are compared by: times and rates of a recipe over its reference's in the
same launches, those of a reference over the yardstick's, everything else as it is. `through` says
by which: the reference's name, "yardstick", or "". `inputs` is JSON, in the first row of a recipe:
what it rests on (`RecipeInputs` and `SuiteInputs`), or where it was measured (`Unaffected`).
"""

YARDSTICK = "the yardstick"
_SHOWN = 0.05  # of the intervals: those of the page


def of_session(session: SessionRecord, metrics: Mapping[str, Metric]) -> Iterator[dict[str, Any]]:
    """The rows of a session; `metrics` are those of its suites' tasks."""
    when = datetime.fromisoformat(session.started).astimezone(UTC)
    head = {
        "session": session.id,
        "machine": session.machine.id,
        "started": when.replace(tzinfo=None).isoformat(sep=" "),
        "seconds": session.seconds,
        "commit": session.commit,
        "dirty": session.dirty,
        "complete": session.complete,
        "command": session.command,
        "fingerprint": _text(session.machine.model_dump(mode="json")),
        "environment": _text(session.environment.model_dump(mode="json")),
    }
    empty = True
    for suite in session.suites:
        for row in _of_suite(suite, metrics):
            empty = False
            yield head | row
    if empty:
        yield head


def _of_suite(suite: SuiteRecord, metrics: Mapping[str, Metric]) -> Iterator[dict[str, Any]]:
    told: set[str] = set()
    for row in _rows(suite, metrics):
        if row["recipe"] not in told:
            told.add(row["recipe"])
            row["inputs"] = _inputs(suite, row["recipe"])
        yield row


def _inputs(suite: SuiteRecord, recipe: str) -> str | None:
    """What a recipe rests on, or where it was measured; None: neither is known."""
    for unaffected in suite.unaffected:
        if unaffected.recipe == recipe:
            return _text({"unaffected": unaffected.model_dump(mode="json")})
    for record in suite.recipes:
        if record.name == recipe and record.inputs is not None and suite.inputs is not None:
            parts = {"suite": suite.inputs, "recipe": record.inputs}
            return _text({name: part.model_dump(mode="json") for name, part in parts.items()})
    return None


def _rows(suite: SuiteRecord, metrics: Mapping[str, Metric]) -> Iterator[dict[str, Any]]:
    head = {"suite": suite.title, "phases": suite.phases, "launches": len(suite.yardstick)}
    verdicts = {(verdict.recipe, verdict.metric): verdict for verdict in suite.verdicts}
    counted = {recipe.name: recipe.without(suite.discarded) for recipe in suite.recipes}
    for name, record in counted.items():
        recipe = head | {
            "recipe": name,
            "reference": record.reference,
            "spec": spec_digest(record),
            "failure": record.failure.problem if record.failure else None,
        }
        for summary in suite.summaries.get(name, ()):
            metric = metrics.get(summary.metric)
            if metric is None:
                continue
            row = recipe | _measured(summary, metric, suite, record, counted)
            yield row | _judged(verdicts.pop((name, metric.name), None))
    # Budgets of what was not measured: errors, what could not be read, what is unaffected.
    references = {one.recipe: one.reference for one in suite.unaffected}
    for (name, declared), verdict in verdicts.items():
        metric = metrics.get(declared)
        record = counted.get(name) or RecipeRecord(name=name, reference=references.get(name, ""))
        yield (
            head
            | {
                "recipe": name,
                "reference": record.reference,
                "spec": spec_digest(record),
                "failure": record.failure.problem if record.failure else None,
                "metric": declared,
                "unit": verdict.unit,
                "better": metric.better.value if metric else None,
                "rule": metric.rule.value if metric else None,
                "relative": metric.relative if metric else None,
            }
            | _judged(verdict)
        )


def _measured(
    summary: MetricSummary,
    metric: Metric,
    suite: SuiteRecord,
    record: RecipeRecord,
    counted: Mapping[str, RecipeRecord],
) -> dict[str, Any]:
    through, logs = _comparable(metric, suite, record, counted)
    compared: tuple[float | None, float | None, float | None]
    compared = (summary.value, summary.low, summary.high)
    if through:
        compared = _interval(logs)
    sample: int | None = None
    if metric.rule is Rule.LAUNCHES:
        sample = len(launch_values(record, metric))
    elif metric.rule is Rule.IMAGES and record.accuracy:
        own = record.accuracy.on(metric.of_set)
        sample = own.images if own else None
    return {
        "metric": metric.name,
        "unit": metric.unit.value,
        "better": metric.better.value,
        "rule": metric.rule.value,
        "relative": metric.relative,
        "value": summary.value,
        "low": summary.low,
        "high": summary.high,
        "through": through,
        "compared": compared[0],
        "compared_low": compared[1],
        "compared_high": compared[2],
        "sample": sample,
        "samples": sum(len(launch.inference) for launch in record.launches) or None,
    }


def _comparable(
    metric: Metric,
    suite: SuiteRecord,
    record: RecipeRecord,
    counted: Mapping[str, RecipeRecord],
) -> tuple[str, list[float]]:
    """Through what a metric is compared across nights, and its logs, one per launch."""
    rate = metric.unit is Unit.IMAGES_PER_SECOND
    if metric.rule is not Rule.LAUNCHES or not (rate or metric.unit is Unit.SECONDS):
        return "", []
    reference = counted.get(record.reference)
    if record.reference != record.name and reference is not None:
        logs = log_ratios(metric, record, reference)
        if logs:
            return record.reference, logs
    if on_device(record.runtime_facts):
        return "", []  # the yardstick is work of the cores
    yard = yardstick_values(suite.yardstick)
    values = {
        index: value
        for index, value in launch_values(record, metric).items()
        if index in yard and value > 0
    }
    sign = -1 if rate else 1
    ratios = [math.log(value) - sign * math.log(yard[index]) for index, value in values.items()]
    return (YARDSTICK, ratios) if ratios else ("", [])


def _interval(logs: list[float]) -> tuple[float, float | None, float | None]:
    if len(logs) < 2:
        return math.exp(logs[0]), None, None
    middle, low, high = fixed_bounds(logs, _SHOWN / 2)
    return math.exp(middle), math.exp(low), math.exp(high)


def _judged(verdict: Any) -> dict[str, Any]:
    if verdict is None:
        return {"limits": []}
    return {
        "status": verdict.status.value,
        "reason": verdict.reason,
        "limits": [_limit(limit) for limit in verdict.limits],
    }


def _limit(limit: LimitResult) -> dict[str, Any]:
    return {
        "kind": limit.kind,
        "text": limit.text,
        "status": limit.status.value,
        "scale": limit.scale,
        "limit": limit.limit,
        "estimate": limit.estimate,
        "low": limit.low,
        "high": limit.high,
        "kept": limit.kept,
    }


def _text(data: Any) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"))
