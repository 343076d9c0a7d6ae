"""Which runtime infers where no recipe says it: for scores and states during a build, and for
pieces of a chain that is explained.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from pytest_perfgate import registry
from pytest_perfgate.artifact import (
    EXPORTED,
    ONNX,
    OPENVINO,
    TFLITE,
    TORCH,
    TORCHSCRIPT,
    OptionsModel,
)
from pytest_perfgate.errors import MissingPackage, RecipeError
from pytest_perfgate.runtimes import Runtime

_FIRST = {
    ONNX: ("onnxruntime", "openvino"),
    OPENVINO: ("openvino",),
    TFLITE: ("litert", "openvino"),
    TORCH: ("torch",),
    EXPORTED: ("torch",),
    TORCHSCRIPT: ("torch",),
}
"""The runtimes of a kind of artifact in the order in which they are chosen: its framework's own
first. Behind them come all others that take it, by their names.
"""


def runtime_for(kind: str) -> tuple[Runtime, OptionsModel]:
    """The first runtime that is installed and infers artifacts of a kind in this process, with its
    default options. Never an endpoint: its server infers what it was given, not this artifact.

    Raises:
        MissingPackage: none that takes the kind is installed.
        RecipeError: none takes it.
    """
    missing: list[tuple[str, registry.Requirement]] = []
    for runtime in _candidates(kind):
        try:
            options = runtime.Options()
        except ValidationError:
            continue  # it has no default options
        lacking = [one for one in runtime.requires_with(options) if one.missing]
        if not lacking:
            return runtime, options
        missing.append((runtime.name, lacking[0]))
    if missing:
        name, requirement = missing[0]
        raise MissingPackage(
            f"no runtime that takes an artifact of the kind {kind!r} is installed",
            valid=", ".join(name for name, _ in missing),
            next_step=f"for {name}: {requirement.install}",
        )
    raise RecipeError(f"no runtime takes an artifact of the kind {kind!r} in this process")


def _candidates(kind: str) -> Iterator[Runtime]:
    registered = registry.names(registry.RUNTIMES)
    first = [name for name in _FIRST.get(kind, ()) if name in registered]
    for name in (*first, *(name for name in registered if name not in first)):
        runtime: Runtime = registry.find(registry.RUNTIMES, name)
        if kind in runtime.accepts and not runtime.endpoint:
            yield runtime
