"""Compares a runtime's outputs for an ONNX file with ONNX Runtime's, before anything is measured.

Runtimes differ where no score of a small data set shows it: an operator that is fused wrongly gives
other numbers on some images only.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, Artifact
from pytest_perfgate.building.artifact_handle import ArtifactHandle
from pytest_perfgate.building.suite_data import VALIDATION, SuiteData
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.records.recipe import Recipe
from pytest_perfgate.runtimes import InferenceSession, OpenContext, Runtime
from pytest_perfgate.steps.onnx_comparison import Comparison, Widest
from pytest_perfgate.steps.onnx_parts import Operator
from pytest_perfgate.steps.output_check import NOTHING_IN_COMMON, short

FACT = "difference_to_onnxruntime"
"""The fact of a session that holds the largest difference."""

_FINE, _COARSE = 1e-3, 0.1
"""Differences that are rounding. Of float32 in another order of additions, relative to an output's
largest value. Of 8 and 16 bits, where some values are off by one code, the root mean square
relative to the output's own; beyond it, each operator is judged: `Comparison.wrong_operator`."""

_IMAGES = 4


def check_runtime(
    recipe: Recipe,
    artifact: ArtifactHandle,
    session: InferenceSession,
    context: OpenContext,
    data: SuiteData,
) -> float | None:
    """The largest difference of a session's outputs to ONNX Runtime's, over some images and extreme
    inputs; None for a runtime that is ONNX Runtime and for a file of another kind.

    Args:
        recipe: whose runtime is checked; its `runtime_tolerance` stands in for the usual one.
        artifact: the file that `session` runs.
        session: of that runtime.
        context: the terms of `session`, for others of parts of the file.
        data: of the suite.

    Raises:
        RuntimeFault: it is larger than the tolerance; names the operator and what to set.
        MissingPackage: ONNX Runtime is not installed.
    """
    runtime: Runtime = registry.find(registry.RUNTIMES, recipe.runtime.name)
    if artifact.kind != ONNX or artifact.path is None or runtime.computes_as_onnxruntime:
        return None
    registry.require(_NEEDED, f"the comparison of {runtime.name} with ONNX Runtime")
    options = runtime.Options.model_validate(dict(recipe.runtime.options))
    comparison = Comparison(
        artifact.path,
        _images(data),
        context.threads,
        in_16_bits=runtime.computes_in_16_bits(options),
    )
    tolerance = recipe.runtime_tolerance
    if tolerance is None:
        tolerance = _COARSE if comparison.is_coarse else _FINE

    def opened(path: Path, options: Any = options) -> InferenceSession:
        return runtime.open(Artifact(ONNX, path=path), options, context)

    widest = comparison.widest(opened, session)
    if widest.difference <= tolerance:
        return short(widest.difference)
    if comparison.is_coarse:
        operator, every = comparison.wrong_operator(widest, opened)
        rounding = every and operator is None and widest.difference < NOTHING_IN_COMMON
        if rounding and recipe.runtime_tolerance is None:
            return short(widest.difference)
    else:
        operator = comparison.parting(widest, opened, tolerance)
    next_step = _settings(runtime, options, comparison, opened, tolerance)
    if not next_step:
        next_step = runtime.advice(
            operator.kind if operator else "", operator.codes if operator else ""
        )
    raise _fault(recipe, widest, tolerance, operator, next_step)


_NEEDED = (
    registry.from_extra("onnx", "onnx"),
    registry.from_extra("onnxruntime", "onnx"),
)


def _images(data: SuiteData) -> Any:
    """Some validation images, then the darkest and the brightest image there can be."""
    images = data.example(_IMAGES)
    shape = np.array(data.images(VALIDATION, [0])[0]).shape
    ends = [np.full(shape, value, np.uint8) for value in (0, 255)]
    return np.concatenate([images, data.pipeline.preprocess(ends)[0]])


def _settings(
    runtime: Runtime, options: Any, comparison: Comparison, opened: Any, tolerance: float
) -> str:
    """Other options of the runtime with which outputs agree, "" for none."""
    for text, others in runtime.alternatives(options).items():
        try:
            apart = comparison.widest(partial(opened, options=others)).difference
        except Exception:  # noqa: BLE001, S112 - what does not open or run is no alternative
            continue
        if apart <= tolerance:
            return f"set {text}: then outputs differ by {short(apart)}"
    return ""


def _fault(
    recipe: Recipe, widest: Widest, tolerance: float, operator: Operator | None, next_step: str
) -> RuntimeFault:
    place = (
        f"the first operator that differs is {operator}"
        if operator
        else ("no part of the graph differs by itself")
    )
    return RuntimeFault(
        f"{recipe.runtime.name} computes something else than ONNX Runtime: output "
        f"{widest.output!r} differs by {short(widest.difference)} of its largest value on "
        f"{widest.probe}; {place}",
        where=f"recipe {recipe.name!r}: runtime",
        valid=f"a difference of {tolerance:g}; runtime_tolerance of the recipe is another",
        next_step=next_step or 'set runtime = "onnxruntime"',
    )
