"""Compares a runtime's outputs for an ONNX file with ONNX Runtime's, before anything is measured.

Runtimes differ where no score of a small data set shows it: an operator that is fused wrongly gives
other numbers on some images only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, Artifact
from pytest_perfgate.building.artifact_handle import ArtifactHandle
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs, joined
from pytest_perfgate.records.recipe import VALIDATION, Recipe
from pytest_perfgate.runtimes import InferenceSession, OpenContext, Runtime
from pytest_perfgate.steps.onnx_comparison import Comparison, Open, Widest
from pytest_perfgate.steps.output_check import NOTHING_IN_COMMON, short
from pytest_perfgate.tasks.stateful import StatefulPipeline

FACT = "difference_to_onnxruntime"
"""The fact of a session that holds the largest difference."""

FINE, COARSE = 1e-3, 0.1
"""Differences that are rounding. Of float32 in another order of additions, relative to an output's
largest value. Of 8 and 16 bits, where some values are off by one code, the root mean square
relative to the output's own; beyond it, each operator is judged: `Comparison.wrong_operator`."""

_IMAGES = 4

_UNSTEADY = (
    "no lower graph_optimization agrees: infer one input twice, its outputs may vary, or set "
    "another provider"
)

_PRODUCTS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}

_FLATTENED, _FLATTENED_BEFORE = {"Softmax", "LogSoftmax", "Hardmax"}, 13
"""Operators that had another meaning before an operator set; findings/softmax-before-opset-13.sh"""


def check_runtime(
    recipe: Recipe,
    artifact: ArtifactHandle,
    session: InferenceSession,
    context: OpenContext,
    data: SuiteData,
) -> float | None:
    """The largest difference of a session's outputs to ONNX Runtime's, over some images and extreme
    inputs; None for a runtime that gives something else than the artifact's outputs, and for a file
    of another kind.

    ONNX Runtime itself is compared with what it computes without optimizing the graph, and None is
    returned where it agrees: some of its rewritings change results. Products of 8-bit codes may
    differ: with the optimizer older CPUs saturate some of them, and the score tells.

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
    tolerance = recipe.runtime_tolerance
    if artifact.kind != ONNX or artifact.path is None:
        return None
    if tolerance == NOTHING_IN_COMMON:  # whatever the outputs are
        return None
    options = runtime.Options.model_validate(dict(recipe.runtime.options))
    if not runtime.computes_artifact(options):
        return None
    itself = runtime.computes_as_onnxruntime
    if itself and not runtime.optimizes_graph(options):
        return None
    registry.require(_NEEDED, f"the comparison of {runtime.name} with ONNX Runtime")

    def opened(path: Path, options: Any = options) -> InferenceSession:
        return runtime.open(Artifact(ONNX, path=path), options, context)

    in_16_bits = runtime.computes_in_16_bits(options)
    comparison, widest = _compared(
        recipe, artifact.path, session, opened, data, context.threads, in_16_bits
    )
    if tolerance is None:
        tolerance = COARSE if comparison.is_coarse else FINE
    other = "ONNX Runtime without graph optimization" if itself else "ONNX Runtime"
    if widest.hides_nan:
        raise hidden_nan(recipe, widest, other)
    if widest.difference <= tolerance:
        return None if itself else short(widest.difference)
    place = "no part of the graph differs by itself"
    if comparison.is_coarse:
        operator, every = comparison.wrong_operator(widest, opened)
        rounding = every and operator is None and widest.difference < NOTHING_IN_COMMON
        saturated = operator is None or operator.kind in _PRODUCTS
        if itself and comparison.parts.is_quantized and saturated:
            return None
        if rounding and recipe.runtime_tolerance is None:
            return None if itself else short(widest.difference)
        if not every:
            place = f"{runtime.name} refuses parts of the graph, so that no operator is named"
    else:
        operator = comparison.parting(widest, opened, tolerance)
    if operator is not None:
        place = f"the first operator that differs is {operator}"

    def apart(others: Any) -> float:
        return comparison.widest(partial(opened, options=others)).difference

    next_step = agreeing_options(runtime, options, apart, tolerance)
    kind = operator.kind if operator else ""
    if kind in _FLATTENED and comparison.parts.opset < _FLATTENED_BEFORE:
        next_step = (
            f"export with opset_version = {_FLATTENED_BEFORE} or later: before it, {kind} takes "
            "all that follows its axis for one row, and runtimes disagree about that"
        )
    if not next_step:
        next_step = runtime.advice(kind, operator.codes if operator else "")
    raise other_result(
        recipe,
        widest,
        other,
        where=place,
        is_coarse=comparison.is_coarse,
        tolerance=tolerance,
        next_step=next_step or (_UNSTEADY if itself else 'set runtime = "onnxruntime"'),
    )


def other_result(
    recipe: Recipe,
    widest: Widest,
    other: str,
    *,
    where: str = "",
    is_coarse: bool,
    tolerance: float,
    next_step: str,
) -> RuntimeFault:
    """What is wrong where a recipe's runtime computes something else than the `other` one; `where`
    says in which part of the model.
    """
    size = "root mean square" if is_coarse else "largest value"
    place = f"; {where}" if where else ""
    return RuntimeFault(
        f"{recipe.runtime.name} computes something else than {other}: output {widest.output!r} "
        f"differs by {short(widest.difference)} of its {size} on {widest.probe}{place}",
        where=f"recipe {recipe.name!r}: runtime",
        valid=f"a difference of {tolerance:g}; runtime_tolerance of the recipe is another",
        next_step=next_step,
    )


def hidden_nan(recipe: Recipe, widest: Widest, other: str) -> RuntimeFault:
    """What is wrong where a real image gives NaN in the `other` runtime, and a number in that of
    the recipe: a ReLU, a Clip or a convolution made one of it.
    """
    return RuntimeFault(
        f"output {widest.output!r} has NaN in {other} on {widest.probe}, and a number in its place "
        f"in {recipe.runtime.name}: the network divides by zero or overflows, which that hides",
        where=f"recipe {recipe.name!r}: runtime",
        next_step="look in the model for a division, a root or a logarithm of zero; "
        f"runtime_tolerance = {NOTHING_IN_COMMON:g} leaves the comparison out",
    )


_NEEDED = (
    registry.from_extra("onnx", "onnx"),
    registry.from_extra("onnxruntime", "onnx"),
)


def _compared(
    recipe: Recipe,
    path: Path,
    session: InferenceSession,
    opened: Open,
    data: SuiteData,
    threads: int,
    in_16_bits: bool,
) -> tuple[Comparison, Widest]:
    """The comparison of a session on `path` with ONNX Runtime.

    Raises:
        RuntimeFault: ONNX Runtime or the runtime does not run the file on one of the inputs.
    """
    try:
        comparison = Comparison(path, probed_images(data, session), threads, in_16_bits=in_16_bits)
        return comparison, comparison.widest(opened, session)
    except Exception as error:
        raise RuntimeFault(
            f"outputs of {recipe.runtime.name} could not be compared with ONNX Runtime's: "
            f"{type(error).__name__}: {error}",
            where=f"recipe {recipe.name!r}: runtime",
            next_step=f"runtime_tolerance = {NOTHING_IN_COMMON:g} leaves the comparison out",
        ) from error


def probed_images(data: SuiteData, session: InferenceSession) -> Inputs:
    """Those of some validation images, then of the darkest and the brightest image there can be.
    Of a recurrent network the images are the first frames of a sequence, each with the state that
    the `session` has left: zeros alone would not reach what it does with a state.
    """
    images = data.example(_IMAGES)
    if isinstance(data.pipeline, StatefulPipeline):
        count = min(_IMAGES, data.split(VALIDATION).sequences[0])
        images = joined(list(data.inputs(VALIDATION, count, session)))
    shape = np.array(data.images(VALIDATION, [0])[0]).shape
    ends = [np.full(shape, value, np.uint8) for value in (0, 255)]
    extremes = [data.pipeline.preprocess([image])[0].take([0]) for image in ends]  # of tiles one
    return joined([images, *extremes])


def agreeing_options(
    runtime: Runtime, options: Any, apart: Callable[[Any], float], tolerance: float
) -> str:
    """Other options of the runtime with which outputs agree, "" for none.

    Args:
        runtime: whose outputs differ.
        options: with which they do.
        apart: the largest difference with other options.
        tolerance: the largest difference that is none.
    """
    for text, others in runtime.alternatives(options).items():
        try:
            difference = apart(others)
        except Exception:  # noqa: BLE001, S112 - what does not open or run is no alternative
            continue
        if difference <= tolerance:
            return f"set {text}: then outputs differ by {short(difference)}"
    return ""
