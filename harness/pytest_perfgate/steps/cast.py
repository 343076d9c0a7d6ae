"""cast: a torch module whose parameters are 16-bit floating point."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import TORCH, Artifact, OptionsModel
from pytest_perfgate.steps import Applied, BuildContext, Step, expect
from pytest_perfgate.steps.output_check import (
    expect_close,
    finite,
    largest_difference,
    module_outputs,
    tolerance_option,
)


class Cast(Step):
    """The step `cast`. The runtime feeds the module its own type, and gives float32 back."""

    name = "cast"
    argument = "dtype"
    accepts = frozenset({TORCH})
    produces = TORCH
    requires = (registry.from_extra("torch", "torch"),)

    class Options(OptionsModel):
        """Options in torch's words."""

        dtype: Literal["bfloat16", "float16"] = Field(
            "bfloat16", description="type of parameters and buffers"
        )
        tolerance: float = tolerance_option(0.1)

    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """Casts, and compares the outputs with those of before."""
        import torch

        torch.set_num_threads(context.threads)
        module = artifact.module.eval()
        inputs = context.example(2)
        wanted = module_outputs(module, inputs)
        before = _share(module, options.dtype)
        module = self.restore(module, {}, options)
        difference = largest_difference(wanted, module_outputs(module, inputs), len(inputs))
        effect = {
            "share_before": before,
            "share": _share(module, options.dtype),
            "largest_difference": finite(difference),
        }
        return Applied(Artifact(TORCH, module=module), effect, structure={})

    def prove(self, effect: Mapping[str, Any], options: Any) -> None:
        """All parameters must have the type, which not all had before, and the numbers be near."""
        expect(
            effect["share"] == 1.0 > effect["share_before"],
            self.name,
            f"{effect['share']:.0%} of the parameters are {options.dtype}, and "
            f"{effect['share_before']:.0%} were",
        )
        difference = effect["largest_difference"]
        expect(
            difference is not None,
            self.name,
            f"an output is not finite: a value overflows {options.dtype}",
        )
        expect_close(self.name, effect, options, "those before")

    @override
    def restore(self, module: Any, structure: Any, options: Any) -> Any:
        """The same type for a fresh module's parameters and buffers."""
        import torch

        return module.to(getattr(torch, options.dtype))


def _share(module: Any, dtype: str) -> float:
    """The share of floating-point parameters that have the type."""
    import torch

    parameters = [parameter for parameter in module.parameters() if parameter.is_floating_point()]
    total: int = sum(parameter.numel() for parameter in parameters)
    same: int = sum(
        parameter.numel() for parameter in parameters if parameter.dtype == getattr(torch, dtype)
    )
    return same / max(1, total)
