"""A recipe as plain data, as it stands in a record."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pytest_perfgate.records.recipe import Recipe, WorkloadSpec
from pytest_perfgate.records.recipe_record import RecipeRecord


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


def spec_digest(record: RecipeRecord) -> str:
    """Digest of what a recipe is built from and measured by, not of its budgets."""
    from pytest_perfgate.files import digest_of

    parts = {key: record.spec.get(key) for key in ("chain", "runtime")}
    if "workload" in record.spec:
        parts["workload"] = record.spec["workload"]
    return digest_of(parts)[:16]
