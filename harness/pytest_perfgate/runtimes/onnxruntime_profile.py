"""What a profile of ONNX Runtime says of a graph's nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_perfgate.records.profile import Operator

_SUFFIX = "_kernel_time"


def operators(events: Sequence[Mapping[str, Any]], count: int) -> list[Operator]:
    """One row per node of the optimized graph, from the events of the last `count` inferences."""
    runs = [event for event in events if event.get("name") == "model_run"]
    begin = float(runs[-count]["ts"])
    rows: dict[tuple[str, str], list[float]] = {}
    for event in events:
        name = str(event.get("name", ""))
        if name.endswith(_SUFFIX) and float(event["ts"]) >= begin:
            kind = str(event["args"].get("op_name", ""))
            rows.setdefault((name.removesuffix(_SUFFIX), kind), []).append(float(event["dur"]))
    return [
        Operator(name=name, kind=kind, calls=len(took) / count, seconds=sum(took) * 1e-6 / count)
        for (name, kind), took in rows.items()
    ]
