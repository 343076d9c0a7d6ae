"""backbone: another network in place of the one that makes a model's features, and some training
by the suite's own trainer.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import TORCH, Artifact
from pytest_perfgate.errors import BuildError, RecipeError
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.registry import Requirement
from pytest_perfgate.sources import Fence, Source
from pytest_perfgate.steps import Applied, BuildContext, expect, training_device
from pytest_perfgate.steps.backbone_parts import Chosen, chosen, source_of
from pytest_perfgate.steps.backbone_seam import adapters, fit_of, fitted, named, seam, there
from pytest_perfgate.steps.output_check import tensors
from pytest_perfgate.steps.training import Course, course_facts, train
from pytest_perfgate.steps.training_options import TrainingOptions
from pytest_perfgate.steps.training_step import TrainingStep


class Backbone(TrainingStep):
    """The step `backbone`."""

    name = "backbone"
    argument = "backbone"
    not_after: Mapping[str, str] = {
        "cast": "a trainer works in float32",
        "sparsify": "the training would change the zeros",
    }

    class Options(TrainingOptions):
        """Which network, where it goes, and options of the training."""

        backbone: str = Field(
            description="name of a network, from the first installed package that has it; or "
            '"source:model"'
        )
        at: str = Field("backbone", description="module of the model to replace")
        pretrained: bool = Field(
            False,
            description="load the package's own weights, which it may fetch; default: "
            "random weights",
        )
        maps: tuple[Annotated[int, Field(ge=0)], ...] = Field(
            (),
            description="where the module gives several maps: for each of them the network's map, "
            "by its number from 0 for the largest; default: that of the same stride",
        )
        arguments: dict[str, Any] = Field(
            default_factory=dict, description="further keyword arguments of the package's builder"
        )

        @model_validator(mode="after")
        def _can_be(self) -> Backbone.Options:
            try:
                backbone = self.chosen
                source = source_of(backbone)
                source_options = source.Options.model_validate(
                    {"pretrained": self.pretrained, "arguments": self.arguments}
                )
                if ":" in self.backbone:
                    source.check(backbone.model, source_options, Fence(Path(), Path()))
            except RecipeError as error:
                raise ValueError("; ".join(filter(None, (error.problem, error.valid)))) from error
            if self.pretrained and ":" not in self.backbone and backbone.source == "transformers":
                raise ValueError(
                    'pretrained: name the weights, as "transformers:organisation/model"'
                )
            return self

        @property
        def chosen(self) -> Chosen:
            """The network as the source that is installed here names it."""
            return chosen(self.backbone, self.arguments)

    @override
    def sources_with(self, options: Any) -> tuple[str, ...]:
        """The source of the network."""
        return (options.chosen.source,)

    @override
    def requires_with(self, options: Any) -> tuple[Requirement, ...]:
        """The packages of the network's source, and the one that counts multiplications."""
        needed = source_of(options.chosen).requires_with(options.chosen.model, None)
        counts = registry.from_extra("torch_pruning", "torch")
        return (*needed, counts, *training_device.requirements(options.device))

    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """Puts the network in, and trains the whole model."""
        import torch

        torch.set_num_threads(context.threads)
        torch.manual_seed(context.seed)
        module, example = artifact.module, context.example(1)
        backbone = options.chosen
        wanted = seam(module, options.at, example)
        effect = {
            "backbone_before": type(named(module, options.at)).__name__,
            **_sizes(module, example, "_before"),
        }
        if options.maps and not wanted.several:
            raise BuildError(
                f"the model reads one map of {options.at!r}, and `maps` names those of a pyramid",
                where="step backbone: maps",
                next_step="leave it out",
            )
        source = source_of(backbone)
        part = (source.pyramid if wanted.several else source.backbone)(
            backbone.model, backbone.arguments, pretrained=options.pretrained
        )
        structure = {
            "source": backbone.source,
            "model": part.model,
            "arguments": dict(part.arguments),
            "origin": str(backbone),
            "fit": fit_of(part.module, wanted, options.maps),
        }
        torch.manual_seed(context.seed)
        _put(module, options.at, fitted(part.module, str(backbone), structure["fit"]))
        for parameter in module.parameters():
            parameter.requires_grad_(True)
        before = {name: value.detach().clone() for name, value in module.named_parameters()}
        course = Course(
            context.progress, context.checkpoints, device=options.device, peers=context.peers
        )
        data = context.data(options.data)
        module = train(context.trainer, module, data, options, context.seed, course).eval()
        after = dict(module.named_parameters())
        fresh = _fresh(structure)
        effect |= {
            **course_facts(course),
            **_sizes(module, example, ""),
            "asked": str(backbone),
            "adapters": adapters(structure["fit"]),
            "backbone": there(module, options.at, fresh),
            "backbone_parameters": sum(value.numel() for value in fresh.parameters()),
            "changed_parameters": sum(
                int((value != before[name]).sum())
                for name, value in after.items()
                if name in before
            ),
            "finite": _finite(module, example),
        }
        return Applied(Artifact(TORCH, module=module), effect, structure=structure)

    @override
    def prove(self, effect: Mapping[str, Any], options: Any) -> None:
        """The network that was asked for must be in the model, which is another one than before in
        its parameters or its work, and was trained.
        """
        expect(
            effect["backbone"] == effect["asked"],
            self.name,
            f"the model's backbone is {effect['backbone']}, not {effect['asked']}",
        )
        expect(
            any(effect[what] != effect[f"{what}_before"] for what in ("parameters", "macs")),
            self.name,
            f"the model has {effect['parameters']:,} parameters and {effect['macs']:,.0f} "
            "multiplications, as before",
        )
        expect(effect["finite"], self.name, "training ended in NaN or infinite weights, or outputs")
        expect(effect["changed_parameters"] > 0, self.name, "no parameter was trained")

    def restore(self, module: Any, structure: Any, options: Any) -> Any:
        """Puts the same network into a fresh module."""
        features = _fresh(structure)
        _put(module, options.at, fitted(features, structure["origin"], structure["fit"]))
        return module


def _fresh(structure: Mapping[str, Any]) -> Any:
    """The network of `Applied.structure` again, with random weights."""
    source: Source = registry.find(registry.SOURCES, structure["source"])
    several = structure["fit"]["form"] != "tensor"
    return (source.restore_pyramid if several else source.restore_backbone)(
        structure["model"], structure["arguments"]
    )


def _put(module: Any, at: str, part: Any) -> None:
    above, _, name = at.rpartition(".")
    setattr(named(module, above) if above else module, name, part)


def _finite(module: Any, example: Inputs) -> bool:
    """Whether weights are numbers, and what the model gives for an example."""
    import torch

    with torch.inference_mode():
        output = module(*tensors(example))
    outputs = (output,) if isinstance(output, torch.Tensor) else tuple(output)
    return all(
        bool(torch.isfinite(value).all()) for value in (*module.state_dict().values(), *outputs)
    )


def _sizes(module: Any, example: Inputs, suffix: str) -> dict[str, float]:
    """Parameters, and multiplications of one image."""
    import torch_pruning

    macs, parameters = torch_pruning.utils.count_ops_and_params(module, tensors(example))
    return {f"parameters{suffix}": int(parameters), f"macs{suffix}": float(macs)}
