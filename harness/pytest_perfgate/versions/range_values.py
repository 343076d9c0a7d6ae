"""The values that a finished search found for a recipe's ranges: every commit gets the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_perfgate.errors import RecipeError
from pytest_perfgate.machine.fingerprint import this_machine
from pytest_perfgate.measure.preparation import Progress
from pytest_perfgate.records.recipe import Recipe, Suite
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.search.run import resolve_ranges
from pytest_perfgate.suite import reading


def values_of(
    suite: Suite, recipe: Recipe, settings: Settings, show: Progress
) -> Mapping[str, Any]:
    """The values by their places; none for a recipe without ranges.

    Raises:
        RecipeError: no search of them has finished.
    """
    if recipe.search is None:
        return {}
    outcome = resolve_ranges(
        reading.read(suite.file, settings.root),
        {recipe.name},
        settings=settings,
        machine=this_machine(),
        show=show,
        say=show,
    )
    failed = outcome.failures.get(recipe.name)
    if failed is not None:
        raise RecipeError(f"{recipe.name}: {failed.problem}", next_step=failed.next_step)
    return outcome.values.get(recipe.name, {})
