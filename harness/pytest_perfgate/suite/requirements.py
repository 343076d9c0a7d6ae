"""Packages that a recipe needs on this machine, and which of them are missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.metric import PARITY
from pytest_perfgate.records.recipe import Recipe, Suite
from pytest_perfgate.records.recipe_record import Failure
from pytest_perfgate.registry import Requirement
from pytest_perfgate.runtimes import Runtime
from pytest_perfgate.sources.naming import source_of
from pytest_perfgate.steps import Step
from pytest_perfgate.suite.metrics import task_of
from pytest_perfgate.workloads import Workload, placement

GPU = "gpu"
"""The requirement of a budget on a GPU, by whatever runtime."""


def missing_packages(suite: Suite, recipe: Recipe) -> tuple[Requirement, ...]:
    """What must be installed before this recipe can be built and measured here."""
    runtime = registry.find(registry.RUNTIMES, recipe.runtime.name)
    needed: list[Requirement] = [*_required(runtime, recipe.runtime.options)]
    for spec in recipe.chain:
        needed += _required(registry.find(registry.STEPS, spec.name), spec.options)
    workload = registry.find(registry.WORKLOADS, recipe.workload.name)
    needed += _required(workload, recipe.workload.options)
    needed += placement.needs(recipe, suite.threads)
    task = task_of(suite.task)
    needed += task.requires_with(task.Input.model_validate(dict(suite.input)))
    if any(budget.metric == PARITY for budget in recipe.budgets):
        needed.append(registry.from_extra("hypothesis", "parity"))
    if recipe.search is not None:
        needed.append(registry.from_extra("optuna", "search"))
    source, name = source_of(suite.model.name)
    needed += source.requires_with(name, source.Options.model_validate(dict(suite.model.options)))
    return tuple(dict.fromkeys(requirement for requirement in needed if requirement.missing))


def lacking(suite: Suite, recipe: Recipe) -> Failure | None:
    """Why a recipe is skipped on this machine: a package, a driver or a device is missing."""
    missing = missing_packages(suite, recipe)
    if not missing:
        return None
    return Failure(
        stage="build",
        problem=registry.lacks(missing),
        next_step=" && ".join(dict.fromkeys(requirement.install for requirement in missing)),
        missing_package=True,
        missing=tuple(dict.fromkeys(requirement.module for requirement in missing)),
    )


def covers(suite: Suite, recipe: Recipe) -> tuple[str, ...]:
    """Names of all that is measured where a budget of the recipe is."""
    device = (GPU,) if placement.on_gpu(recipe) else ()
    steps = (spec.name for spec in recipe.chain)
    names = (suite.name, recipe.runtime.name, *steps, recipe.workload.name, *device)
    return tuple(dict.fromkeys(names))


def _required(
    piece: Step | Runtime | Workload, options: Mapping[str, Any]
) -> tuple[Requirement, ...]:
    return piece.requires_with(piece.Options.model_validate(dict(options)))
