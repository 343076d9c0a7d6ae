"""Compares a runtime's outputs for a .tflite file with LiteRT's, before anything is measured.

It is what `runtime_check` does for ONNX files. A .tflite file is not cut after a value, so that no
operator is named, and LiteRT is not needed to run the file elsewhere: where it is not installed, a
fact of the session says that nothing was compared.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.artifact import TFLITE, Artifact
from pytest_perfgate.building.artifact_handle import ArtifactHandle
from pytest_perfgate.building.runtime_check import (
    COARSE,
    FINE,
    agreeing_options,
    hidden_nan,
    other_result,
    probed_images,
)
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.errors import PerfgateError, RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.records.recipe import Recipe
from pytest_perfgate.runtimes import InferenceSession, OpenContext, Runtime
from pytest_perfgate.runtimes.litert import LiteRt, LiteRtSession
from pytest_perfgate.steps.onnx_comparison import Widest
from pytest_perfgate.steps.output_check import (
    NOTHING_IN_COMMON,
    difference,
    hides_nan,
    short,
    spread,
    usual_size,
)
from pytest_perfgate.steps.probe_inputs import is_real, probes

FACT = "difference_to_litert"
"""The fact of a session that holds the largest difference, or why nothing was compared."""

_REORDERED = 6  # outputs of which all orders are tried


def check_tflite(
    recipe: Recipe,
    artifact: ArtifactHandle,
    session: InferenceSession,
    context: OpenContext,
    data: SuiteData,
) -> float | str | None:
    """The largest difference of a session's outputs to LiteRT's, over some images and extreme
    inputs. A text where LiteRT is missing or does not open the file: nothing was compared. None for
    a file of another kind, and for a runtime that is LiteRT or gives something else than the
    artifact's outputs.

    Args:
        recipe: whose runtime is checked; its `runtime_tolerance` stands in for the usual one.
        artifact: the file that `session` runs.
        session: of that runtime.
        context: the terms of `session`.
        data: of the suite.

    Raises:
        RuntimeFault: it is larger than the tolerance, or an input could not be run.
    """
    runtime: Runtime = registry.find(registry.RUNTIMES, recipe.runtime.name)
    tolerance = recipe.runtime_tolerance
    if artifact.kind != TFLITE or artifact.path is None or runtime.name == LiteRt.name:
        return None
    options = runtime.Options.model_validate(dict(recipe.runtime.options))
    if tolerance == NOTHING_IN_COMMON or not runtime.computes_artifact(options):
        return None
    missing = next((need for need in LiteRt.requires if need.missing), None)
    if missing is not None:
        return f"nothing was compared: LiteRT is not installed ({missing.install})"
    file = Artifact(TFLITE, path=artifact.path)
    try:
        lite = LiteRt().open(file, LiteRt.Options(), context)
    except PerfgateError as error:
        return f"nothing was compared: {error.problem}"
    try:
        try:
            in_16_bits = runtime.computes_in_16_bits(options)
            comparison = _Comparison(lite, probed_images(data, session), in_16_bits=in_16_bits)
            widest = comparison.widest(session)
        except Exception as error:
            raise RuntimeFault(
                f"outputs of {runtime.name} could not be compared with LiteRT's: "
                f"{type(error).__name__}: {error}",
                where=f"recipe {recipe.name!r}: runtime",
                next_step=f"runtime_tolerance = {NOTHING_IN_COMMON:g} leaves the comparison out",
            ) from error
        if tolerance is None:
            tolerance = COARSE if comparison.is_coarse else FINE
        if widest.hides_nan:
            raise hidden_nan(recipe, widest, "LiteRT")
        if widest.difference <= tolerance:
            return short(widest.difference)

        def apart(others: Any) -> float:
            opened = runtime.open(file, others, context)
            try:
                return comparison.widest(opened).difference
            finally:
                opened.close()

        next_step = agreeing_options(runtime, options, apart, tolerance)
    finally:
        lite.close()
    raise other_result(
        recipe,
        widest,
        "LiteRT",
        is_coarse=comparison.is_coarse,
        tolerance=tolerance,
        next_step=next_step or 'set runtime = "litert"',
    )


class _Comparison:
    """LiteRT on a file, and inputs for it.

    Attributes:
        is_coarse: whether 8 or 16 bits are computed in, whose rounding adds up over the layers.
    """

    def __init__(self, lite: LiteRtSession, images: Inputs, *, in_16_bits: bool) -> None:
        self.is_coarse = in_16_bits or any(kind != "float32" for kind in lite.facts["layers"])
        self._measure = spread if self.is_coarse else difference
        self._probes = {name: one.repeated(lite.batch) for name, one in probes(images).items()}
        self._expected = {name: lite.run(_copied(one)) for name, one in self._probes.items()}

    def widest(self, session: InferenceSession) -> Widest:
        """The largest difference of a session, with its outputs in the order that fits best: a file
        has one order, and its signature, by which LiteRT gives them, may have another.
        """
        outputs = {name: session.run(_copied(one)) for name, one in self._probes.items()}
        count = len(next(iter(self._expected.values())))
        if any(len(arrays) != count for arrays in outputs.values()):
            return Widest(NOTHING_IN_COMMON, "count", "every input")
        apart = [
            [self._of_output(outputs, ours, theirs) for theirs in range(count)]
            for ours in range(count)
        ]
        own = tuple(range(count))
        orders = itertools.permutations(own) if count <= _REORDERED else (own,)
        return min(
            (
                max((apart[ours][theirs] for ours, theirs in enumerate(order)), key=_difference)
                for order in orders
            ),
            key=_difference,
        )

    def _of_output(self, outputs: Mapping[str, Sequence[Any]], ours: int, theirs: int) -> Widest:
        """The largest difference of an output of the session to one of LiteRT's."""
        real = [arrays[theirs] for name, arrays in self._expected.items() if is_real(name)]
        usual = max(usual_size(values, coarse=self.is_coarse) for values in real)
        widest = Widest()
        for name, arrays in self._expected.items():
            own, other = outputs[name][ours], arrays[theirs]
            if is_real(name) and hides_nan(own, other):
                return Widest(NOTHING_IN_COMMON, str(ours), name, hides_nan=True)
            apart = self._measure(own, other, usual)
            if apart >= widest.difference:
                widest = Widest(apart, str(ours), name)
        return widest


def _difference(widest: Widest) -> float:
    return widest.difference


def _copied(inputs: Inputs) -> Inputs:
    """Arrays of its own for a session, which may write into what it is given."""
    return inputs.map(lambda array: array.copy())
