"""The model that a chain begins with, in a worker: what its source makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.records.recipe import ModelSpec
from pytest_perfgate.registry import resolve
from pytest_perfgate.sources import Fence, Source, SourceContext, SourceModel
from pytest_perfgate.sources.naming import source_of

MODEL = "suite.model"
"""Where a suite file names it."""


def asked_of(model: ModelSpec) -> tuple[Source, str, Any]:
    """The source of a model, what that calls it, and its options."""
    source, name = source_of(model.name)
    return source, name, source.Options.model_validate(dict(model.options))


def make(model: ModelSpec, fence: Fence, where: str, folder: Path) -> SourceModel:
    """A model with its weights; what is wrong with it is said of `where`. A source may write the
    file that it gives into `folder`.
    """
    source, name, options = asked_of(model)
    registry.require(source.requires_with(name, options), f"the model {model}")
    context = SourceContext(fence, lambda path: resolve(path, where), folder)
    try:
        return source.build(name, options, context)
    except PerfgateError as error:
        raise (error if error.where else error.at(where)) from error
