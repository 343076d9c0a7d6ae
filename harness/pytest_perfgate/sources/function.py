"""A function of the suite's own code: "package.module:function" returns a torch module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.artifact import IMPORT_PATH, TORCH, Artifact, OptionsModel
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.registry import Requirement
from pytest_perfgate.sources import Fence, Made, Resolve, SourceContext


class Function:
    """The source of a model without another one's name before it."""

    name = ""
    gives = TORCH
    example = "package.module:function"
    preload: tuple[str, ...] = ()

    class Options(OptionsModel):
        """None: a function knows what it builds."""

    def requires(self, model: str, options: Any) -> tuple[Requirement, ...]:  # noqa: ARG002 - the Protocol's
        """What every torch module needs."""
        return (registry.from_extra("torch", "torch"),)

    def check(self, model: str, options: Any, fence: Fence) -> None:  # noqa: ARG002 - the Protocol's
        """It must be an import path."""
        if not IMPORT_PATH.fullmatch(model):
            raise RecipeError(f"{model!r} is not an import path", valid='"package.module:function"')

    def files(self, model: str, options: Any, fence: Fence) -> tuple[Path, ...]:  # noqa: ARG002 - the Protocol's
        """None: what a function reads is seen while it runs."""
        return ()

    def build(self, model: str, options: Any, context: SourceContext) -> Made:
        """The module that the function returns, with its own weights."""
        module = self.restore(model, options, None, context.resolve)
        return Made(Artifact(TORCH, module=module), {})

    def restore(self, model: str, options: Any, structure: Any, resolve: Resolve) -> Any:  # noqa: ARG002 - the Protocol's
        """What the function returns, once more."""
        import torch

        module = resolve(model)()
        if not isinstance(module, torch.nn.Module):
            raise RecipeError(
                f"{model!r} returned {type(module).__name__}",
                valid="a torch.nn.Module in eval mode",
            )
        return module.eval()
