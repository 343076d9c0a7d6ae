"""quantize on graphs as people have them: ReLU6, old operator sets, weights among the inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, Artifact
from pytest_perfgate.errors import BuildError
from pytest_perfgate.steps import quantize_source
from pytest_perfgate.steps.quantize import Quantize
from pytest_perfgate.steps.quantize_clips import clips_off_zero

from tests.steps.conftest import SIDE, example, infer

onnx = pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")
pytest.importorskip("onnxruntime", reason="pip install 'pytest-perfgate[onnx]'")
helper = pytest.importorskip("onnx.helper")


def graph_file(
    path: Path,
    nodes: list[Any],
    weights: dict[str, Any],
    *,
    opset: int = 17,
    ir: int = 8,
    listed: bool = False,
) -> Artifact:
    """An ONNX file from `x` (batch, 3, SIDE, SIDE) to `y`; listed: weights are inputs before it."""
    image = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])
    output = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()]
    inputs = [
        helper.make_tensor_value_info(each.name, each.data_type, list(each.dims))
        for each in tensors
        if listed
    ]
    graph = helper.make_graph(nodes, "g", [*inputs, image], [output], tensors)
    opsets = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=ir), path)
    return Artifact(ONNX, path=path)


def kernel(*shape: int) -> Any:
    """A weight, the same every time."""
    return np.random.default_rng(1).standard_normal(shape, dtype=np.float32) / 4


CONV = helper.make_node("Conv", ["x", "w"], ["a"], name="conv", pads=[1, 1, 1, 1])


def kinds(artifact: Artifact) -> list[str]:
    """The operators of a file."""
    return [node.op_type for node in onnx.load(artifact.path).graph.node]


def quantized(source: Artifact, context: Any, **asked: Any) -> Any:
    """The step's result, proven."""
    step, options = Quantize(), Quantize.Options(**asked)
    applied = step.apply(source, options, context)
    step.prove(applied.effect, options)
    return applied


def relu6(tmp_path: Path, low: float = 0.0, high: float = 6.0) -> Artifact:
    """Two convolutions with a ReLU6, a Clip, between them; or a Clip to other bounds."""
    bounds = {"low": np.array(low, np.float32), "high": np.array(high, np.float32)}
    nodes = [
        CONV,
        helper.make_node("Clip", ["a", "low", "high"], ["c"], name="clip"),
        helper.make_node("Conv", ["c", "v"], ["y"], name="last"),
    ]
    weights = {"w": kernel(4, 3, 3, 3), "v": kernel(2, 4, 1, 1), **bounds}
    return graph_file(tmp_path / "relu6.onnx", nodes, weights)


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.2), (-0.2, -0.1)])
def test_a_clip_off_zero_stays(tmp_path: Path, make_context: Any, low: float, high: float) -> None:
    """Codes always hold zero, so that they would clip to it: 0.45 and 0.75 of the largest."""
    source = relu6(tmp_path, low, high)
    done = quantized(source, make_context("clip"))
    assert "Clip" in kinds(done.artifact)
    expected, ours = (infer(file.path, example(4)) for file in (source, done.artifact))
    assert np.abs(ours - expected).max() < 0.1 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("inputs", "attributes", "stays"),
    [
        (["x", "low", "high"], {}, False),
        (["x", "some", "high"], {}, True),
        (["x", "some"], {}, True),
        (["x", "", "high"], {}, False),
        (["x", "computed"], {}, True),
        (["x"], {"min": 0.0, "max": 6.0}, False),
        (["x"], {"min": 0.5, "max": 6.0}, True),
    ],
)
def test_bounds_of_a_clip(inputs: list[str], attributes: dict[str, float], stays: bool) -> None:
    """As initializers, constants, attributes of old operator sets, or computed; absent ones."""
    values = {"low": 0.0, "high": 6.0, "some": 0.5}
    nodes = [helper.make_node("Clip", inputs, ["y"], name="clip", **attributes)]
    tensors = [onnx.numpy_helper.from_array(np.float32(v), k) for k, v in values.items()]
    some = tensors.pop()
    nodes.insert(0, helper.make_node("Constant", [], ["some"], value=some))
    graph = helper.make_graph(nodes, "g", [], [], tensors)
    assert clips_off_zero(graph) == (["clip"] if stays else [])


def test_a_relu6_takes_no_pair_of_its_own(tmp_path: Path, make_context: Any) -> None:
    """The zero point clips: Clip is gone, or in 8 bits, by default; left out, it is in float."""
    source = relu6(tmp_path)
    default = quantized(source, make_context("default"))
    assert default.effect["quantized_share"] == 1.0
    floats = quantized(source, make_context("f"), op_types_to_quantize=("Conv", "Gemm", "MatMul"))
    assert kinds(default.artifact).count("QuantizeLinear") < kinds(floats.artifact).count(
        "QuantizeLinear"
    )


def test_bounds_are_no_weights(tmp_path: Path, make_context: Any) -> None:
    """Of a Clip nothing is stored in 8 bits."""
    effect = quantized(relu6(tmp_path), make_context(), method="weight_only").effect
    assert (effect["quantized_ops"], effect["quantizable_ops"]) == (2, 2)


def test_weights_in_seven_bits_span_half_of_eight(tmp_path: Path, make_context: Any) -> None:
    """`reduce_range` is proven by the weights in the file."""
    source = relu6(tmp_path)
    assert quantized(source, make_context("8")).effect["weight_bits"] == 8
    assert quantized(source, make_context("7"), reduce_range=True).effect["weight_bits"] == 7


def test_calibration_by_entropy_is_refused() -> None:
    """ONNX Runtime's entropy gives the ranges of minmax: an option without effect."""
    with pytest.raises(ValidationError, match="'minmax' or 'percentile'"):
        Quantize.Options(calibrate_method="entropy")


def test_grouped_transposed_convolutions_are_named(tmp_path: Path, make_context: Any) -> None:
    """Per channel, ONNX Runtime writes a file that it cannot load; per tensor it works."""
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up", group=3, strides=[2, 2])
    ]
    source = graph_file(tmp_path / "t.onnx", nodes, {"w": kernel(3, 2, 2, 2)})
    types = ("ConvTranspose",)
    with pytest.raises(BuildError, match="ConvTranspose 'up' has 3 groups") as caught:
        quantized(source, make_context("a"), op_types_to_quantize=types)
    assert "per_channel = false" in caught.value.next_step
    quantized(source, make_context("b"), op_types_to_quantize=types, per_channel=False)


def padded_pool(path: Path, *after: Any) -> Artifact:
    """A border of zeros around negative numbers, and a maximum over it, as YOLOv3-tiny has it; the
    nodes `after` read `m`, and the first has weights `w`.
    """
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["s"]),
        helper.make_node("Neg", ["s"], ["n"]),
        helper.make_node("Pad", ["n", "border"], ["p"], name="zeros"),
        helper.make_node("MaxPool", ["p"], ["m"], name="most", kernel_shape=[2, 2]),
        *(after or [helper.make_node("Identity", ["m"], ["y"])]),
    ]
    border = np.array([0, 0, 0, 0, 0, 0, 1, 1], np.int64)
    return graph_file(path, nodes, {"border": border, "w": kernel(4, 3, 3, 3)})


def test_a_border_of_zeros_stays_before_a_maximum(tmp_path: Path, make_context: Any) -> None:
    """ONNX Runtime's optimizer, which prepares a graph, would put it into the MaxPool, whose own
    border is the lowest number there is.
    """
    conv = helper.make_node("Conv", ["m", "w"], ["y"], name="conv")
    done = quantized(padded_pool(tmp_path / "padded.onnx", conv), make_context("padded"))
    assert "Pad" in kinds(done.artifact)
    (pool,) = (n for n in onnx.load(done.artifact.path).graph.node if n.op_type == "MaxPool")
    assert not any(any(a.ints) for a in pool.attribute if a.name == "pads")


def enlarged(path: Path, opset: int, mode: str) -> Artifact:
    """A convolution, and what enlarges an image by three in that operator set."""
    kind = "Upsample" if opset < 10 else "Resize"
    nodes = [CONV, helper.make_node(kind, ["a", "scales"], ["y"], mode=mode)]
    scales = np.array([1, 1, 3, 3], np.float32)
    weights = {"w": kernel(4, 3, 3, 3), "scales": scales}
    return graph_file(path / f"{opset}{mode}.onnx", nodes, weights, opset=opset, ir=6)


@pytest.mark.parametrize("opset", [9, 10])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_old_resizes_keep_their_outputs(
    tmp_path: Path, make_context: Any, opset: int, mode: str
) -> None:
    """The coordinates of the old operator set stay: int8 weights are all that differs."""
    source = enlarged(tmp_path, opset, mode)
    applied = quantized(source, make_context(), method="weight_only")
    wanted = infer(source.path, example(3))
    apart = np.abs(infer(applied.artifact.path, example(3)) - wanted).max()
    assert 0 < apart < 0.02 * np.abs(wanted).max()


def test_a_conversion_that_changes_outputs_is_an_error(
    tmp_path: Path, make_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the converter of onnx writes alone has other coordinates, and is found."""
    monkeypatch.setattr(
        quantize_source,
        "_converted",
        lambda model, _: onnx.version_converter.convert_version(model, 17),
    )
    with pytest.raises(BuildError, match="operator set 9 to 17 changes an output"):
        quantized(enlarged(tmp_path, 9, "linear"), make_context(), method="weight_only")


@pytest.mark.parametrize("place", ["inputs", "constants"])
@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("quantize", {}),
        ("quantize", {"method": "dynamic"}),
        ("quantize", {"method": "weight_only"}),
        ("half", {}),
        ("simplify", {}),
        ("ncnn", {}),
        ("nncf", {}),
    ],
)
def test_weights_are_found_wherever_the_exporter_put_them(
    tmp_path: Path, make_context: Any, name: str, asked: dict[str, Any], place: str
) -> None:
    """Among the inputs before the image, as of IR version 3, or in Constant nodes: each step that
    takes an ONNX file proves its effect.
    """
    step = registry.find(registry.STEPS, name)
    for package in step.requires:
        pytest.importorskip(package.module, reason=package.install)
    weights = {"w": kernel(4, 3, 3, 3), "v": kernel(2, 4, 1, 1)}
    nodes = [
        CONV,
        helper.make_node("Relu", ["a"], ["r"], name="relu"),
        helper.make_node("Conv", ["r", "v"], ["b"], name="last"),
        helper.make_node("Identity", ["b"], ["y"], name="idle"),  # for what simplifies
    ]
    if place == "constants":
        tensors = [onnx.numpy_helper.from_array(value, key) for key, value in weights.items()]
        nodes = [
            *(helper.make_node("Constant", [], [each.name], value=each) for each in tensors),
            *nodes,
        ]
        source = graph_file(tmp_path / "c.onnx", nodes, {}, opset=13)
    else:
        source = graph_file(tmp_path / "l.onnx", nodes, weights, opset=13, ir=3, listed=True)
    options = step.Options(**asked)
    effect = step.apply(source, options, make_context()).effect
    step.prove(effect, options)
    assert effect.get("calibration_images", 1) > 0


def test_operators_without_names_are_called_by_their_outputs(
    tmp_path: Path, make_context: Any
) -> None:
    """So they can be left in float: by name, and as the most sensitive for `accuracy_drop`."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["a", "v"], ["y"]),
    ]
    source = graph_file(
        tmp_path / "bare.onnx", nodes, {"w": kernel(4, 3, 3, 3), "v": kernel(2, 4, 1, 1)}
    )
    result = quantized(source, make_context(), op_types_to_quantize=("Conv",), samples=2)
    named = quantized(
        source,
        make_context("named"),
        op_types_to_quantize=("Conv",),
        samples=2,
        nodes_to_exclude=("a",),
    )
    assert result.effect["quantized_ops"] - named.effect["quantized_ops"] == 1
    scores = iter((1.0, 0.5, 0.9))
    held = quantized(
        source,
        make_context("held", score=lambda _artifact, _split: next(scores)),
        op_types_to_quantize=("Conv",),
        samples=2,
        accuracy_drop=0.2,
    )
    assert set(held.effect["float_layers"]) < {"a", "y"}
    assert len(held.effect["float_layers"]) == 1
