"""The JSON schema of `recipes.toml`, for editors: made from what is installed."""

from __future__ import annotations

import itertools
import re
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.artifact import IMPORT_PATH, OptionsModel
from pytest_perfgate.metric import AT, Metric, Rule
from pytest_perfgate.steps import Step
from pytest_perfgate.suite.budgets import allowed_limits
from pytest_perfgate.suite.metrics import metrics_of
from pytest_perfgate.suite.ranges import MARK
from pytest_perfgate.suite.tables import NAME, ChoicesTable, NumbersTable, RecipeTable, SuiteTable

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def suite_schema() -> dict[str, Any]:
    """The schema, with every step, runtime, task and metric that can be found here."""
    suite = SuiteTable.model_json_schema()
    recipe = RecipeTable.model_json_schema(by_alias=True)
    definitions = {**suite.pop("$defs", {}), **recipe.pop("$defs", {})}
    definitions["Range"] = _range()
    tasks = registry.names(registry.TASKS)
    metrics = {task: metrics_of(task) for task in tasks}  # each time all workloads are found
    suite["properties"]["task"]["anyOf"] = [{"enum": list(tasks)}, {"pattern": IMPORT_PATH.pattern}]
    names = ["train", "calibration", "validation", "sets"]
    suite["properties"]["data"]["propertyNames"] = {"enum": names}
    recipe["properties"]["name"]["pattern"] = f"^{NAME.pattern}$"
    recipe["properties"]["steps"]["items"] = {"oneOf": [_step(name) for name in _names()]}
    runtimes = [
        {"enum": list(registry.names(registry.RUNTIMES))},
        *(_runtime(name) for name in registry.names(registry.RUNTIMES)),
    ]
    recipe["properties"]["runtime"] = {
        "description": recipe["properties"]["runtime"]["description"],
        "oneOf": [
            *runtimes,
            {"type": "array", "minItems": 1, "items": {"oneOf": runtimes}},
        ],
    }
    workloads = registry.names(registry.WORKLOADS)
    recipe["properties"]["workload"] = {
        "description": recipe["properties"]["workload"]["description"],
        "anyOf": [{"enum": list(workloads)}, *(_workload(name) for name in workloads)],
    }
    recipe["properties"]["budgets"] = {
        "type": "object",
        "description": "limits by metric",
        "properties": {
            name: _budget([known[name] for known in metrics.values() if name in known])
            for name in dict.fromkeys(itertools.chain.from_iterable(metrics.values()))
        },
        "patternProperties": {
            f"^{re.escape(name)}{AT}{NAME.pattern}$": {"$ref": "#/$defs/BudgetTable"}
            for of_task in metrics.values()
            for name, metric in of_task.items()
            if metric.rule is Rule.IMAGES
        },
        "additionalProperties": False,
    }
    return {
        "$schema": _DIALECT,
        "title": "recipes.toml of pytest-perfgate",
        "type": "object",
        "properties": {
            "suite": suite,
            "recipe": {"type": "array", "minItems": 1, "items": recipe},
        },
        "required": ["suite", "recipe"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def _names() -> tuple[str, ...]:
    return registry.names(registry.STEPS)


def _step(name: str) -> dict[str, Any]:
    step: Step = registry.find(registry.STEPS, name)
    schema = _options_schema(step.Options)
    properties = schema["properties"]
    properties[name] = properties.pop(step.argument)
    required = [option for option in schema.get("required", []) if option != step.argument]
    return {**schema, "title": name, "required": [name, *required]}


def _runtime(name: str) -> dict[str, Any]:
    schema = _options_schema(registry.find(registry.RUNTIMES, name).Options)
    schema["properties"]["name"] = {"const": name}
    return {**schema, "title": name, "required": ["name"]}


def _workload(name: str) -> dict[str, Any]:
    """Its name and options may be the parent's: neither is required."""
    schema = _options_schema(registry.find(registry.WORKLOADS, name).Options)
    schema.pop("required", None)
    schema["properties"] = {**schema.get("properties", {}), "name": {"const": name}}
    return {**schema, "title": name}


def _options_schema(model: type[OptionsModel]) -> dict[str, Any]:
    schema = model.model_json_schema()
    schema.pop("description", None)
    schema["properties"] = {
        name: {
            **{key: option[key] for key in ("description", "default") if key in option},
            "anyOf": [option, {"$ref": "#/$defs/Range"}],
        }
        for name, option in schema.get("properties", {}).items()
    }
    return schema


def _range() -> dict[str, Any]:
    """What may stand in place of any option."""
    kinds = [NumbersTable.model_json_schema(), ChoicesTable.model_json_schema()]
    return {
        "type": "object",
        "description": "a range in place of a value; pytest --perf --perf-search looks for one",
        "properties": {MARK: {"anyOf": kinds}},
        "required": [MARK],
        "additionalProperties": False,
    }


def _budget(metrics: list[Metric]) -> dict[str, Any]:
    """Of the metrics of one name, each of another task: the limits that one of them may have."""
    metric = metrics[0]
    limits = [limit.value.partition(".")[0] for known in metrics for limit in allowed_limits(known)]
    scoped = ("on",) if any(known.rule is Rule.IMAGES for known in metrics) else ()
    keys = (*dict.fromkeys(limits), *scoped)
    return {
        "description": metric.meaning,
        "allOf": [
            {"$ref": "#/$defs/BudgetTable"},
            {
                "propertyNames": {"enum": [*keys, "when"]},
                "minProperties": 1,
            },
        ],
    }
