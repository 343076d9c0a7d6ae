"""pt2e: a torch.export program with 8-bit operators, by torchao's PT2E quantization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import EXPORTED, TORCH, Artifact
from pytest_perfgate.errors import BuildError
from pytest_perfgate.registry import Requirement
from pytest_perfgate.steps import Applied, BuildContext, Step, expect, training_device
from pytest_perfgate.steps.exported_graph import graph_of, program_of, trained
from pytest_perfgate.steps.output_check import (
    largest_difference,
    module_outputs,
    short,
    tensors,
)
from pytest_perfgate.steps.quiet import quiet
from pytest_perfgate.steps.training_options import TrainingOptions

_CALIBRATION = "calibration"
_EPS = 1e-5
_STATIC_ONLY = frozenset({"samples"})
_QAT_ONLY = frozenset(
    {"trainer_options", "steps", "learning_rate", "batch_size", "data", "device"}
    | {"processes", "checkpoint_every"}
)


_QUANTIZABLE = frozenset({"conv1d", "conv2d", "conv3d", "linear"})


class Pt2e(Step):
    """The step `pt2e`. Its file is written and read by torch.export alone, below the project's own
    cache: such a file can carry code, so none from elsewhere is ever loaded.
    """

    name = "pt2e"
    argument = "method"
    accepts = frozenset({TORCH})
    produces = EXPORTED
    requires = (
        registry.from_extra("torch", "torch"),
        registry.from_extra("torchao", "torchao"),
    )
    splits = frozenset({_CALIBRATION})
    not_after: Mapping[str, str] = {
        "cast": "the quantizer observes float32",
        "channels_last": "compiled code chooses the layout of 8-bit weights itself",
    }

    class Options(TrainingOptions):
        """Options in torchao's words."""

        method: Literal["static", "qat"] = Field(
            "static",
            description="ranges from calibration images, or from training with simulated rounding",
        )
        samples: int = Field(64, ge=1, description="static: calibration images")
        reduce_range: bool = Field(
            False, description="use 7 bits for activations, for CPUs without VNNI"
        )
        steps: int = Field(100, ge=1, description="qat: optimizer steps")
        learning_rate: float = Field(1e-4, gt=0, description="qat: highest learning rate")
        batch_size: int = Field(8, ge=1, description="qat: images per step")
        data: str = Field("train", description="qat: a split, or an import path of training data")

        @model_validator(mode="after")
        def _fits(self) -> Pt2e.Options:
            """An option of the other method is an error, not ignored."""
            other = _QAT_ONLY if self.method == "static" else _STATIC_ONLY
            wrong = sorted(self.changed & other)
            if wrong:
                raise ValueError(f"{wrong[0]} is not an option of {self.method!r}")
            return self

    @override
    def requires_with(self, options: Any) -> tuple[Requirement, ...]:
        """Torch and torchao, and what the device of the training needs."""
        return (*self.requires, *training_device.requirements(options.device))

    @override
    def splits_with(self, options: Any) -> frozenset[str]:
        """The data of this method: images for ranges, or for the training."""
        return self.splits if options.method == "static" else frozenset({options.data})

    @override
    def trains_with(self, options: Any) -> bool:
        """Whether this method calls the suite's trainer."""
        return bool(options.method == "qat")

    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """Exports with a dynamic batch, quantizes, and exports again what came of it."""
        import torch

        torch.set_num_threads(context.threads)
        torch.manual_seed(context.seed)
        module = artifact.module.eval()
        inputs = context.example(2)
        expected = module_outputs(module, inputs)
        qat = options.method == "qat"
        with quiet(streams=False):
            prepared = self._prepare(graph_of(module, inputs), options)
            if qat:
                prepared, more = trained(self.name, prepared, options.batch_size, options, context)
            else:
                more = {"calibration_images": self._calibrated(prepared, options, context)}
            converted = self._convert(prepared)
            program = program_of(converted, inputs)
            path = context.folder / "model.pt2"
            torch.export.save(program, path)
        quantized, quantizable = count(program.graph_module.graph)
        actual = module_outputs(program.module(), inputs)
        effect = {
            "quantized_ops": quantized,
            "quantizable_ops": quantizable,
            "quantized_share": round(quantized / max(1, quantizable), 4),
            **more,
            "difference": short(largest_difference(expected, actual, len(inputs))),
            "bytes": path.stat().st_size,
        }
        return Applied(Artifact(EXPORTED, path=path), effect)

    def prove(self, effect: Mapping[str, Any], options: Any) -> None:
        """Operators must have become 8-bit, on images or after the steps that were asked for."""
        expect(
            effect["quantized_ops"] > 0,
            self.name,
            f"none of {effect['quantizable_ops']} convolutions and linear layers was quantized",
        )
        if options.method == "qat":
            expect(effect["steps"] == options.steps, self.name, "it was not trained")
        else:
            expect(effect["calibration_images"] > 0, self.name, "no calibration image was used")

    def _prepare(self, graph: Any, options: Any) -> Any:
        from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e, prepare_qat_pt2e
        from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

        qat = options.method == "qat"
        if qat:
            _refuse_other_eps(graph.graph)
        quantizer = x86.X86InductorQuantizer()
        quantizer.set_global(
            x86.get_default_x86_inductor_quantization_config(
                is_qat=qat, reduce_range=options.reduce_range
            )
        )
        try:
            return (prepare_qat_pt2e if qat else prepare_pt2e)(graph, quantizer)
        except Exception as error:
            shared = _shared(graph.graph)
            if shared:
                raise BuildError(
                    f"torchao cannot quantize layers that run more than once, as a head that "
                    f"several pyramid levels share: {', '.join(shared)} ({error})",
                    next_step="give each level a copy of its own, or quantize an ONNX export: "
                    '{ export = "onnx" }, { quantize = "static" }',
                ) from error
            raise

    @staticmethod
    def _convert(prepared: Any) -> Any:
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e

        return convert_pt2e(prepared)

    @staticmethod
    def _calibrated(prepared: Any, options: Any, context: BuildContext) -> int:
        import torch

        used = 0
        with torch.no_grad():
            for inputs in context.inputs(_CALIBRATION, options.samples):
                prepared(*tensors(inputs))
                used += 1
                context.progress(used, options.samples, "calibrating")
        return used


def count(graph: Any) -> tuple[int, int]:
    """Convolutions and linear layers of an exported graph: those whose input and weight both come
    out of a dequantization, and all.
    """
    listed = [node for node in graph.nodes if _base(node) in _QUANTIZABLE]
    quantized = [
        node
        for node in listed
        if all(_base(argument).startswith("dequantize") for argument in node.args[:2])
    ]
    return len(quantized), len(listed)


def _base(node: Any) -> str:
    """The "conv2d" of a call of `aten.conv2d.default`; "" of what is no such call."""
    if getattr(node, "op", "") != "call_function" or str(node.target).count(".") != 2:
        return ""
    return str(node.target).split(".")[1]


def _refuse_other_eps(graph: Any) -> None:
    """Torchao's training simulates the folding of batch normalisation with this eps, whatever a
    layer has: at 0.001 and small variances the outputs are others by more than a tenth.
    """
    for node in graph.nodes:
        if _base(node) == "batch_norm" and str(_base(node.args[0])).startswith("conv"):
            eps, name = node.args[7], str(node.args[3].target).rpartition(".")[0]
            if eps != _EPS:
                raise BuildError(
                    f"torchao trains batch normalisation with eps = {_EPS:g} only, and {name} has "
                    f"{eps:g}",
                    next_step="{ qat = … }, which folds it beforehand, or { fuse = true } before",
                )


def _shared(graph: Any) -> list[str]:
    """Names of layers whose weights more than one operator of a graph reads."""
    return sorted(
        str(node.target).rpartition(".")[0]
        for node in graph.nodes
        if node.op == "get_attr"
        and str(node.target).endswith(".weight")
        and sum(_base(user) in _QUANTIZABLE for user in node.users) > 1
    )
