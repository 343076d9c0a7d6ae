"""Where `qat` simulates rounding in an exported graph: around what runtimes run in 8 bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_WEIGHTED = frozenset({"conv1d", "conv2d", "conv3d", "linear"})
_FUSED = frozenset({"relu", "relu_", "relu6", "relu6_", "hardtanh", "hardtanh_", "batch_norm"})
"""What runtimes run inside the layer before it."""

_MOVING = frozenset(
    {"max_pool2d", "upsample_nearest2d", "flatten", "reshape", "view", "permute", "transpose"}
)
"""What moves values and does not change them."""

_SMALLEST_SCALE = 2**-12
_SMALLEST_WEIGHT_SCALE = 2**-20
"""Fake quantizers have no smallest scale, so the conversion must not have a larger one: folding
leaves channels with weights below 127 * 2**-12, of one layer of the demo detector 62 in 64. Smaller
still, biases would not fit into 32 bits."""


def weighted(graph: Any) -> list[Any]:
    """Convolutions and linear layers of an exported graph, with weights of the network's own."""
    return [
        node
        for node in graph.nodes
        if operator(node) in _WEIGHTED and getattr(node.args[1], "op", "") == "get_attr"
    ]


def operator(node: Any) -> str:
    """The "conv2d" of a call of `aten.conv2d.default`; "" of anything else."""
    if getattr(node, "op", "") != "call_function" or not str(node.target).startswith("aten."):
        return ""
    return str(node.target).split(".")[1]


def quantizer(options: Any) -> Any:
    """A quantizer of torchao by the options of `qat`.

    Inputs, weights and outputs of convolutions and linear layers are quantized, and inputs and
    output of an addition of such outputs. An output is quantized behind the activation that
    runtimes run inside the layer: it is an integer layer only where it also gives 8 bits.
    """
    from torchao.quantization.pt2e.quantizer import QuantizationAnnotation, Quantizer

    activations, weights = _activations(options), _weights(options)
    key = "quantization_annotation"

    def annotate(node: Any, inputs: dict[Any, Any], *, output: bool) -> None:
        node.meta[key] = QuantizationAnnotation(
            input_qspec_map=inputs,
            output_qspec=activations if output else None,
            _annotated=True,
        )

    def is_quantized(node: Any) -> bool:
        while operator(node) in _MOVING:
            node = node.args[0]
        note = getattr(node, "meta", {}).get(key)
        return note is not None and note.output_qspec is not None

    class Layers(Quantizer):  # type: ignore[misc] # the library ships no types
        def annotate(self, model: Any) -> Any:
            layers = set(weighted(model.graph))
            last = set() if options.quantize_outputs else _without_layers_behind(layers)
            for node in model.graph.nodes:
                inputs: dict[Any, Any]
                if node in layers:
                    inputs = {node.args[0]: activations, node.args[1]: weights}
                elif operator(node) in {"add", "add_"} and all(map(is_quantized, node.args[:2])):
                    inputs = dict.fromkeys(node.args[:2], activations)
                else:
                    continue
                *_, end = _with_fused(node)
                annotate(node, inputs, output=end is node and node not in last)
                if end is not node and node not in last:
                    annotate(end, {}, output=True)
            return model

        def validate(self, model: Any) -> None:
            """Every graph will do."""

    return Layers()


def _without_layers_behind(layers: set[Any]) -> set[Any]:
    """Those of some layers whose output no other of them depends on."""
    read: set[Any] = set()
    waiting = [source for layer in layers for source in layer.all_input_nodes]
    while waiting:
        node = waiting.pop()
        if node not in read:
            read.add(node)
            waiting += node.all_input_nodes
    return layers - read


def _with_fused(node: Any) -> Iterator[Any]:
    """A layer, and what runs inside it: up to the first activation."""
    yield node
    while len(node.users) == 1 and operator(after := next(iter(node.users))) in _FUSED:
        node = after
        yield node
        if operator(node) != "batch_norm":
            return


def _activations(options: Any) -> Any:
    import torch
    from torchao.quantization.pt2e import (
        FusedMovingAvgObsFakeQuantize,
        MovingAverageMinMaxObserver,
    )
    from torchao.quantization.pt2e.quantizer import QuantizationSpec

    signed, symmetric = options.activations == "int8", options.activation_symmetric
    return QuantizationSpec(
        dtype=torch.int8 if signed else torch.uint8,
        quant_min=(-127 if symmetric else -128) if signed else 0,
        quant_max=127 if signed else 255,
        qscheme=torch.per_tensor_symmetric if symmetric else torch.per_tensor_affine,
        observer_or_fake_quant_ctr=FusedMovingAvgObsFakeQuantize.with_args(
            observer=MovingAverageMinMaxObserver, eps=_SMALLEST_SCALE
        ),
    )


def _weights(options: Any) -> Any:
    """Symmetric, by the weights as they are: no average of what they were."""
    import torch
    from torchao.quantization.pt2e import (
        FusedMovingAvgObsFakeQuantize,
        MovingAverageMinMaxObserver,
        MovingAveragePerChannelMinMaxObserver,
    )
    from torchao.quantization.pt2e.quantizer import QuantizationSpec

    most = 63 if options.reduce_range else 127
    return QuantizationSpec(
        dtype=torch.int8,
        quant_min=-most,
        quant_max=most,
        qscheme=torch.per_channel_symmetric if options.per_channel else torch.per_tensor_symmetric,
        ch_axis=0 if options.per_channel else None,
        observer_or_fake_quant_ctr=FusedMovingAvgObsFakeQuantize.with_args(
            observer=MovingAveragePerChannelMinMaxObserver
            if options.per_channel
            else MovingAverageMinMaxObserver,
            averaging_constant=1.0,
            eps=_SMALLEST_WEIGHT_SCALE,
        ),
    )
