"""Profiles of real small models: whoever plants a slow operator finds it named, in every runtime
that has a profiler.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, TORCH, Artifact
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.records.profile import Operator, Profile
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.verdicts.slowdown import beside

SIDE = 48


@pytest.fixture
def context(tmp_path: Path) -> OpenContext:
    """One thread."""
    return OpenContext(threads=1, folder=tmp_path)


def rows_of(name: str, artifact: Artifact, context: OpenContext, **options: Any) -> list[Operator]:
    """Ten profiled inferences of an artifact."""
    runtime = registry.find(registry.RUNTIMES, name)
    session = runtime.open(artifact, runtime.Options(**options), context)
    inputs = Inputs(np.random.default_rng(0).random((1, 3, SIDE, SIDE), dtype=np.float32))
    try:
        before = session.run(inputs)
        rows = session.profile(inputs, 10)
        # It goes on working afterwards, as it did.
        for one, two in zip(before, session.run(inputs), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-5)
    finally:
        session.close()
    assert rows
    assert all(row.calls > 0 and row.seconds >= 0 for row in rows)
    return rows


def recipe(rows: list[Operator], name: str) -> RecipeRecord:
    """A recipe of which nothing but its profile is known."""
    profile = Profile(tool="a profiler", inferences=10, seconds=1.0, operators=tuple(rows))
    return RecipeRecord(name=name, reference="plain", profile=profile)


def squaring(file: Path, *, planted: bool) -> Artifact:
    """An ONNX graph with a convolution; planted: with a product of large matrices behind it."""
    onnx = pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    random = np.random.default_rng(1)
    constants = {
        "weight": random.random((4, 3, 3, 3), dtype=np.float32),
        "flat": np.array([1, 4 * (SIDE - 2) ** 2], np.int64),
        "matrix": random.random((4 * (SIDE - 2) ** 2, 600), dtype=np.float32),
    }
    nodes = [helper.make_node("Conv", ["x", "weight"], ["seen"], name="seen")]
    last, shape = "seen", [1, 4, SIDE - 2, SIDE - 2]
    if planted:
        nodes += [
            helper.make_node("Reshape", ["seen", "flat"], ["row"], name="flatten"),
            helper.make_node("MatMul", ["row", "matrix"], ["product"], name="product"),
        ]
        last, shape = "product", [1, 600]
    else:
        del constants["flat"], constants["matrix"]
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", kind, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(last, kind, shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, file)
    return Artifact(ONNX, path=file)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_planted_node_is_named(name: str, tmp_path: Path, context: OpenContext) -> None:
    """The node that was added is the first of the operators that are slower, and counted."""
    pytest.importorskip(name, reason=f"python -m pip install 'pytest-perfgate[{name}]'")
    plain = rows_of(name, squaring(tmp_path / "plain.onnx", planted=False), context)
    slow = rows_of(name, squaring(tmp_path / "slow.onnx", planted=True), context)
    assert sum(row.calls for row in plain if "conv" in row.kind.lower()) == 1
    result = beside(recipe(slow, "slow"), recipe(plain, "plain"), "plain")
    kind = {"onnxruntime": "MatMul", "openvino": "FullyConnected"}[name]
    assert (result.by, result.rows[0].name, result.rows[0].kind) == ("operator", "product", kind)
    _, operators = result.lines()
    assert operators.startswith(f"operators: product ({kind}) +")
    assert f"{kind} 0 → 1" in operators


def torch_model(busy: int) -> Any:
    """A torch model of two stages; the second one's layer `busy` multiplies `busy` times."""
    import torch

    class Busy(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            square = x.mean(dim=1)[0]
            for _ in range(busy):
                square = (square @ square) * 1e-3
            return x + square.sum() * 0.0

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())
            self.head = torch.nn.ModuleDict({"conv": torch.nn.Conv2d(8, 8, 3), "busy": Busy()})

        def forward(self, x: Any) -> Any:
            x = self.head["busy"](self.head["conv"](self.stem(x)))
            return torch.nn.functional.interpolate(x, scale_factor=2.0)

    torch.manual_seed(0)
    return Net().eval()


def test_a_planted_layer_of_torch_is_named(context: OpenContext) -> None:
    """Layers are named by their paths; one that does more work is what the line names."""
    pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
    plain = rows_of("torch", Artifact(TORCH, module=torch_model(1)), context)
    slow = rows_of("torch", Artifact(TORCH, module=torch_model(400)), context)
    kinds = {row.name: row.kind for row in plain}
    assert kinds["stem.0"] == "Conv2d"
    assert kinds["stem.1"] == "ReLU"
    assert kinds["head.busy"] == "Busy"
    assert any(row.kind.startswith("upsample") for row in plain)  # what no layer holds
    assert {row.name: row.calls for row in plain}["stem.0"] == 1
    result = beside(recipe(slow, "slow"), recipe(plain, "plain"), "plain")
    assert result.by == "operator"
    assert result.rows[0].name == "head.busy"
    assert result.lines()[1].startswith("operators: head.busy (Busy) +")
    assert result.graph == ()  # the layers are the same


def test_the_rows_of_torch_add_up(context: OpenContext) -> None:
    """No second is in two rows: all of them together are no more than the inference took. What
    slows a single profile down does not slow five of them down.
    """
    torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
    import time

    model = torch_model(200)
    x = torch.rand(1, 3, SIDE, SIDE)
    ratios = []
    while len(ratios) < 5 and not any(0.3 < ratio < 3 for ratio in ratios):
        total = sum(row.seconds for row in rows_of("torch", Artifact(TORCH, module=model), context))
        took = []
        with torch.inference_mode():
            for _ in range(15):
                start = time.perf_counter()
                model(x)
                took.append(time.perf_counter() - start)
        ratios.append(total / sorted(took)[7])
    assert any(0.3 < ratio < 3 for ratio in ratios), ratios


def test_the_session_leaves_no_hooks_behind(context: OpenContext) -> None:
    """What is measured afterwards is the model as it was."""
    pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
    model = torch_model(1)
    rows_of("torch", Artifact(TORCH, module=model), context)
    for layer in model.modules():
        assert not layer._forward_hooks
        assert not layer._forward_pre_hooks
