"""Modules that a worker imports before the time of an arm begins."""

from __future__ import annotations

from pytest_perfgate import registry
from pytest_perfgate.artifact import TORCH
from pytest_perfgate.records.recipe import Recipe, Suite
from pytest_perfgate.sources.naming import source_of
from pytest_perfgate.steps import Step


def preloads(suite: Suite, recipe: Recipe) -> tuple[str, ...]:
    """Those of the recipe's runtime and workload, and, where the model itself runs, of the sources
    that make it.
    """
    runtime = registry.find(registry.RUNTIMES, recipe.runtime.name)
    workload = registry.find(registry.WORKLOADS, recipe.workload.name)
    modules = dict.fromkeys((*runtime.preload, *workload.preload))
    if TORCH in runtime.accepts:
        modules |= dict.fromkeys(source_of(suite.model.name)[0].preload)
        for spec in recipe.chain:
            step: Step = registry.find(registry.STEPS, spec.name)
            for name in step.sources_with(step.Options.model_validate(dict(spec.options))):
                modules |= dict.fromkeys(registry.find(registry.SOURCES, name).preload)
    return tuple(modules)
