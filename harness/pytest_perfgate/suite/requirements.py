"""Packages that a recipe needs on this machine, and which of them are missing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.artifact import TORCH
from pytest_perfgate.metric import PARITY
from pytest_perfgate.records.recipe import Recipe, StepSpec, Suite
from pytest_perfgate.records.recipe_record import Failure
from pytest_perfgate.registry import Requirement
from pytest_perfgate.runtimes import Runtime
from pytest_perfgate.sources.naming import source_of
from pytest_perfgate.steps import Step
from pytest_perfgate.suite.metrics import task_of
from pytest_perfgate.suite.portable_steps import portable_steps
from pytest_perfgate.suite.targets_file import FILE as TARGETS
from pytest_perfgate.workloads import Workload, placement

GPU = "gpu"
"""The requirement of a budget on a GPU, by whatever runtime."""


def missing_packages(suite: Suite, recipe: Recipe) -> tuple[Requirement, ...]:
    """What must be installed before this recipe can be built and measured here. Of links that
    another machine has built, nothing but what opens their artifact.
    """
    runtime = registry.find(registry.RUNTIMES, recipe.runtime.name)
    needed: list[Requirement] = [*_required(runtime, recipe.runtime.options)]
    built = recipe.built
    # A module is made again by its source and its steps; folds are built where they are tested.
    if built is None or built.kind == TORCH or recipe.folds is not None:
        needed += _of_source(suite)
        needed += _of_steps(recipe.chain)
    else:
        needed += _of_steps(recipe.chain[built.steps :])
    workload = registry.find(registry.WORKLOADS, recipe.workload.name)
    needed += _required(workload, recipe.workload.options)
    needed += placement.needs(recipe, suite.threads)
    needed += _of_task(suite)
    if any(budget.metric == PARITY for budget in recipe.budgets):
        needed.append(registry.from_extra("hypothesis", "parity"))
    if recipe.search is not None:
        needed.append(registry.from_extra("optuna", "search"))
    return _missing(needed)


def lacking(suite: Suite, recipe: Recipe) -> Failure | None:
    """Why a recipe is skipped on this machine: a package, a driver or a device is missing; or why
    another machine could not build it.
    """
    if recipe.built is not None and recipe.built.failure is not None:
        return recipe.built.failure
    return _failure(missing_packages(suite, recipe))


def lacking_to_build(suite: Suite, recipe: Recipe) -> Failure | None:
    """Why the links of a recipe that run anywhere cannot be built on this machine."""
    portable = recipe.chain[: portable_steps(recipe)]
    failure = _failure(_missing([*_of_source(suite), *_of_steps(portable), *_of_task(suite)]))
    if failure is None:
        return None
    step = f'{failure.next_step}; or let the target build it: build = "there" in {TARGETS}'
    where = f"{failure.problem}, on the host of this session, which builds it for the target"
    return failure.model_copy(update={"problem": where, "next_step": step})


def _missing(needed: Iterable[Requirement]) -> tuple[Requirement, ...]:
    return tuple(dict.fromkeys(requirement for requirement in needed if requirement.missing))


def _failure(missing: Collection[Requirement]) -> Failure | None:
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


def _of_source(suite: Suite) -> tuple[Requirement, ...]:
    source, name = source_of(suite.model.name)
    return source.requires_with(name, source.Options.model_validate(dict(suite.model.options)))


def _of_steps(chain: Iterable[StepSpec]) -> Iterator[Requirement]:
    for spec in chain:
        yield from _required(registry.find(registry.STEPS, spec.name), spec.options)


def _of_task(suite: Suite) -> tuple[Requirement, ...]:
    task = task_of(suite.task)
    return task.requires_with(task.Input.model_validate(dict(suite.input)))


def _required(
    piece: Step | Runtime | Workload, options: Mapping[str, Any]
) -> tuple[Requirement, ...]:
    return piece.requires_with(piece.Options.model_validate(dict(options)))
