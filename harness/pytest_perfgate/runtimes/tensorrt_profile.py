"""Times of an engine's layers, by TensorRT's own profiler."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pytest_perfgate.records.profile import Operator

PROFILER = "TensorRT's IProfiler"

_WARM = 2  # inferences before those that are counted


def profile(
    trt: Any,
    engine: Any,
    context: Any,
    infer: Callable[[], None],
    count: int,
) -> list[Operator]:
    """A row per layer of the engine, over `count` calls of `infer`, which runs `context` once and
    waits for it. Layers run one after the other while they are timed.
    """
    seconds: dict[str, float] = {}

    class Times(trt.IProfiler):  # type: ignore[misc] # of a module that is known at run time
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            seconds[layer_name] = seconds.get(layer_name, 0.0) + ms / 1e3

    times = Times()  # the context keeps no reference of its own
    context.profiler = times
    context.enqueue_emits_profile = False
    for index in range(_WARM + count):
        if index == _WARM:
            seconds.clear()
        infer()
        context.report_to_profiler()
    kinds = _kinds(trt, engine)
    return [
        Operator(name=name, kind=kinds.get(name, "layer"), calls=1.0, seconds=total / count)
        for name, total in seconds.items()
    ]


def _kinds(trt: Any, engine: Any) -> dict[str, str]:
    """What each layer computes, as the engine's inspector tells; nothing where it does not."""
    inspector = engine.create_engine_inspector()
    try:
        information = json.loads(inspector.get_engine_information(trt.LayerInformationFormat.JSON))
        layers = information["Layers"]
    except (ValueError, KeyError, TypeError):
        return {}
    return {
        str(layer["Name"]): str(layer["LayerType"])
        for layer in layers
        if isinstance(layer, dict) and "Name" in layer and "LayerType" in layer
    }
