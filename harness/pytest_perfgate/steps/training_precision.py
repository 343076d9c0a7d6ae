"""Mixed precision of a training: autocast, a scaler of gradients, and what they really did."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

FLOAT16 = "float16"


class Mixed:
    """Training under `torch.autocast` to a type; under float16 with torch's scaler of gradients.

    Attributes:
        dtype: "bfloat16" or "float16".
        scaler: torch's, None where the type needs none.
        skipped: steps that were left out because a gradient was not finite.
    """

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.scaler: Any = None
        self.skipped = 0
        self._steps = 0
        self._device = "cpu"
        self._layers: dict[str, bool] = {}

    def watch(self, module: Any) -> None:
        """Notes, in the first forward pass, which layers compute in the type."""
        import torch

        first = next(module.parameters(), None)
        self._device = "cpu" if first is None else first.device.type
        if self.dtype == FLOAT16:
            self.scaler = torch.amp.GradScaler(self._device)
        layers = torch.nn.modules.conv._ConvNd, torch.nn.Linear
        for name, layer in module.named_modules():
            if isinstance(layer, layers):
                self._layers[name] = False
                self._look(name, layer)

    def _look(self, name: str, layer: Any) -> None:
        def note_type(_module: Any, _inputs: Any, output: Any) -> None:
            self._layers[name] = str(output.dtype) == f"torch.{self.dtype}"
            hook.remove()

        hook = layer.register_forward_hook(note_type)

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Around a forward pass and its loss."""
        import torch

        return torch.autocast(self._device, dtype=getattr(torch, self.dtype))

    def count(self, before: float, after: float) -> None:
        """A step was asked for; a scale that fell says that it was left out."""
        self._steps += 1
        self.skipped += after < before

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        kept = {"skipped": self.skipped, "steps": self._steps, "layers": dict(self._layers)}
        return kept if self.scaler is None else {**kept, "scaler": self.scaler.state_dict()}

    def load_state_dict(self, kept: Mapping[str, Any]) -> None:
        """What a checkpoint kept."""
        self.skipped, self._steps = kept["skipped"], kept["steps"]
        self._layers |= kept["layers"]
        if self.scaler is not None:
            self.scaler.load_state_dict(kept["scaler"])

    def effect(self) -> dict[str, Any]:
        """What is said of it; `scaled_steps` where gradients were to be scaled."""
        effect: dict[str, Any] = {
            "autocast": self.dtype,
            "autocast_layers": sum(self._layers.values()),
            "layers": len(self._layers),
        }
        if self.dtype == FLOAT16:
            effect |= {"scaled_steps": self._steps, "skipped_steps": self.skipped}
        return effect
