"""fuse: batch normalisation folded into the convolution before it, in a torch module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import TORCH, Artifact, OptionsModel
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.steps import Applied, BuildContext, Step, expect
from pytest_perfgate.steps.output_check import (
    expect_close,
    largest_difference,
    module_outputs,
    short,
    tensors,
    tolerance_option,
)


class Fuse(Step):
    """The step `fuse`."""

    name = "fuse"
    argument = "enabled"
    accepts = frozenset({TORCH})
    produces = TORCH
    requires = (registry.from_extra("torch", "torch"),)

    class Options(OptionsModel):
        """Its options."""

        enabled: bool = Field(True, description="true")
        tolerance: float = tolerance_option(1e-3)

    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """Folds by torch.nn.utils.fusion, and compares the outputs with those of before."""
        import torch

        torch.set_num_threads(context.threads)
        module = artifact.module.eval()
        inputs = context.example(2)
        before, wanted = _norms(module), module_outputs(module, inputs)
        pairs = _pairs(module, inputs) if options.enabled else []
        module = self.restore(module, {"pairs": pairs}, options)
        difference = largest_difference(wanted, module_outputs(module, inputs), len(inputs))
        effect = {
            "fused_pairs": len(pairs),
            "batch_norms_before": before,
            "batch_norms": _norms(module),
            "largest_difference": short(difference),
        }
        return Applied(Artifact(TORCH, module=module), effect, structure={"pairs": pairs})

    def prove(self, effect: Mapping[str, Any], options: Any) -> None:
        """There must be fewer batch normalisations, and the same numbers."""
        expect(
            effect["fused_pairs"] > 0 and effect["batch_norms"] < effect["batch_norms_before"],
            self.name,
            "no convolution is followed by a batch normalisation that could be folded into it "
            f"(the model has {effect['batch_norms_before']})",
        )
        expect_close(self.name, effect, options, "those before")

    @override
    def restore(self, module: Any, structure: Any, options: Any) -> Any:
        """The same pairs folded in a fresh module; the values come with the weights."""
        import torch
        from torch.nn.utils.fusion import fuse_conv_bn_eval

        layers = dict(module.named_modules())
        for conv_name, norm_name in structure["pairs"]:
            conv, norm = layers[conv_name], layers[norm_name]
            _replace(module, conv, fuse_conv_bn_eval(conv, norm, transpose=conv.transposed))
            _replace(module, norm, torch.nn.Identity())
        return module


def _norms(module: Any) -> int:
    import torch

    kind = torch.nn.modules.batchnorm._BatchNorm
    return sum(isinstance(module, kind) for module in module.modules())


def _pairs(module: Any, inputs: Inputs) -> list[list[str]]:
    """Names of convolutions and of the batch normalisations that alone read their outputs.

    They are found in the exported graph: what is called in which order, and what else reads an
    output, stands in no module.
    """
    import torch

    from pytest_perfgate.artifact import dtype_of

    program = torch.export.export(module, tensors(inputs, dtype_of(module)))
    signature = program.graph_signature
    owners = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    modules = dict(module.named_modules(remove_duplicate=False))
    names_of = {module: name for name, module in module.named_modules()}  # one name of several

    def owner(node: Any, argument: int, suffix: str) -> str:
        """The module whose `suffix` an argument of a call is, "" for none."""
        given = node.args[argument] if len(node.args) > argument else None
        name = owners.get(getattr(given, "name", ""), "")
        place, _, last = name.rpartition(".")
        return names_of[modules[place]] if last == suffix and place in modules else ""

    convolutions: dict[str, list[Any]] = {}
    norms: dict[str, list[Any]] = {}
    for node in program.graph.nodes:
        if node.op != "call_function":
            continue
        conv, norm = owner(node, 1, "weight"), owner(node, 3, "running_mean")
        if conv and isinstance(modules[conv], torch.nn.modules.conv._ConvNd):
            convolutions.setdefault(conv, []).append(node)
        elif norm and isinstance(modules[norm], torch.nn.modules.batchnorm._BatchNorm):
            norms.setdefault(norm, []).append(node)
    names = {node: name for name, nodes in norms.items() for node in nodes}
    pairs = []
    for conv, nodes in convolutions.items():
        readers = {reader for node in nodes for reader in node.users}
        names_after = {names.get(reader, "") for reader in readers}
        alone = all(len(node.users) == 1 for node in nodes)
        if (
            alone
            and len(names_after) == 1
            and (name := names_after.pop())
            and readers == set(norms[name])
        ):
            pairs.append([conv, name])
    return pairs


def _replace(module: Any, old: Any, new: Any) -> None:
    """`new` wherever `old` stands: a module may be used under two names."""
    for parent in list(module.modules()):
        for name, child in list(parent._modules.items()):  # named_children tells one name of two
            if child is old:
                setattr(parent, name, new)
