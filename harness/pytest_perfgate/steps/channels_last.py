"""channels_last: a torch module's 4-D weights stored with the channels innermost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import TORCH, Artifact, OptionsModel
from pytest_perfgate.steps import Applied, BuildContext, Step, expect


class ChannelsLast(Step):
    """The step `channels_last`."""

    name = "channels_last"
    argument = "enabled"
    accepts = frozenset({TORCH})
    produces = TORCH
    requires = (registry.from_extra("torch", "torch"),)

    class Options(OptionsModel):
        """Its options."""

        enabled: bool = Field(True, description="true")

    @override
    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """Changes the layout, no value."""
        module = self.restore(artifact.module, {}, options)
        return Applied(Artifact(TORCH, module=module), self._effect(module), structure={})

    @override
    def prove(self, effect: Mapping[str, Any], options: Any) -> None:
        """Some weights must have the layout."""
        expect(effect["channels_last_weights"] > 0, self.name, "no weight is stored channels-last")

    @override
    def restore(self, module: Any, structure: Any, options: Any) -> Any:
        """The same layout on a fresh module."""
        import torch

        return module.to(memory_format=torch.channels_last) if options.enabled else module

    @staticmethod
    def _effect(module: Any) -> dict[str, Any]:
        import torch

        weights = [parameter for parameter in module.parameters() if parameter.dim() == 4]
        moved = [
            weight
            for weight in weights
            if weight.is_contiguous(memory_format=torch.channels_last)
            and not weight.is_contiguous()
        ]
        return {"channels_last_weights": len(moved), "weights": len(weights)}
