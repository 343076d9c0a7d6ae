"""Training with simulated rounding: the file has 8-bit codes, and runtimes run it as integers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import ONNX, TORCH, Artifact
from pytest_perfgate.errors import BuildError, NoEffect
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.steps import qat
from pytest_perfgate.steps.integer_kernels import kernel_counts
from pytest_perfgate.steps.output_check import onnx_outputs, onnx_session
from pytest_perfgate.steps.qat import Qat
from pytest_perfgate.steps.qat_relu import quantize_before_relu
from pytest_perfgate.steps.tensorrt import TensorRt
from pytest_perfgate.steps.training import Course

from tests.steps.conftest import context_in, example, infer
from tests.steps.test_training import kept

INSTALL = "python -m pip install 'pytest-perfgate[onnx,torchao]'"
torch = pytest.importorskip("torch", reason=INSTALL)
for _name in ("torchao", "onnxscript", "onnxruntime"):
    pytest.importorskip(_name, reason=INSTALL)

SYMMETRIC = {"activations": "int8", "activation_symmetric": True}


class Stop(Exception):
    """What cuts a training off."""


def trainer(die: int = -1) -> Any:
    """A trainer that moves every weight a little; it is cut off at the step `die`."""

    def fit(module: Any, _data: Any, *, course: Course, **options: Any) -> Any:
        module.train()
        optimizer = torch.optim.SGD(module.parameters(), lr=options["learning_rate"])
        for step in course.steps(options["steps"], module=module, optimizer=optimizer):
            if step == die:
                raise Stop
            images = torch.from_numpy(example(step % 2 + 1))
            loss = sum(output.square().mean() for output in module(images))
            course.minimize(course.loss(images, loss), optimizer)
        return module.eval()

    return fit


def network() -> Any:
    """Batch normalisation with an eps of its own, a sum, a head that two levels share, and a linear
    layer: (N, 3, 32, 32) to (N, 4, 16, 16), (N, 4, 8, 8) and (N, 10).
    """
    from torch import nn

    class Network(nn.Module):  # type: ignore[misc] # torch may be skipped
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Sequential(
                nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16, eps=0.5), nn.ReLU()
            )
            self.second = nn.Sequential(nn.Conv2d(16, 16, 3, 1, 1), nn.ReLU6())
            self.down = nn.MaxPool2d(2)
            self.head = nn.Conv2d(16, 4, 1)
            self.linear = nn.Linear(16 * 8 * 8, 10)

        def forward(self, x: Any) -> Any:
            fine = self.first(x)
            fine = fine + self.second(fine)
            coarse = self.down(fine)
            return self.head(fine), self.head(coarse), self.linear(coarse.flatten(1))

    torch.set_num_threads(1)
    torch.manual_seed(7)
    return Network().eval()


def built(folder: Path, **options: Any) -> Any:
    """What three steps of training give, proven."""
    chosen = Qat.Options(**{"steps": 3, "learning_rate": 1e-3, "samples": 4, **options})
    context = context_in(folder, trainer=trainer())
    applied = Qat().apply(Artifact(TORCH, module=network()), chosen, context)
    Qat().prove(applied.effect, chosen)
    return applied


@pytest.fixture(scope="module")
def asymmetric(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The network in the step's default codes."""
    return built(tmp_path_factory.mktemp("qat") / "asymmetric")


@pytest.fixture(scope="module")
def symmetric(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The network in the codes that TensorRT requires, with outputs in float."""
    folder = tmp_path_factory.mktemp("qat") / "symmetric"
    return built(folder, quantize_outputs=False, **SYMMETRIC)


def test_every_layer_runs_as_integers_in_the_runtimes_own_graphs(asymmetric: Any) -> None:
    """ONNX Runtime and OpenVINO compute all five layers with 8-bit codes, a layer that runs twice
    and one with batch normalisation among them; numbers stay near, and any batch runs.
    """
    effect = asymmetric.effect
    assert effect["quantized_ops"] == effect["quantizable_ops"] == 5
    assert set(effect["integer_kernels"].values()) == {5}
    assert set(effect["float_kernels"].values()) == {0}
    assert (effect["steps"], effect["weight_bits"], effect["quantized_biases"]) == (3, 8, 0)
    assert effect["zero_points_not_zero"] > 0
    assert 0 < effect["difference"] < 0.1
    assert asymmetric.artifact.kind == ONNX
    assert infer(asymmetric.artifact.path, example(3)).shape == (3, 4, 16, 16)


def test_symmetric_codes_have_no_zero_points_and_run_as_integers(symmetric: Any) -> None:
    """Zero points are 0, and layers before a ReLU are integer ones all the same; ONNX Runtime
    computes the three that give floats in float, and OpenVINO as integers.
    """
    effect = symmetric.effect
    assert effect["zero_points_not_zero"] == 0
    assert 1 <= effect["integer_kernels"]["onnxruntime"] <= 2
    assert effect["integer_kernels"].get("openvino", 5) == 5


@pytest.mark.slow
def test_tensorrt_builds_integer_layers_of_symmetric_codes(
    symmetric: Any, asymmetric: Any, tmp_path: Path
) -> None:
    """All layers with weights are int8 in the engine; zero points other than 0 are refused."""
    pytest.importorskip("tensorrt_rtx", reason="python -m pip install 'tensorrt-rtx-cu13'")
    from tests.steps.rtx import options

    step = TensorRt()
    engine = step.apply(symmetric.artifact, options(), context_in(tmp_path / "engine"))
    assert engine.effect["int8_share"] == 1.0
    with pytest.raises(BuildError, match="zero"):
        step.apply(asymmetric.artifact, options(), context_in(tmp_path / "other"))


def test_a_training_that_is_cut_off_ends_in_the_same_file(
    asymmetric: Any, make_context: Any, tmp_path: Path
) -> None:
    """Continued at its third step, it gives the bytes of a training without a break."""
    options = Qat.Options(steps=3, learning_rate=1e-3, samples=4)
    training = kept(tmp_path / "training")
    cut, whole = (
        make_context(name, trainer=trainer(die), checkpoints=training)
        for name, die in (("cut", 2), ("whole", -1))
    )
    with pytest.raises(Stop):
        Qat().apply(Artifact(TORCH, module=network()), options, cut)
    applied = Qat().apply(Artifact(TORCH, module=network()), options, whole)
    assert applied.effect["resumed_at"] == 2
    assert applied.artifact.path.read_bytes() == asymmetric.artifact.path.read_bytes()


def test_a_graph_that_a_runtime_computes_in_float_is_no_effect(
    make_model: Any, make_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file has its Q/DQ pairs; without codes before each ReLU, ONNX Runtime runs every layer in
    float behind them, and the proof reads that from its graph.
    """
    monkeypatch.setattr(qat, "quantize_before_relu", lambda _: 0)
    options = Qat.Options(steps=1, samples=1, **SYMMETRIC)
    module = make_model(torch.nn.Conv2d(32, 5, 1), torch.nn.ReLU())
    applied = Qat().apply(Artifact(TORCH, module=module), options, make_context(trainer=trainer()))
    assert applied.effect["quantized_ops"] == 3
    assert applied.effect["integer_kernels"]["onnxruntime"] == 0
    with pytest.raises(NoEffect, match="none of 3 layers with products runs as integers in onnxr"):
        Qat().prove(applied.effect, options)


def test_a_float_graph_has_no_integer_kernels(exported: Artifact) -> None:
    """Three convolutions, all in float, in each runtime."""
    assert exported.path is not None
    counts = kernel_counts(exported.path, 1)
    assert set(counts["integer_kernels"].values()) == {0}
    assert set(counts["float_kernels"].values()) == {3}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"quantized_ops": 0}, "none of 5 convolutions"),
        ({"steps": 2}, "not trained"),
        ({"integer_kernels": {"onnxruntime": 5, "openvino": 0}}, "none of 5 .* in openvino"),
        ({"zero_points_not_zero": 1}, "1 zero points of activations"),
        ({"weight_bits": 8}, "weights take 8 bits"),
        ({"weight_bits": 0}, "weights take 0 bits"),
    ],
)
def test_the_proof_asks_for_all_that_was_requested(change: dict[str, Any], problem: str) -> None:
    """A fact that does not hold is no effect."""
    options = Qat.Options(steps=3, reduce_range=True, **SYMMETRIC)
    effect = {
        "quantized_ops": 5,
        "quantizable_ops": 5,
        "steps": 3,
        "integer_kernels": {"onnxruntime": 5, "openvino": 3},
        "float_kernels": {"onnxruntime": 0, "openvino": 5},
        "zero_points_not_zero": 0,
        "weight_bits": 7,
    }
    Qat().prove(effect, options)
    with pytest.raises(NoEffect, match=problem):
        Qat().prove({**effect, **change}, options)


def test_what_cannot_be_quantized_is_an_error_before_the_training(make_context: Any) -> None:
    """No layer with weights, and a branch on a value: one message each, and no training."""

    class Branch(torch.nn.Module):  # type: ignore[misc, name-defined] # torch may be skipped
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 4, 3)

        def forward(self, x: Any) -> Any:
            return self.conv(x) if x.sum() > 0 else x

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("trained")

    options = Qat.Options(steps=1)
    for count, (module, problem) in enumerate(
        [
            (torch.nn.Sequential(torch.nn.AvgPool2d(2), torch.nn.Sigmoid()), "nothing to quantize"),
            (Branch(), r"cannot be traced by torch\.export: .*data-dependent"),
        ]
    ):
        context = make_context(str(count), trainer=never)
        with pytest.raises(BuildError, match=problem):
            Qat().apply(Artifact(TORCH, module=module.eval()), options, context)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"steps": 0},
        {"steps": 3, "activation_symmetric": True},
        {"steps": 3, "activations": "int4"},
        {"steps": 3, "weights": "int8"},
        {"steps": 3, "data": "validation"},
    ],
)
def test_options_are_checked_before_any_work(values: dict[str, Any]) -> None:
    """Unknown options are errors, and symmetric codes without a sign."""
    with pytest.raises(ValidationError):
        Qat.Options(**values)


@pytest.mark.parametrize(
    ("kind", "bounds", "changed"),
    [("Relu", (), 1), ("Clip", (0, 6), 1), ("Clip", (0, 2), 0), ("Clip", (-1, 6), 0)],
)
def test_codes_before_a_relu_change_no_number(
    kind: str, bounds: tuple[float, ...], changed: int, tmp_path: Path
) -> None:
    """All values around the codes and beyond both ends; a bound that codes exceed stays."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    constants = {"scale": np.float32(0.04), "zero": np.int8(0)}
    constants |= {f"bound{place}": np.float32(bound) for place, bound in enumerate(bounds)}
    nodes = [
        helper.make_node(kind, ["x", *(f"bound{place}" for place in range(len(bounds)))], ["y"]),
        helper.make_node("QuantizeLinear", ["y", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["out"]),
    ]
    shape = (1, 1, 1, 2001)
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    file = tmp_path / "model.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, file)
    values = Inputs(np.linspace(-8, 8, 2001, dtype=np.float32).reshape(shape))
    before = onnx_outputs(onnx_session(file, 1, exact=True), values)
    assert quantize_before_relu(file) == changed
    onnx.checker.check_model(str(file), full_check=True)
    after = onnx_outputs(onnx_session(file, 1, exact=True), values)
    np.testing.assert_array_equal(after[0], before[0])
