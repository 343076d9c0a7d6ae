"""finetune: some steps of training, by the suite's own trainer, on its data or another domain's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field
from typing_extensions import override

from pytest_perfgate.artifact import TORCH, Artifact
from pytest_perfgate.steps import Applied, BuildContext, expect, finetune_transfer
from pytest_perfgate.steps.finetune_transfer import Transfer, TransferOptions, with_heads
from pytest_perfgate.steps.training import Course, course_facts, train
from pytest_perfgate.steps.training_step import TrainingStep


class Finetune(TrainingStep):
    """The step `finetune`; `steps.training.CONTRACT` says how the trainer is called."""

    name = "finetune"
    argument = "steps"
    not_after: Mapping[str, str] = {
        "cast": "a trainer needs float32",
        "fuse": "training needs the batch normalisation that `fuse` removed",
    }

    class Options(TransferOptions):
        """Options of the training."""

        keep_zeros: bool = Field(
            True, description="keep zero weights zero, such as those of `sparsify`"
        )
        autocast: Literal["bfloat16", "float16"] | None = Field(
            None, description="type for torch.autocast; default: float32"
        )

    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """Trains, and counts the parameters that changed."""
        import torch

        torch.set_num_threads(context.threads)
        torch.manual_seed(context.seed)  # of the weights of new heads
        module = with_heads(artifact.module, options.heads)
        before = {name: value.clone() for name, value in module.named_parameters()}
        for parameter in module.parameters():
            parameter.requires_grad_(True)
        transfer = Transfer(module, options) if options.transfers else None
        masks = _masks(module) if options.keep_zeros else {}
        holds = [
            parameter.register_hook(
                lambda gradient, mask=masks[name]: gradient * mask.to(gradient.device)
            )
            for name, parameter in module.named_parameters()
            if name in masks
        ]
        if transfer is not None:
            transfer.begin(module, 0)
        course = Course(
            context.progress,
            context.checkpoints,
            autocast=options.autocast,
            device=options.device,
            transfer=transfer,
            peers=context.peers,
        )
        data = context.data(options.data)
        module = train(context.trainer, module, data, options, context.seed, course)
        for hold in holds:
            hold.remove()
        after = dict(module.named_parameters())
        with torch.no_grad():  # whatever the trainer did besides: averages, weight decay
            for name, mask in masks.items():
                if name in after and after[name].shape == mask.shape:
                    after[name].mul_(mask)
        changed = sum(
            int((value != before[name]).sum())
            if name in before and value.shape == before[name].shape
            else value.numel()
            for name, value in after.items()
        )
        finite = all(bool(torch.isfinite(value).all()) for value in module.state_dict().values())
        effect = {
            **course_facts(course),
            "changed_parameters": changed,
            "parameters": sum(value.numel() for value in after.values()),
            "finite": finite,
            "kept_zeros": sum(
                int((after[name][mask == 0] == 0).sum())
                for name, mask in masks.items()
                if name in after and after[name].shape == mask.shape
            ),
            "zeros_before": sum(int((mask == 0).sum()) for mask in masks.values()),
            **(transfer.effect(module) if transfer is not None else {}),
        }
        for parameter in module.parameters():  # as other steps leave them
            parameter.requires_grad_(True)
        return Applied(Artifact(TORCH, module=module.eval()), effect, structure={})

    @override
    def prove(self, effect: Mapping[str, Any], options: Any) -> None:
        """Weights must have changed, to numbers."""
        _prove_mixed(effect, self.name)
        expect(effect["finite"], self.name, "training ended in NaN or infinite weights")
        expect(effect["changed_parameters"] > 0, self.name, "no parameter has changed")
        expect(
            effect["kept_zeros"] == effect["zeros_before"],
            self.name,
            f"{effect['kept_zeros']} of {effect['zeros_before']} zeros are left",
        )
        finetune_transfer.prove(effect, options, self.name)

    @override
    def restore(self, module: Any, structure: Any, options: Any) -> Any:
        """Puts new heads into a fresh module."""
        return with_heads(module, options.heads)


def _prove_mixed(effect: Mapping[str, Any], step: str) -> None:
    """Where autocast was asked for, layers must have computed in its type, and gradients of
    float16 must have been scaled.

    Raises:
        NoEffect: they did not.
    """
    if "autocast" not in effect:
        return
    expect(
        effect["autocast_layers"] > 0,
        step,
        f"none of {effect['layers']} convolutions and linear layers computed in "
        f"{effect['autocast']}: the trainer must use `with course.precision():` around the forward "
        "pass and the loss, and give `module=` to `course.steps`",
    )
    if "scaled_steps" in effect:
        expect(
            effect["scaled_steps"] > 0,
            step,
            "no gradient was scaled: the trainer must call `course.minimize(loss, optimizer)`",
        )
        expect(
            effect["skipped_steps"] < effect["scaled_steps"],
            step,
            "the gradients of all steps overflowed, so no step was taken",
        )


def _masks(module: Any) -> dict[str, Any]:
    """Ones where a weight is not zero, for weights that have zeros; biases may start at zero."""
    return {
        name: (parameter.detach() != 0).to(parameter.dtype)
        for name, parameter in module.named_parameters()
        if parameter.dim() > 1 and bool((parameter == 0).any())
    }
