"""Profiles of torch code: torch.profiler's events, gathered by the layers that they belong to.

On a GPU the rows are its kernels, each at the layer that launched it: the host's time is that of
launching, which goes on while kernels run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pytest_perfgate.records.profile import Operator
from pytest_perfgate.runtimes.kernel_names import short

PROFILER = "torch.profiler"

_WARM = 2  # inferences before those that are counted
_MARK = "perfgate layer: "


def profile(run: Callable[[], Any], count: int, module: Any = None) -> list[Operator]:
    """Rows of `count` calls of `run`, per call.

    With `module`, the live eager module that `run` calls, a layer (a module without children) is
    one row, named by its path, and what a container computes itself is a row per operation. Without
    it every operation that torch dispatches is a row. What is spent outside all of them, in Python,
    has no row. Where the process has opened a GPU, the rows are those of `kernels`.
    """
    import torch
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiling

    on_device = torch.cuda.is_initialized()  # type: ignore[no-untyped-call] # torch's own lack of types
    activities = [ProfilerActivity.CPU]
    if on_device:
        activities.append(ProfilerActivity.CUDA)
    layers = {} if module is None else dict(module.named_modules())
    with _marked(layers):
        for _ in range(_WARM):
            run()
        with profiling(activities=activities) as profiler:
            for _ in range(count):
                run()
            if on_device:
                torch.cuda.synchronize()
    if on_device and (own := kernels(profiler.events(), layers, count)):
        return own
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


def kernels(events: Iterable[Any], layers: dict[str, Any], count: int) -> list[Operator]:
    """A row for each kernel (copies included) of each layer, per inference; of kernels that no
    operation of the host launched, as those of a CUDA graph, a row by their name alone.

    Args:
        events: `torch.autograd.profiler_util.FunctionEvent`s. Those of the host have `kernels`:
            name, device and microseconds of what they launched.
        layers: of the live module, by path.
        count: the inferences that the events are of.
    """
    rows: dict[tuple[str, str], list[float]] = {}
    launched: dict[str, list[float]] = {}
    ran: dict[str, list[float]] = {}

    def add(to: dict[Any, list[float]], key: Any, microseconds: float) -> None:
        row = to.setdefault(key, [0.0, 0.0])
        row[0] += 1
        row[1] += microseconds * 1e-6

    for event in events:
        if event.device_type.name != "CPU":
            if not event.is_user_annotation:
                add(ran, short(event.name), event.time_range.elapsed_us())
            continue
        for kernel in event.kernels:
            name = short(kernel.name)
            add(rows, (_place(event, layers)[0][0], name), kernel.duration)
            add(launched, name, kernel.duration)
    for name, (calls, seconds) in ran.items():
        known, spent = launched.get(name, [0.0, 0.0])
        if calls > known and seconds > spent:
            rows[name, name] = [calls - known, seconds - spent]
    return [
        Operator(name=name, kind=kind, calls=calls / count, seconds=seconds / count)
        for (name, kind), (calls, seconds) in rows.items()
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
