"""Profiles of torch code: torch.profiler's events, gathered by the layers that they belong to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from pytest_perfgate.records.profile import Operator

PROFILER = "torch.profiler"

_WARM = 2  # inferences before those that are counted
_MARK = "perfgate layer: "


def profile(run: Callable[[], Any], count: int, module: Any = None) -> list[Operator]:
    """Rows of `count` calls of `run`, per call.

    With `module`, the live eager module that `run` calls, a layer (a module without children) is
    one row, named by its path, and what a container computes itself is a row per operation. Without
    it every operation that torch dispatches is a row. What is spent outside all of them, in Python,
    has no row.
    """
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiling

    layers = {} if module is None else dict(module.named_modules())
    with _marked(layers):
        for _ in range(_WARM):
            run()
        with profiling(activities=[ProfilerActivity.CPU]) as profiler:
            for _ in range(count):
                run()
    rows: dict[tuple[str, str], list[float]] = {}
    for event in profiler.events():
        key, call = _place(event, layers)
        row = rows.setdefault(key, [0.0, 0.0])
        row[0] += call
        row[1] += event.self_cpu_time_total * 1e-6
    return [
        Operator(name=name, kind=kind, calls=calls / count, seconds=seconds / count)
        for (name, kind), (calls, seconds) in rows.items()
        if seconds > 0
    ]


def _place(event: Any, layers: dict[str, Any]) -> tuple[tuple[str, str], int]:
    """The row that an event belongs to, name and kind, and whether it is a call of it."""
    outermost = event.name  # the operation that the layer itself called
    at = event
    while at is not None and not at.name.startswith(_MARK):
        outermost = at.name
        at = at.cpu_parent
    operation = outermost.removeprefix("aten::")
    if at is None:
        return (outermost, operation), int(event.name == outermost and event.cpu_parent is None)
    path = at.name.removeprefix(_MARK)
    layer = layers[path]
    if not any(True for _ in layer.children()):
        return (path or "model", type(layer).__name__), int(event is at)
    if event is at:  # a container's own time: Python between its operations
        return (path or "model", type(layer).__name__), 1
    name = f"{path}: {outermost}" if path else outermost
    return (name, operation), int(event.cpu_parent is at)


@contextlib.contextmanager
def _marked(layers: dict[str, Any]) -> Iterator[None]:
    """Within it every call of a layer is an event that carries its path."""
    import torch

    open_marks: list[Any] = []

    def enter(path: str) -> Callable[..., None]:
        def begin(*_: Any) -> None:
            mark: Any = torch.profiler.record_function(f"{_MARK}{path}")
            mark.__enter__()
            open_marks.append(mark)

        return begin

    def leave(*_: Any) -> None:
        open_marks.pop().__exit__(None, None, None)

    hooks = []
    for path, layer in layers.items():
        hooks.append(layer.register_forward_pre_hook(enter(path)))
        hooks.append(layer.register_forward_hook(leave))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
