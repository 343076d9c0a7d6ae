"""A function of the suite's own code: "package.module:function" returns a torch module."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import IMPORT_PATH, TORCH, Artifact
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.sources import Fence, Resolve, Source, SourceContext, SourceModel


class Function(Source):
    """The source of a model without another one's name before it."""

    name = ""
    requires = (registry.from_extra("torch", "torch"),)
    gives = TORCH
    example = "package.module:function"

    @override
    def check(self, model: str, options: Any, fence: Fence) -> None:
        """It must be an import path."""
        if not IMPORT_PATH.fullmatch(model):
            raise RecipeError(f"{model!r} is not an import path", valid='"package.module:function"')

    def build(self, model: str, options: Any, context: SourceContext) -> SourceModel:
        """The module that the function returns, with its own weights."""
        module = self.restore(model, options, None, context.resolve)
        return SourceModel(Artifact(TORCH, module=module), {})

    @override
    def restore(self, model: str, options: Any, structure: Any, resolve: Resolve) -> Any:
        """What the function returns, once more."""
        import torch

        module = resolve(model)()
        if not isinstance(module, torch.nn.Module):
            raise RecipeError(
                f"{model!r} returned {type(module).__name__}",
                valid="a torch.nn.Module in eval mode",
            )
        return module.eval()
