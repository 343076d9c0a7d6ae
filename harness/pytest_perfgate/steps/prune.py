"""prune: whole channels removed from a torch module, by torch-pruning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import TORCH, Artifact, OptionsModel
from pytest_perfgate.errors import BuildError
from pytest_perfgate.steps import Applied, BuildContext, Step, expect
from pytest_perfgate.steps.output_check import tensors
from pytest_perfgate.steps.prune_graph import (
    Ends,
    named_layers,
    output_layers,
    replay,
    shapes_of,
    zeros_like,
)


class Prune(Step):
    """The step `prune`."""

    name = "prune"
    argument = "method"
    accepts = frozenset({TORCH})
    produces = TORCH
    requires = (
        registry.from_extra("torch", "torch"),
        registry.from_extra("torch_pruning", "torch"),
    )
    not_after: Mapping[str, str] = {
        "cast": "channels are ranked and traced in float32",
        "sparsify": "removing channels breaks the pattern of zeros: remove them first",
    }

    class Options(OptionsModel):
        """Options in torch-pruning's words."""

        method: Literal["structured"] = Field("structured", description="unit to remove")
        pruning_ratio: float = Field(0.5, gt=0, lt=1, description="share of channels to remove")
        round_to: int = Field(8, ge=1, description="keep the number of channels a multiple of this")
        global_pruning: bool = Field(
            False, description="rank channels over the whole model; false: layer by layer"
        )
        p: int = Field(2, ge=1, le=2, description="norm that ranks channels")
        ignored_layers: tuple[str, ...] = Field(
            (), description="modules that keep their output channels; the model's outputs always do"
        )
        tolerance: float = Field(
            0.25,
            ge=0,
            lt=1,
            description="largest difference between the share of channels that a layer loses and "
            "`pruning_ratio`, to which `round_to` adds; over the whole model for `global_pruning`",
        )

    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """Removes channels of least norm, and what depends on them."""
        import torch
        import torch_pruning

        torch.set_num_threads(context.threads)
        torch.manual_seed(context.seed)
        module = artifact.module.eval()
        example = tensors(context.example(1))
        macs_before, parameters_before = torch_pruning.utils.count_ops_and_params(module, example)
        for parameter in module.parameters():
            parameter.requires_grad_(True)  # the way back from the outputs is that of gradients
        ignored = output_layers(module, example) | named_layers(module, options.ignored_layers)
        try:
            with Ends(module) as ends:
                pruner = torch_pruning.pruner.BasePruner(
                    module,
                    example,
                    importance=torch_pruning.importance.GroupMagnitudeImportance(p=options.p),
                    pruning_ratio=options.pruning_ratio,
                    round_to=options.round_to,
                    global_pruning=options.global_pruning,
                    ignored_layers=list(ignored),
                    output_transform=ends,
                )
            before = _channels(module, pruner, list(ignored))
            pruner.step()
            after = _channels(module, pruner, list(ignored))
            macs, parameters = torch_pruning.utils.count_ops_and_params(module, example)
        except Exception as error:
            raise _not_pruned(module, ignored, error) from error
        history = [
            [name, bool(is_output), [int(index) for index in indices]]
            for name, is_output, indices in pruner.pruning_history()
        ]
        channels = sum(before.values())
        left = {name: after.get(name, count) for name, count in before.items()}
        effect = {
            "macs_before": float(macs_before),
            "macs": float(macs),
            "parameters_before": int(parameters_before),
            "parameters": int(parameters),
            "requested_share": options.pruning_ratio,
            "removed_share": round(1 - sum(left.values()) / max(1, channels), 4),
            "channels": {name: [count, left[name]] for name, count in before.items()},
        }
        return Applied(
            Artifact(TORCH, module=module),
            effect,
            structure={
                "history": history,
                "inputs": shapes_of(example),
            },
        )

    @override
    def prove(self, effect: Mapping[str, Any], options: Any) -> None:
        """Work and weights must have become fewer, and each layer by about the share requested."""
        uneven = _uneven(effect, options)
        more = f": {uneven}" if uneven else ""
        expect(
            effect["macs"] < effect["macs_before"],
            self.name,
            f"the model does as much work as before{more}",
        )
        expect(
            effect["parameters"] < effect["parameters_before"],
            self.name,
            f"the model has as many parameters as before{more}",
        )
        expect(not uneven, self.name, uneven)

    @override
    def restore(self, module: Any, structure: Any, options: Any) -> Any:
        """Removes the same channels from a fresh module."""
        replay(module, structure["history"], zeros_like(structure["inputs"]))
        return module


def _channels(module: Any, pruner: Any, ignored: list[Any]) -> dict[str, int]:
    """The channels of each layer that can be pruned, one for all layers that lose the same ones."""
    names = {layer: name for name, layer in module.named_modules()}
    counts = {}
    for group in pruner.DG.get_all_groups(
        ignored_layers=ignored, root_module_types=pruner.root_module_types
    ):
        layer = group[0].dep.target.module
        counts[names[layer]] = int(pruner.DG.get_out_channels(layer))
    return counts


def _uneven(effect: Mapping[str, Any], options: Any) -> str:
    """The first layer that was left whole or lost another share than was requested, and what to
    set; "" for none.
    """
    requested = options.pruning_ratio
    # Shares are not exact in binary: 0.5 - 0.25 may be a little above 0.25.
    most = options.tolerance + 1e-9
    if options.global_pruning:
        removed = effect["removed_share"]
        if abs(removed - requested) <= most:
            return ""
        return f"{removed:.0%} of the channels were removed, {requested:.0%} were requested"
    for name, (before, after) in effect["channels"].items():
        removed = 1 - after / before
        if after < before and abs(removed - requested) <= most:
            continue
        lost = "is left whole" if after == before else f"lost {removed:.0%}"
        return (
            f"layer {name!r} of {before} channels {lost} where {requested:.0%} were requested, in "
            f"multiples of {options.round_to}: {_rounding(before, options)}, or name it in "
            "ignored_layers"
        )
    return ""


def _rounding(channels: int, options: Any) -> str:
    """The largest divisor of `round_to` with which a layer loses about what was requested."""
    kept = int(channels * (1 - options.pruning_ratio))
    near = min(0.1, options.tolerance)
    for multiple in range(options.round_to - 1, 0, -1):
        left = kept - kept % multiple
        fits = abs(1 - left / channels - options.pruning_ratio) <= near
        if options.round_to % multiple == 0 and 0 < left < channels and fits:
            return f"set round_to = {multiple}"
    return "set another pruning_ratio"


def _not_pruned(module: Any, ignored: set[Any], error: Exception) -> BuildError:
    """The library's error, with the grouped convolutions that most of them come from."""
    import torch

    grouped = [
        f"{name} ({layer.groups} groups)"
        for name, layer in module.named_modules()
        if isinstance(layer, torch.nn.modules.conv._ConvNd)
        and 1 < layer.groups < layer.out_channels
        and layer not in ignored
    ]
    problem = f"torch-pruning cannot prune the model: {type(error).__name__}: {error}"
    if not grouped:
        return BuildError(problem, next_step="name the layers around it in ignored_layers")
    return BuildError(
        f"{problem}; it has grouped convolutions: {', '.join(grouped)}",
        next_step="name them, and the layers before and behind them, in ignored_layers",
    )
