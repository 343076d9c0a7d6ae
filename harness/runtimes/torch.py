"""PyTorch on the CPU, eager or compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from harness import registry
from harness.artifact import TORCH, Artifact, OptionsModel
from harness.errors import RuntimeFault
from harness.registry import Requirement
from harness.runtimes import OpenContext

if TYPE_CHECKING:
    import numpy as np


class Torch:
    """The runtime `torch`."""

    name = "torch"
    accepts = frozenset({TORCH})
    requires: tuple[Requirement, ...] = (registry.from_extra("torch", "torch"),)
    preload: tuple[str, ...] = ("numpy", "torch")

    class Options(OptionsModel):
        """Options of torch."""

        threads: int | None = Field(None, ge=1, description="intra-op threads; default: suite's")
        compile: bool = Field(False, description="run torch.compile's code instead of eager")

    def open(self, artifact: Artifact, options: Any, context: OpenContext) -> TorchSession:
        """A session on the live module."""
        return TorchSession(artifact.module, options, context)


class TorchSession:
    """A module in eval mode, called without gradients."""

    def __init__(self, module: Any, options: Any, context: OpenContext) -> None:
        import torch

        threads = options.threads or context.threads
        torch.set_num_threads(threads)
        self._torch = torch
        self._module = module
        self._channels_last = any(
            parameter.dim() == 4
            and parameter.shape[1] > 1
            and parameter.is_contiguous(memory_format=torch.channels_last)
            and not parameter.is_contiguous()
            for parameter in module.parameters()
        )
        first = next(module.parameters(), None)
        self.facts: dict[str, Any] = {
            "device": "cpu" if first is None else str(first.device),
            "dtype": "none" if first is None else str(first.dtype).removeprefix("torch."),
            "layout": "channels_last" if self._channels_last else "contiguous",
            "compiled": bool(options.compile),
            "threads": torch.get_num_threads(),
            "version": torch.__version__,
        }
        if options.compile:
            self._module = torch.compile(module)

    def run(self, batch: np.ndarray[Any, Any]) -> tuple[Any, ...]:
        """See `harness.runtimes.InferenceSession`."""
        torch = self._torch
        with torch.inference_mode():
            x = torch.from_numpy(batch)
            if self._channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            outputs = self._module(x)
        if isinstance(outputs, torch.Tensor):
            outputs = (outputs,)
        if not isinstance(outputs, (tuple, list)):
            raise RuntimeFault(
                f"the model returned {type(outputs).__name__}", valid="a tensor or a tuple of them"
            )
        return tuple(output.numpy() for output in outputs)

    def close(self) -> None:
        """Lets the module go."""
        self._module = None
