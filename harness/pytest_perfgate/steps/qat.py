"""qat: training with simulated rounding, exported as an ONNX graph with 8-bit operators."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, Artifact
from pytest_perfgate.errors import BuildError
from pytest_perfgate.steps import Applied, BuildContext, expect
from pytest_perfgate.steps.exported_graph import graph_of, trained
from pytest_perfgate.steps.integer_kernels import kernel_counts
from pytest_perfgate.steps.onnx_export import first_error, write_onnx
from pytest_perfgate.steps.output_check import (
    CHECKED,
    module_outputs,
    onnx_outputs,
    onnx_session,
    short,
    spread,
)
from pytest_perfgate.steps.qat_quantizer import quantizer, weighted
from pytest_perfgate.steps.qat_relu import quantize_before_relu
from pytest_perfgate.steps.quantize_codes import code_facts
from pytest_perfgate.steps.quiet import quiet
from pytest_perfgate.steps.training_options import TrainingOptions
from pytest_perfgate.steps.training_step import TrainingStep

_TOLERANCE = 0.1
"""Root mean square of the difference of the file's outputs from the trained graph's, relative to
that of the outputs: a code that is off here and there is rounding, more is another network."""


class Qat(TrainingStep):
    """The step `qat`; `steps.training.CONTRACT` says how the trainer is called."""

    name = "qat"
    argument = "steps"
    produces = ONNX
    requires = (
        registry.from_extra("torch", "torch"),
        registry.from_extra("torchao", "torchao"),
        registry.from_extra("onnx", "onnx"),
        registry.from_extra("onnxscript", "onnx"),
        registry.from_extra("onnxruntime", "onnx"),
    )
    not_after: Mapping[str, str] = {
        "cast": "rounding is simulated in float32",
        "sparsify": "the training would not keep zero weights zero",
    }

    class Options(TrainingOptions):
        """Options of the training, and of the codes in the words of `quantize`."""

        learning_rate: float = Field(1e-4, gt=0, description="highest learning rate")
        activations: Literal["uint8", "int8"] = Field("uint8", description="activation type")
        activation_symmetric: bool = Field(
            False, description="symmetric activations (zero point 0), as TensorRT requires"
        )
        per_channel: bool = Field(True, description="a scale per output channel of the weights")
        reduce_range: bool = Field(
            False, description="7-bit weights, for CPUs without VNNI, whose 8-bit products overflow"
        )
        quantize_outputs: bool = Field(
            True,
            description="quantize outputs of the last layers; false: more accurate, and ONNX "
            "Runtime computes these layers in float",
        )
        samples: int = Field(
            32, ge=1, description="training images that ranges of activations start from"
        )
        opset_version: int = Field(18, ge=17, le=25, description="ONNX operator set")

        @model_validator(mode="after")
        def _fits(self) -> Qat.Options:
            """Symmetric codes are signed ones."""
            if self.activation_symmetric and self.activations != "int8":
                raise ValueError("activation_symmetric needs activations = 'int8'")
            return self

    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """Traces, folds batch normalisation, trains with simulated rounding, and exports."""
        import onnx
        import torch
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e

        torch.set_num_threads(context.threads)
        torch.manual_seed(context.seed)
        inputs = context.example(2)
        module = artifact.module.eval()
        expected = module_outputs(module, inputs)
        prepared, layers = self._prepared(module, options, context)
        with quiet(streams=False):
            prepared, more = trained(self.name, prepared, options.samples, options, context)
            _measure_weights(prepared, inputs)
            converted = convert_pt2e(prepared)
        path = context.folder / "model.onnx"
        write_onnx(converted, path, inputs, opset_version=options.opset_version)
        if options.activation_symmetric:
            quantize_before_relu(path)
        _compare(converted, path, context)
        graph = onnx.load(path).graph
        outputs = onnx_outputs(onnx_session(path, context.threads), inputs)
        quantized, _ = _count(graph)
        effect = {
            "quantized_ops": quantized,
            "quantizable_ops": layers,
            "quantized_share": round(quantized / max(1, layers), 4),
            **more,
            **kernel_counts(path, context.threads),
            **code_facts(graph),
            "difference": short(max(map(spread, outputs, expected))),
            "bytes": path.stat().st_size,
        }
        return Applied(Artifact(ONNX, path=path), effect)

    @override
    def prove(self, effect: Mapping[str, Any], options: Any) -> None:
        """Trained for all steps, with codes of the kind that was requested, which runtimes compute
        with as integers.
        """
        expect(
            effect["quantized_ops"] > 0,
            self.name,
            f"none of {effect['quantizable_ops']} convolutions and linear layers was quantized",
        )
        expect(effect["steps"] == options.steps, self.name, "it was not trained")
        for runtime, integers in effect["integer_kernels"].items():
            floats = effect["float_kernels"][runtime]
            expect(
                integers > 0,
                self.name,
                f"none of {floats} layers with products runs as integers in {runtime}",
            )
        if options.activation_symmetric:
            violations = effect["zero_points_not_zero"]
            expect(violations == 0, self.name, f"{violations} zero points of activations are not 0")
        most = 7 if options.reduce_range else 8
        bits = effect["weight_bits"]
        expect(0 < bits <= most, self.name, f"weights take {bits} bits")

    @staticmethod
    def _prepared(module: Any, options: Any, context: BuildContext) -> tuple[Any, int]:
        """The network as a graph that simulates rounding, its batch normalisation folded into
        convolutions, and how many layers can be quantized.
        """
        from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e

        try:
            graph = graph_of(module, context.example(2))
        except Exception as error:
            raise BuildError(
                f"the network cannot be traced by torch.export: {first_error(error)}",
                next_step="take branches and loops that depend on values out of `forward`, or "
                'quantize after the training: { export = "onnx" }, { quantize = "static" }',
            ) from error
        layers = len(weighted(graph.graph))
        if not layers:
            raise BuildError(
                "there is nothing to quantize: the network has no convolution and no linear layer",
                next_step="leave { qat = … } out",
            )
        # Of torchao's two ways this one folds batch normalisation before the training. The other
        # simulates the folding, and takes eps = 1e-5 whatever the layer has.
        with quiet(streams=False):
            prepared = prepare_pt2e(graph, quantizer(options))
        for parameter in prepared.parameters():  # biases of folding are none of the network's own
            parameter.requires_grad_(True)
        return prepared, layers


def _measure_weights(prepared: Any, inputs: Any) -> None:
    """Scales of the weights as the training left them, an average of several steps perhaps; those
    of activations stay.
    """
    import torch

    from pytest_perfgate.steps.output_check import tensors

    quantizers = dict(prepared.named_modules())
    for node in prepared.graph.nodes:
        is_quantizer = node.op == "call_module" and hasattr(
            quantizers[node.target], "enable_observer"
        )
        if is_quantizer and node.args[0].op != "get_attr":
            quantizers[node.target].disable_observer()
    with torch.no_grad():
        prepared(*tensors(inputs))


def _compare(converted: Any, path: Path, context: BuildContext) -> None:
    """Compare the file with the graph that it was exported from, each operator as ONNX defines it.

    Raises:
        BuildError: it computes something else, or does not run another batch.
    """
    session = onnx_session(path, context.threads, exact=True)
    for count in CHECKED:
        inputs = context.example(count)
        pairs = zip(onnx_outputs(session, inputs), module_outputs(converted, inputs), strict=True)
        apart = max(spread(ours, theirs) for ours, theirs in pairs)
        if not apart <= _TOLERANCE:
            raise BuildError(
                f"the exported graph's outputs differ by {short(apart)} (root mean square, "
                "relative) from the trained network's",
                valid=f"at most {_TOLERANCE}",
                next_step="look for an operator that exports differently",
            )


def _count(graph: Any) -> tuple[int, int]:
    """Operators with products whose two inputs are dequantized, and all."""
    makers = {output: node.op_type for node in graph.node for output in node.output}
    listed = [node for node in graph.node if node.op_type in {"Conv", "Gemm", "MatMul"}]
    quantized = [
        node
        for node in listed
        if all(makers.get(name) == "DequantizeLinear" for name in node.input[:2])
    ]
    return len(quantized), len(listed)
