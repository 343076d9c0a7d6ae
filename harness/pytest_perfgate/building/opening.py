"""Opens a built artifact in the recipe's runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.building.builder import load
from pytest_perfgate.records.recipe import Recipe, Suite
from pytest_perfgate.runtimes import InferenceSession, OpenContext, Runtime


def open_session(suite: Suite, recipe: Recipe, reference: dict[str, Any]) -> InferenceSession:
    """A session of the recipe's runtime on a built artifact. What the runtime compiled when the
    artifact was evaluated is found again.
    """
    runtime: Runtime = registry.find(registry.RUNTIMES, recipe.runtime.name)
    options = runtime.Options.model_validate(dict(recipe.runtime.options))
    folder = Path(reference["compiled"])
    folder.mkdir(parents=True, exist_ok=True)
    context = OpenContext(threads=suite.threads, folder=folder)
    return runtime.open(load(reference), options, context)
