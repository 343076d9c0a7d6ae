"""sparsify: weights set to zero, shapes kept, by torch.nn.utils.prune."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from pytest_perfgate import registry
from pytest_perfgate.artifact import TORCH, Artifact, OptionsModel
from pytest_perfgate.errors import BuildError, suggestion
from pytest_perfgate.steps import Applied, BuildContext, Step, expect

_GROUP, _KEPT = 4, 2  # of every four weights two are kept


class Sparsify(Step):
    """The step `sparsify`. What has zeros is not faster by itself: a runtime must know of them."""

    name = "sparsify"
    argument = "pattern"
    accepts = frozenset({TORCH})
    produces = TORCH
    requires = (registry.from_extra("torch", "torch"),)

    class Options(OptionsModel):
        """Options in the words of torch.nn.utils.prune."""

        pattern: Literal["unstructured", "2:4"] = Field(
            description="pattern of zeros: any weights, or two of every four input channels"
        )
        amount: float = Field(0.5, gt=0, lt=1, description="unstructured: share of weights to zero")
        scope: Literal["global", "layer"] = Field(
            "global",
            description="unstructured: rank weights over the whole model; false: layer by layer",
        )
        ignored_layers: tuple[str, ...] = Field(
            (), description="modules whose weights are not changed"
        )

        @model_validator(mode="after")
        def _fits(self) -> Sparsify.Options:
            """An option of the other pattern is an error, not ignored."""
            wrong = self.changed & {"amount", "scope"}
            if self.pattern == "2:4" and wrong:
                raise ValueError(f"{min(wrong)} is an option of 'unstructured'; 2:4 zeroes half")
            return self

    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """Zeroes the weights of least magnitude of convolutions and linear layers."""
        import torch
        from torch.nn.utils import prune as library

        prune: Any = library  # it has no types

        torch.set_num_threads(context.threads)
        module = artifact.module.eval()
        layers = _layers(module, options.ignored_layers)
        before = _zeros(layers)
        skipped = 0
        if options.pattern == "2:4":
            for layer in layers.values():
                mask = two_of_four(layer.weight)
                if mask is None:
                    skipped += 1
                    continue
                prune.custom_from_mask(layer, "weight", mask)
                prune.remove(layer, "weight")
        else:
            weights = [(layer, "weight") for layer in layers.values()]
            if options.scope == "global":
                prune.global_unstructured(weights, prune.L1Unstructured, amount=options.amount)
            for layer, name in weights:
                if options.scope == "layer":
                    prune.l1_unstructured(layer, name, amount=options.amount)
                prune.remove(layer, name)
        total = sum(layer.weight.numel() for layer in layers.values())
        zeros = _zeros(layers)
        effect = {
            "sparsity_before": round(before / total, 4),
            "sparsity": round(zeros / total, 4),
            "nonzero_weights": total - zeros,
            "layers": len(layers),
            "layers_2_4": sum(_is_two_of_four(layer.weight) for layer in layers.values()),
            "layers_skipped": skipped,
        }
        return Applied(Artifact(TORCH, module=module), effect, structure={})

    def prove(self, effect: Mapping[str, Any], options: Any) -> None:
        """The zeros that were asked for must be there."""
        expect(
            effect["sparsity"] > effect["sparsity_before"],
            self.name,
            f"{effect['sparsity']:.1%} of the weights are zero, as before",
        )
        if options.pattern == "2:4":
            able = effect["layers"] - effect["layers_skipped"]
            expect(able > 0, self.name, "no layer has input channels in groups of four")
            expect(
                effect["layers_2_4"] >= able,
                self.name,
                f"{effect['layers_2_4']} of {able} layers have two zeros in every four weights",
            )
        else:
            expect(
                effect["sparsity"] >= options.amount - 0.005,
                self.name,
                f"{effect['sparsity']:.1%} of the weights are zero, asked for {options.amount:.1%}",
            )


def _layers(module: Any, ignored: tuple[str, ...]) -> dict[str, Any]:
    import torch

    modules = dict(module.named_modules())
    for name in ignored:
        if name not in modules:
            raise BuildError(
                f"ignored_layers: the model has no module {name!r}", valid=suggestion(name, modules)
            )
    kinds = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d, torch.nn.Linear)
    layers = {
        name: layer
        for name, layer in modules.items()
        if isinstance(layer, kinds) and name not in ignored
    }
    if not layers:
        raise BuildError("the model has no convolution or linear layer whose weights could be zero")
    return layers


def _zeros(layers: Mapping[str, Any]) -> int:
    return sum(int((layer.weight == 0).sum()) for layer in layers.values())


def two_of_four(weight: Any) -> Any:
    """A mask of ones at the two largest magnitudes of every four weights along the input channels
    (dimension 1), shape as `weight`; None when their number is no multiple of four.
    """
    import torch

    channels = weight.shape[1]
    if channels % _GROUP:
        return None
    groups = weight.detach().abs().movedim(1, -1).reshape(-1, _GROUP)
    kept = groups.topk(_KEPT, dim=1).indices
    mask = torch.zeros_like(groups).scatter_(1, kept, 1.0)
    moved = weight.detach().movedim(1, -1).shape
    return mask.reshape(moved).movedim(-1, 1).contiguous()


def _is_two_of_four(weight: Any) -> bool:
    if weight.shape[1] % _GROUP:
        return False
    groups = weight.detach().movedim(1, -1).reshape(-1, _GROUP)
    return bool(((groups != 0).sum(dim=1) <= _KEPT).all())
