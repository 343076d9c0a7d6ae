"""Methods of quantization beside the plain static one, and what proves each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import ONNX, Artifact
from pytest_perfgate.errors import BuildError, NoEffect
from pytest_perfgate.steps.quantize import Quantize

from tests.steps.conftest import example, infer

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
onnx = pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="pip install 'pytest-perfgate[onnx]'")


def far(one: Artifact, other: Artifact) -> float:
    """Largest difference of outputs, to the largest output."""
    got, wanted = infer(one.path, example(3)), infer(other.path, example(3))
    return float(np.abs(got - wanted).max() / np.abs(wanted).max())


def quantized(exported: Artifact, context: Any, **asked: Any) -> tuple[Any, Artifact]:
    """The effect, proven, and the artifact."""
    step, options = Quantize(), Quantize.Options(**asked)
    applied = step.apply(exported, options, context)
    step.prove(applied.effect, options)
    return applied.effect, applied.artifact


@pytest.mark.parametrize("per_channel", [True, False])
def test_weight_only_stores_bytes_and_computes_in_float(
    exported: Artifact, make_context: Any, per_channel: bool
) -> None:
    """Every weight is int8 in the file, no activation is, and no image is asked for."""
    context = make_context("w", inputs=None)
    effect, built = quantized(exported, context, method="weight_only", per_channel=per_channel)
    assert effect["quantized_ops"] == effect["quantizable_ops"] == 3
    assert effect["bytes"] < 0.6 * effect["bytes_before"]
    graph = onnx.load(built.path).graph
    assert not [node for node in graph.node if node.op_type == "QuantizeLinear"]
    assert 0 < far(built, exported) < 0.05


def test_dynamic_quantizes_as_it_runs(exported: Artifact, make_context: Any) -> None:
    """Integer convolutions, and no image is asked for."""
    context = make_context("d", inputs=None)
    effect, built = quantized(
        exported, context, method="dynamic", weights="uint8", op_types_to_quantize=("Conv",)
    )
    assert effect["quantized_ops"] == effect["quantizable_ops"] == 3
    kinds = {node.op_type for node in onnx.load(built.path).graph.node}
    assert "ConvInteger" in kinds
    assert "Conv" not in kinds
    assert 0 < far(built, exported) < 0.2


TENSORRT = {
    "activations": "int8",
    "weights": "int8",
    "activation_symmetric": True,
    "quantize_bias": False,
    "op_types_to_quantize": ("Conv", "Gemm", "MatMul"),
}


def test_the_shape_that_tensorrt_takes(exported: Artifact, make_context: Any) -> None:
    """Symmetric int8 on both sides, biases in float; what is asked for by default has neither."""
    effect, built = quantized(exported, make_context("t"), samples=2, **TENSORRT)
    assert (effect["zero_points_not_zero"], effect["quantized_biases"]) == (0, 0)
    assert effect["quantized_ops"] == 3
    assert 0 < far(built, exported) < 0.2
    plain, _ = quantized(exported, make_context("p"), samples=2)
    assert plain["zero_points_not_zero"] > 0
    assert plain["quantized_biases"] > 0


@pytest.mark.parametrize(
    ("name", "part"),
    [("zero_points_not_zero", "zero points of activations"), ("quantized_biases", "biases")],
)
def test_what_tensorrt_would_not_take_is_no_effect(name: str, part: str) -> None:
    """One zero point or one bias is enough."""
    good = {
        "quantized_ops": 3,
        "quantizable_ops": 3,
        "calibration_images": 2,
        "zero_points_not_zero": 0,
        "quantized_biases": 0,
    }
    options = Quantize.Options(**TENSORRT)
    Quantize().prove(good, options)
    with pytest.raises(NoEffect, match=part):
        Quantize().prove({**good, name: 1}, options)


class Judge:
    """A score that the first convolution in 8 bits costs 0.2, and every other 0.01."""

    def __init__(self, exported: Artifact) -> None:
        names = [node.name for node in onnx.load(exported.path).graph.node]
        self.first = next(name for name in names if "conv" in name.lower())
        self.asked: list[str] = []

    def __call__(self, artifact: Artifact, split: str) -> float:
        """1, less what is in 8 bits."""
        self.asked.append(split)
        graph = onnx.load(artifact.path).graph
        makers = {output: node.op_type for node in graph.node for output in node.output}
        score = 1.0
        for node in graph.node:
            if node.op_type == "Conv" and makers.get(node.input[0]) == "DequantizeLinear":
                score -= 0.2 if node.name == self.first else 0.01
        return score


def test_layers_stay_in_float_until_accuracy_holds(exported: Artifact, make_context: Any) -> None:
    """As many as it takes, named; scored on calibration images and no others."""
    judge = Judge(exported)
    effect, _ = quantized(
        exported,
        make_context("a", score=judge),
        samples=2,
        accuracy_drop=0.05,
        op_types_to_quantize=("Conv",),
    )
    assert judge.first in effect["float_layers"]
    assert effect["accuracy_drop"] <= 0.05
    assert effect["tried"] >= 2
    assert effect["quantized_ops"] == 3 - len(effect["float_layers"]) > 0
    assert set(judge.asked) == {"calibration"}


def test_an_accuracy_that_cannot_hold_is_an_error(exported: Artifact, make_context: Any) -> None:
    """Not the best that was found: an error that says how far it came."""
    with pytest.raises(BuildError, match="does not hold with 1 layers in float"):
        quantized(
            exported,
            make_context("a", score=lambda artifact, _: float(artifact.path == exported.path)),
            samples=2,
            accuracy_drop=0.05,
            max_excluded=1,
            op_types_to_quantize=("Conv",),
        )


@pytest.mark.parametrize(
    "asked",
    [
        {"method": "dynamic", "samples": 4},
        {"method": "weight_only", "activations": "int8"},
        {"method": "weight_only", "weights": "uint8"},
        {"method": "dynamic", "accuracy_drop": 0.1},
        {"max_excluded": 3},
        {"method": "awq"},
    ],
)
def test_options_of_another_method_are_refused(asked: dict[str, Any]) -> None:
    """Not ignored: who writes them believes that they do something."""
    with pytest.raises(ValidationError):
        Quantize.Options(**asked)


def test_only_static_needs_images() -> None:
    """And training images only where accuracy is held on them."""
    assert Quantize().splits_with(Quantize.Options(method="dynamic")) == frozenset()
    assert Quantize().splits_with(Quantize.Options()) == {"calibration"}
    held = Quantize.Options(accuracy_drop=0.1, accuracy_split="train")
    assert Quantize().splits_with(held) == {"calibration", "train"}


def test_an_onnx_file_is_needed(make_context: Any) -> None:
    """For every method."""
    with pytest.raises(BuildError, match="no ONNX file"):
        quantized(Artifact(ONNX), make_context(), method="dynamic")
