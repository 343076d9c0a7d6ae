"""Faults in a recipe: its chain, the options of its runtime, the data that its suite names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from pytest_perfgate import registry
from pytest_perfgate.proving.catalogue import DoesNotApply, Fault, Place
from pytest_perfgate.proving.data import CALIBRATION
from pytest_perfgate.records.recipe import PlantedFault, Recipe, RuntimeSpec, StepSpec, Suite
from pytest_perfgate.runtimes import Runtime
from pytest_perfgate.sources.naming import source_of
from pytest_perfgate.steps import Step
from pytest_perfgate.steps.output_check import NOTHING_IN_COMMON

IMAGES = "images"
"""The workload whose times the faults are made for."""

_VALIDATION = "validation"
_ON_CPU = "cpu"


def planted(fault: Fault, suite: Suite, recipe: Recipe, size: float) -> tuple[Suite, Recipe]:
    """The suite and the recipe with a fault in them.

    Args:
        fault: of the catalogue.
        suite: whole, with `recipe` among its recipes.
        recipe: that gets the fault.
        size: of the fault, in seconds or bytes.

    Raises:
        DoesNotApply: they cannot have it.
    """
    if fault.timed and recipe.workload.name != IMAGES:
        raise DoesNotApply(f"the recipe's workload is {recipe.workload.name}, not {IMAGES}")
    change = _CHANGES.get(fault.name)
    if change is not None:
        suite, recipe = change(suite, recipe)
    if fault.place is not Place.RECIPE:
        suite = replace(suite, planted=PlantedFault(fault.name, recipe.name, size))
    return replace(suite, recipes={**suite.recipes, recipe.name: recipe}), recipe


def _reads_calibration(suite: Suite, recipe: Recipe) -> tuple[Suite, Recipe]:
    if not any(CALIBRATION in _splits(spec) for spec in recipe.chain):
        raise DoesNotApply("no step of the recipe reads calibration images")
    return suite, recipe


def _splits(spec: StepSpec) -> frozenset[str]:
    step = _step(spec)
    return step.splits_with(step.Options.model_validate(dict(spec.options)))


def _step(spec: StepSpec) -> Step:
    step: Step = registry.find(registry.STEPS, spec.name)
    return step


def _calibrate_on_validation(suite: Suite, recipe: Recipe) -> tuple[Suite, Recipe]:
    suite, recipe = _reads_calibration(suite, recipe)
    return replace(suite, data={**suite.data, CALIBRATION: suite.data[_VALIDATION]}), recipe


def _take_out_a_step(suite: Suite, recipe: Recipe) -> tuple[Suite, Recipe]:
    """Without the last step whose result is of the kind that it takes."""
    kind = source_of(suite.model.name)[0].gives
    kinds = []
    for spec in recipe.chain:
        kinds.append(kind)
        kind = _step(spec).produces
    for index in reversed(range(len(recipe.chain))):
        if _step(recipe.chain[index]).produces == kinds[index]:
            chain = recipe.chain[:index] + recipe.chain[index + 1 :]
            return suite, replace(recipe, chain=chain, own_steps=max(0, recipe.own_steps - 1))
    raise DoesNotApply(
        "no step of the recipe gives the kind of artifact that it takes"
        if recipe.chain
        else "the recipe has no steps"
    )


def _double_threads(suite: Suite, recipe: Recipe) -> tuple[Suite, Recipe]:
    runtime: Runtime = registry.find(registry.RUNTIMES, recipe.runtime.name)
    if "threads" not in runtime.Options.model_fields:
        raise DoesNotApply(f"the runtime {runtime.name} has no option for its threads")
    threads = int(recipe.runtime.options.get("threads") or suite.threads)
    options = {**recipe.runtime.options, "threads": 2 * threads}
    return suite, replace(recipe, runtime=RuntimeSpec(recipe.runtime.name, options))


def _lose_provider(suite: Suite, recipe: Recipe) -> tuple[Suite, Recipe]:
    options = recipe.runtime.options
    for key in ("provider", "device"):
        if str(options.get(key, _ON_CPU)).lower() == _ON_CPU:
            continue
        spelling = str(_default(recipe.runtime.name, key))
        lost = _valid(recipe.runtime.name, {**options, key: spelling}) or {key: spelling}
        return suite, replace(recipe, runtime=RuntimeSpec(recipe.runtime.name, lost))
    raise DoesNotApply("the recipe runs on the CPU, and there is no other provider to lose")


def _default(name: str, key: str) -> Any:
    runtime: Runtime = registry.find(registry.RUNTIMES, name)
    return runtime.Options.model_fields[key].default


def _valid(name: str, options: Mapping[str, Any]) -> Mapping[str, Any] | None:
    runtime: Runtime = registry.find(registry.RUNTIMES, name)
    try:
        runtime.Options.model_validate(dict(options))
    except ValidationError:  # other options need the device
        return None
    return options


def _several_images(suite: Suite, recipe: Recipe) -> tuple[Suite, Recipe]:
    if suite.batch == 1:
        raise DoesNotApply("the suite's batch is one image")
    return suite, recipe


def _unlike_onnxruntime(suite: Suite, recipe: Recipe) -> tuple[Suite, Recipe]:
    """Without the comparison with ONNX Runtime, which would read the weights that are whole."""
    return suite, replace(recipe, runtime_tolerance=NOTHING_IN_COMMON)


_CHANGES: Mapping[str, Callable[[Suite, Recipe], tuple[Suite, Recipe]]] = MappingProxyType(
    {
        "calibration_noise": _reads_calibration,
        "calibration_on_validation": _calibrate_on_validation,
        "step_without_effect": _take_out_a_step,
        "threads_doubled": _double_threads,
        "provider_lost": _lose_provider,
        "frozen_batch": _several_images,
        "older_weights": _unlike_onnxruntime,
    }
)
