"""A recipe as plain data, as it stands in a record."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pytest_perfgate.records.recipe import Recipe, WorkloadSpec


def spec_of(recipe: Recipe) -> dict[str, Any]:
    """A recipe as it was asked for, as plain data."""
    workload = recipe.workload
    named: dict[str, Any] = {} if workload == WorkloadSpec() else {"workload": asdict(workload)}
    if recipe.runtime_tolerance is not None:
        named["runtime_tolerance"] = recipe.runtime_tolerance
    return named | {
        "chain": [{"step": step.name, "options": dict(step.options)} for step in recipe.chain],
        "runtime": {"name": recipe.runtime.name, "options": dict(recipe.runtime.options)},
        "budgets": {
            budget.metric: {limit.kind.value: str(limit) for limit in budget.limits}
            for budget in recipe.budgets
        },
    }
