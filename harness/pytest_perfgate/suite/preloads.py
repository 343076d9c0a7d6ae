"""Modules that a worker imports before the time of an arm begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_perfgate import registry
from pytest_perfgate.artifact import TORCH
from pytest_perfgate.records.recipe import Recipe, Suite
from pytest_perfgate.sources.naming import source_of
from pytest_perfgate.steps import Step


def preloads(suite: Suite, recipe: Recipe) -> tuple[str, ...]:
    """Those of the recipe's runtime and workload, what this package has for them and for the task,
    and, where the model itself runs, those of the sources that make it.
    """
    runtime = registry.find(registry.RUNTIMES, recipe.runtime.name)
    workload = registry.find(registry.WORKLOADS, recipe.workload.name)
    task = registry.find(registry.TASKS, suite.task)
    modules = dict.fromkeys((*runtime.preload, *workload.preload, *_own(runtime, workload, task)))
    stages = task.requires_with(task.Input.model_validate(dict(suite.input)))
    modules |= dict.fromkeys(need.module for need in stages if need not in task.requires)
    if TORCH in runtime.accepts:
        modules |= dict.fromkeys(source_of(suite.model.name)[0].preload)
        for spec in recipe.chain:
            step: Step = registry.find(registry.STEPS, spec.name)
            for name in step.sources_with(step.Options.model_validate(dict(spec.options))):
                modules |= dict.fromkeys(registry.find(registry.SOURCES, name).preload)
    return tuple(modules)


def _own(*extensions: object) -> Iterator[str]:
    """Modules of extensions, as far as they are this package's: those of others may import the
    project, which each arm does at its own version of the code.
    """
    package = __name__.partition(".")[0]
    for extension in extensions:
        module = type(extension).__module__
        if module.partition(".")[0] == package:
            yield module


def preloads_of(arms: Iterable[tuple[Suite, Recipe]]) -> tuple[str, ...]:
    """What a launch imports before its arms are forked, for all of them."""
    modules = dict.fromkeys(("numpy", "numpy.random", "pydantic"))
    for suite, recipe in arms:
        modules |= dict.fromkeys(preloads(suite, recipe))
    return tuple(modules)
