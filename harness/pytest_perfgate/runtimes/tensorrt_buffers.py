"""The buffers of a TensorRT engine, one set for each batch size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pytest_perfgate.runtimes import cuda


@dataclass
class EngineTensor:
    """One input or output of the engine at one batch size, on both sides."""

    name: str
    host: Any  # pinned
    device: Any


@dataclass
class EngineBuffers:
    """What inferences of one batch size need."""

    context: Any
    entry: EngineTensor
    outputs: list[EngineTensor]
    graph: cuda.Graph | None = None
    warm: bool = field(default=False)

    def close(self) -> None:
        """Frees the device's memory; the captured graph refers to it, and goes first."""
        if self.graph is not None:
            self.graph.close()
            self.graph = None
        for tensor in (self.entry, *self.outputs):
            tensor.device.free()
