"""A runtime that gives other numbers than ONNX Runtime is an error before anything is measured."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, Artifact
from pytest_perfgate.building.artifact_handle import ArtifactHandle
from pytest_perfgate.building.runtime_check import check_runtime
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.records.recipe import ModelSpec, Recipe, RuntimeSpec
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.steps.onnx_comparison import Comparison
from pytest_perfgate.steps.onnx_parts import Parts

from tests.steps.conftest import SIDE, context_in, example
from tests.steps.test_quantize_graphs import CONV, graph_file, kernel, padded_pool, quantized

onnx = pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")
pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")
node = pytest.importorskip("onnx.helper").make_node

WEIGHTS = {"w": kernel(4, 3, 3, 3), "v": kernel(2, 4, 1, 1)}


class Images:
    """What the check takes of a suite's data: four images, as bytes and as network inputs."""

    def example(self, count: int) -> Any:
        """See `SuiteData`."""
        return Inputs(example(count))

    def images(self, _split: str, indices: list[int]) -> list[Any]:
        """See `SuiteData`."""
        return [np.zeros((SIDE, SIDE, 3), np.uint8) for _ in indices]

    @property
    def pipeline(self) -> Any:
        """A pipeline that scales bytes to [0, 1]."""
        return SimpleNamespace(
            preprocess=lambda images: (
                Inputs(np.stack(images).transpose(0, 3, 1, 2).astype(np.float32) / 255),
                None,
            )
        )


def shaped(source: Artifact) -> Artifact:
    """The file with the shapes of its outputs, which OpenCV asks for."""
    onnx.save(onnx.shape_inference.infer_shapes(onnx.load(source.path)), source.path)
    return source


def between(tmp_path: Path, kind: str, **attributes: Any) -> Artifact:
    """Two convolutions and an operator between them."""
    nodes = [
        CONV,
        node(kind, ["a"], ["m"], name="between", **attributes),
        node("Conv", ["m", "v"], ["y"], name="last"),
    ]
    return graph_file(tmp_path / f"{kind}.onnx", nodes, WEIGHTS)


def eight_bits(tmp_path: Path, kind: str, options: dict[str, Any], **attributes: Any) -> Artifact:
    """The same in 8 bits."""
    source = between(tmp_path, kind, **attributes)
    types = {"op_types_to_quantize": ("Conv", kind)}
    done: Artifact = quantized(source, context_in(tmp_path / "q"), **types, **options).artifact
    return done


def sixteen_bits(tmp_path: Path) -> Artifact:
    """Two convolutions and a ReLU between them, which ONNX Runtime's quantizer leaves to the codes:
    the lowest of them is zero.
    """
    from onnxruntime import quantization
    from pytest_perfgate.steps.quantize import _reader

    source, path = between(tmp_path, "Relu").path, tmp_path / "codes.onnx"
    assert source is not None
    quantization.quantize_static(
        str(source),
        str(path),
        _reader(source, context_in(tmp_path / "q"), 8),
        quant_format=quantization.QuantFormat.QDQ,
        activation_type=quantization.QuantType.QUInt16,
        weight_type=quantization.QuantType.QInt8,
        op_types_to_quantize=["Conv", "Relu"],
    )
    return Artifact(ONNX, path=path)


def steep(tmp_path: Path, kind: str, **attributes: Any) -> Artifact:
    """An operator that is given values of some hundred."""
    nodes = [CONV, node(kind, ["a"], ["y"], name="steep", **attributes)]
    weights = {"w": 200 * WEIGHTS["w"]}
    return shaped(graph_file(tmp_path / "steep.onnx", nodes, weights))


def checked(
    name: str, source: Artifact, tmp_path: Path, tolerance: float | None = None, **options: Any
) -> float | None:
    """What the check says of a file in a runtime."""
    runtime = registry.find(registry.RUNTIMES, name)
    for package in runtime.requires:
        pytest.importorskip(package.module, reason=package.install)
    context = OpenContext(1, tmp_path)
    recipe = Recipe(
        name="r",
        parent="",
        reference="r",
        chain=(),
        own_steps=0,
        runtime=RuntimeSpec(name, options),
        budgets=(),
        runtime_tolerance=tolerance,
    )
    session = runtime.open(source, runtime.Options(**options), context)
    artifact = ArtifactHandle(ONNX, source.path, ModelSpec("m.onnx"))
    data: Any = Images()
    return check_runtime(recipe, artifact, session, context, data)


def truly_apart(source: Artifact, tmp_path: Path) -> bool:
    """Whether OpenCV gives other numbers here at all, looked at without the check: its kernels are
    others on other CPUs.
    """
    pytest.importorskip("cv2", reason="python -m pip install 'pytest-perfgate[opencv]'")
    gave = []
    for name in ("opencv", "onnxruntime"):
        runtime = registry.find(registry.RUNTIMES, name)
        session = runtime.open(source, runtime.Options(), OpenContext(1, tmp_path))
        probes = (example(4), np.zeros_like(example(1)), np.ones_like(example(1)))
        gave.append([session.run(Inputs(images.copy()))[0] for images in probes])
    return any(
        np.abs(ours - theirs).max() > 0.3 * np.abs(theirs).max()
        for ours, theirs in zip(*gave, strict=True)
    )


@pytest.mark.parametrize(
    ("kind", "operator", "attributes"),
    [
        ("Sigmoid", "Sigmoid 'between' with its uint8 Q/DQ pair", {}),
        ("GlobalAveragePool", "behind GlobalAveragePool 'between'", {}),
        ("GlobalMaxPool", "behind GlobalMaxPool 'between'", {}),
        ("ReduceMean", "ReduceMean 'between'", {"axes": [2, 3]}),
    ],
)
def test_opencvs_new_engine_is_caught_between_8_bit_layers(
    tmp_path: Path, kind: str, operator: str, attributes: dict[str, Any]
) -> None:
    """The message names runtime, output and operator; the classic engine, named too, agrees. On a
    CPU whose kernels compute it right, nothing is said. A sigmoid is wrong on all.
    """
    source = eight_bits(tmp_path, kind, {}, **attributes)
    if not truly_apart(source, tmp_path):
        assert kind != "Sigmoid"
        apart = checked("opencv", source, tmp_path)
        assert apart is not None
        assert apart < 0.1
        return
    with pytest.raises(RuntimeFault, match="opencv computes something else") as caught:
        checked("opencv", source, tmp_path)
    assert operator in caught.value.problem
    assert "output 'y' differs by" in caught.value.problem
    assert caught.value.where == "recipe 'r': runtime"
    assert 'set engine = "classic"' in caught.value.next_step
    apart = checked("opencv", source, tmp_path, engine="classic")
    assert apart is not None
    assert apart < 0.01
    allowed = checked("opencv", source, tmp_path, tolerance=1.9)
    assert allowed is not None
    assert allowed > 0.3
    assert checked("opencv", source, tmp_path, tolerance=2.0) is None  # left out


REDUCED = {"axes": [1], "keepdims": 1}


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [("Tanh", {}), ("Softplus", {}), ("LogSoftmax", {"axis": 1}), ("ReduceLogSumExp", REDUCED)],
)
def test_opencv_is_caught_where_large_values_overflow(
    tmp_path: Path, kind: str, attributes: dict[str, Any]
) -> None:
    """Tanh beyond 44 is NaN; ONNX Runtime has the numbers. What to set is about that operator."""
    source = steep(tmp_path, kind, **attributes)
    with pytest.raises(RuntimeFault, match=f"first operator that differs is {kind} 'steep'") as it:
        checked("opencv", source, tmp_path)
    remedies = (
        ("engine =", "opset_version = 20") if kind == "Tanh" else ('runtime = "onnxruntime"',)
    )
    assert any(remedy in it.value.next_step for remedy in remedies)
    assert ("GELU" in it.value.next_step) <= (kind == "Tanh")
    if kind != "ReduceLogSumExp":
        assert checked("openvino", source, tmp_path) < 1e-3  # type: ignore[operator] # not None


def test_onnx_runtime_is_caught_where_it_rewrites_a_graph_wrongly(tmp_path: Path) -> None:
    """It moves a border of zeros into a MaxPool, whose own border is the lowest number there is."""
    source = padded_pool(tmp_path / "padded.onnx")
    with pytest.raises(RuntimeFault, match=r"differs is MaxPool 'most'") as caught:
        checked("onnxruntime", source, tmp_path)
    assert "than ONNX Runtime without graph optimization" in caught.value.problem
    assert 'set graph_optimization = "disable"' in caught.value.next_step
    assert checked("onnxruntime", source, tmp_path, graph_optimization="disable") is None
    assert checked("onnxruntime", between(tmp_path, "Relu"), tmp_path) is None


def test_a_softmax_of_an_old_operator_set_is_caught(tmp_path: Path) -> None:
    """Up to set 12 it takes channels and pixels for one row; OpenVINO sums at each pixel."""
    nodes = [CONV, node("Softmax", ["a"], ["y"], name="classes", axis=1)]
    with pytest.raises(RuntimeFault, match=r"differs is Softmax 'classes'") as caught:
        checked("openvino", graph_file(tmp_path / "old.onnx", nodes, WEIGHTS, opset=11), tmp_path)
    assert "export with opset_version = 13 or later" in caught.value.next_step
    apart = checked("openvino", graph_file(tmp_path / "new.onnx", nodes, WEIGHTS), tmp_path)
    assert apart is not None
    assert apart < 1e-3


def test_openvino_is_caught_where_it_reduces_all_axes(tmp_path: Path) -> None:
    """It leaves out the axes of a ReduceLogSumExp before operator set 18: an output of another
    shape differs from what ONNX Runtime gives, and the operator is named.
    """
    source = steep(tmp_path, "ReduceLogSumExp", **REDUCED)
    with pytest.raises(RuntimeFault, match=r"differs is ReduceLogSumExp 'steep'") as caught:
        checked("openvino", source, tmp_path)
    assert caught.value.next_step == 'set runtime = "onnxruntime"'


def test_openvino_is_caught_where_it_loses_a_relu(tmp_path: Path) -> None:
    """16-bit Q/DQ pairs are taken out with the clipping that stands in for the ReLU."""
    with pytest.raises(RuntimeFault, match="with its uint16 Q/DQ pair") as caught:
        checked("openvino", sixteen_bits(tmp_path), tmp_path)
    assert 'activations = "uint8"' in caught.value.next_step


def test_openvino_is_caught_where_it_pads_with_a_code(tmp_path: Path) -> None:
    """Padded average pools are filled with the code 0; a zero point of 0, which is named, helps."""
    pool = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}
    with pytest.raises(RuntimeFault, match="AveragePool 'between' with its uint8") as caught:
        checked("openvino", eight_bits(tmp_path, "AveragePool", {}, **pool), tmp_path)
    assert "activation_symmetric = true" in caught.value.next_step
    other = tmp_path / "symmetric"
    other.mkdir()
    options = {"activations": "int8", "activation_symmetric": True}
    apart = checked("openvino", eight_bits(other, "AveragePool", options, **pool), tmp_path)
    assert apart is not None
    assert apart < 0.01


def lone(tmp_path: Path, kind: str, inputs: tuple[str, ...] = (), **attributes: Any) -> Artifact:
    """A convolution and one operator behind it, which resizes, pools or convolves."""
    nodes = [CONV, node(kind, ["a", *inputs], ["y"], name="lone", **attributes)]
    sizes = np.array([1, 4, SIDE // 4, SIDE // 4])
    values = {"w": WEIGHTS["w"], "v": kernel(2, 4, 3, 3), "sizes": sizes}
    weights = {name: value for name, value in values.items() if name in {"w", *inputs}}
    return shaped(graph_file(tmp_path / "lone.onnx", nodes, weights, opset=18, ir=8))


@pytest.mark.parametrize(("name", "kind"), [("openvino", "Relu"), ("opencv", "Sigmoid")])
def test_a_number_in_place_of_nan_is_caught(tmp_path: Path, name: str, kind: str) -> None:
    """Roots of negative numbers: OpenVINO's ReLU makes 0 of them, OpenCV's convolution 3.4e38, of
    which a sigmoid is a score of 1.
    """
    nodes = [
        CONV,
        node("Sqrt", ["a"], ["r"], name="root"),
        node("Conv", ["r", "v"], ["m"], name="next"),
        node(kind, ["m"], ["y"], name="last"),
    ]
    source = shaped(graph_file(tmp_path / "nan.onnx", nodes, WEIGHTS))
    with pytest.raises(RuntimeFault, match="has NaN in ONNX Runtime on image 0") as caught:
        checked(name, source, tmp_path)
    assert "a logarithm of zero" in caught.value.next_step
    assert checked("openvino", shaped(between(tmp_path, "Relu")), tmp_path) is not None


RESIZE = {"inputs": ("", "", "sizes"), "mode": "linear", "antialias": 1}
MAX_POOL = {"kernel_shape": [1, 1], "strides": [2, 2], "ceil_mode": 1}
MEAN_POOL = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1}
MEAN_POOL |= {"count_include_pad": 1}
UPPER = {"inputs": ("v",), "kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}


@pytest.mark.parametrize(
    ("name", "kind", "attributes", "next_step"),
    [
        ("openvino", "Resize", RESIZE, 'set runtime = "onnxruntime"'),
        ("openvino", "MaxPool", MAX_POOL, 'set runtime = "onnxruntime"'),
        ("openvino", "AveragePool", MEAN_POOL, 'set runtime = "onnxruntime"'),
        ("opencv", "Conv", UPPER, 'set engine = "classic"'),
    ],
    ids=["antialias", "ceil_mode", "counted padding", "auto_pad"],
)
def test_attributes_that_a_runtime_drops_are_caught(
    tmp_path: Path, name: str, kind: str, attributes: dict[str, Any], next_step: str
) -> None:
    """No antialiasing, a pool over nothing but padding, a divisor that counts what is outside, and
    padding on the wrong side: the operator is named (findings/).
    """
    source = lone(tmp_path, kind, **attributes)
    with pytest.raises(RuntimeFault, match=f"first operator that differs is {kind} 'lone'") as it:
        checked(name, source, tmp_path)
    assert next_step in it.value.next_step


@pytest.mark.parametrize("listed", [False, True], ids=["apart", "among inputs"])
@pytest.mark.parametrize("name", ["openvino", "opencv"])
def test_rounding_is_no_difference(tmp_path: Path, name: str, listed: bool) -> None:
    """A float graph agrees to the last digits, on extreme inputs too, wherever its weights stand;
    ONNX Runtime is not compared with itself.
    """
    nodes = [CONV, node("Sigmoid", ["a"], ["y"], name="s")]
    weights = {"w": WEIGHTS["w"]}
    version = 3 if listed else 8
    source = shaped(
        graph_file(tmp_path / "f.onnx", nodes, weights, opset=13, ir=version, listed=listed)
    )
    apart = checked(name, source, tmp_path)
    assert apart is not None
    assert apart < 1e-5
    assert checked("onnxruntime", source, tmp_path) is None


def test_a_part_that_a_runtime_refuses_is_not_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where outputs differ and an operator could not be judged, rounding is not proven."""
    pytest.importorskip("cv2", reason="python -m pip install 'pytest-perfgate[opencv]'")
    monkeypatch.setattr(Comparison, "_values", lambda *_: {})
    with pytest.raises(RuntimeFault, match="opencv refuses parts of the graph"):
        checked("opencv", eight_bits(tmp_path, "Sigmoid", {}), tmp_path)


def test_a_batch_that_is_written_as_minus_one_is_any(tmp_path: Path) -> None:
    """As Paddle's exporter writes it: images are compared, and OpenCV takes every batch."""
    nodes = [CONV, node("Relu", ["a"], ["y"], name="relu")]
    artifact = shaped(graph_file(tmp_path / "paddle.onnx", nodes, WEIGHTS))
    model = onnx.load(artifact.path)
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = -1
    onnx.save(model, artifact.path)
    negated = {**WEIGHTS, "w": -WEIGHTS["w"]}
    wrong = graph_file(tmp_path / "wrong.onnx", nodes, negated)
    comparison = Comparison(tmp_path / "paddle.onnx", Inputs(example(4)), 1)
    runtime = registry.find(registry.RUNTIMES, "onnxruntime")
    other = runtime.open(wrong, runtime.Options(), OpenContext(1, tmp_path))
    assert comparison.widest(lambda _: other, other).difference > 0.1
    pytest.importorskip("cv2", reason="python -m pip install 'pytest-perfgate[opencv]'")
    opencv = registry.find(registry.RUNTIMES, "opencv")
    session = opencv.open(artifact, opencv.Options(), OpenContext(1, tmp_path))
    assert session.fixed_batch == 0


def test_what_is_decided_is_compared_before_the_decision(tmp_path: Path) -> None:
    """The best k of nearly equal values come in any order; the values themselves are compared."""
    nodes = [
        CONV,
        node("Reshape", ["a", "flat"], ["scores"]),
        node("TopK", ["scores", "k"], ["best", "places"], name="best"),
        node("Relu", ["a"], ["y"], name="relu"),
    ]
    weights = {**WEIGHTS, "flat": np.array([0, -1]), "k": np.array([5])}
    model = onnx.load(graph_file(tmp_path / "k.onnx", nodes, weights).path)
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, kind, None)
        for name, kind in (("best", onnx.TensorProto.FLOAT), ("places", onnx.TensorProto.INT64))
    )
    assert Parts(model).comparable == ("y", "scores")
    onnx.save(model, tmp_path / "k.onnx")
    artifact = Artifact(ONNX, path=tmp_path / "k.onnx")
    runtime = registry.find(registry.RUNTIMES, "openvino")
    pytest.importorskip("openvino", reason="python -m pip install 'pytest-perfgate[openvino]'")
    comparison = Comparison(tmp_path / "k.onnx", Inputs(example(4)), 1)
    widest = comparison.widest(
        lambda path: runtime.open(
            Artifact(ONNX, path=path), runtime.Options(), OpenContext(1, tmp_path)
        ),
        runtime.open(artifact, runtime.Options(), OpenContext(1, tmp_path)),
    )
    assert widest.difference < 1e-5
