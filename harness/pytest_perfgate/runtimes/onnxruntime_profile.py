"""What a profile of ONNX Runtime says of a graph's nodes, and of the kernels that they launched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_perfgate.records.profile import Operator
from pytest_perfgate.runtimes.kernel_names import short

_SUFFIX = "_kernel_time"


def operators(events: Sequence[Mapping[str, Any]], count: int) -> list[Operator]:
    """One row per node of the optimized graph, from the events of the last `count` inferences.

    On a GPU, one row per kernel of a node instead, where the build of ONNX Runtime records kernels
    (CUPTI): they stand behind the node that launched them, under its type.
    """
    runs = [event for event in events if event.get("name") == "model_run"]
    begin = float(runs[-count]["ts"])
    rows: dict[tuple[str, str], list[float]] = {}
    kernels: dict[tuple[str, str], list[float]] = {}
    latest: dict[str, str] = {}  # node by its type
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") == "Kernel":
            node = latest.get(str(event["args"].get("op_name", "")))
            if node is not None:  # of the inferences that count
                kernels.setdefault((node, short(name)), []).append(float(event["dur"]))
        elif name.endswith(_SUFFIX) and float(event["ts"]) >= begin:
            kind, node = str(event["args"].get("op_name", "")), name.removesuffix(_SUFFIX)
            latest[kind] = node
            rows.setdefault((node, kind), []).append(float(event["dur"]))
    if kernels:
        rows = kernels
    return [
        Operator(name=name, kind=kind, calls=len(took) / count, seconds=sum(took) * 1e-6 / count)
        for (name, kind), took in rows.items()
    ]
