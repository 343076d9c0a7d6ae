"""Which steps of a recipe give the same artifact on every machine."""

from __future__ import annotations

from itertools import takewhile

from pytest_perfgate import registry
from pytest_perfgate.records.recipe import Recipe, StepSpec


def portable_steps(recipe: Recipe) -> int:
    """How many steps of a chain, from its begin, give an artifact that runs anywhere. What follows
    the first that does not is built on the machine that measures.
    """
    return sum(1 for _ in takewhile(_is_portable, recipe.chain))


def _is_portable(spec: StepSpec) -> bool:
    step = registry.find(registry.STEPS, spec.name)
    portable: bool = step.is_portable(step.Options.model_validate(dict(spec.options)))
    return portable
