"""Weights as those of an older commit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytest_perfgate.artifact import Artifact
from pytest_perfgate.proving.catalogue import DoesNotApply
from pytest_perfgate.proving.weights import OLDER, SHARE, plant_in_artifact
from pytest_perfgate.records.recipe import PlantedFault

PLANTED = PlantedFault(OLDER, "recipe")


def test_weights_of_a_graph_are_off_by_a_tenth_of_their_spread(tmp_path: Path) -> None:
    """Those of two dimensions and more, of 8 bits too; shapes and biases stay; the file stays."""
    onnx = pytest.importorskip("onnx")
    rng = np.random.default_rng(1)
    before = {
        "weight": rng.standard_normal((64, 32)).astype(np.float32),
        "codes": rng.integers(-100, 100, (64, 32)).astype(np.int8),
        "bias": rng.standard_normal(32).astype(np.float32),
        "shape": np.array([[1, -1]], np.int64),
    }
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "weight"], ["y"])],
        "graph",
        [onnx.helper.make_tensor_value_info("x", 1, [1, 64])],
        [onnx.helper.make_tensor_value_info("y", 1, [1, 32])],
        [onnx.numpy_helper.from_array(value, name) for name, value in before.items()],
    )
    onnx.save(onnx.helper.make_model(graph), tmp_path / "model.onnx")
    kept = (tmp_path / "model.onnx").read_bytes()
    whole = Artifact("onnx", path=tmp_path / "model.onnx")
    older = plant_in_artifact(whole, PLANTED, tmp_path)
    assert plant_in_artifact(whole, PlantedFault("leak", "recipe"), tmp_path) is whole
    assert (tmp_path / "model.onnx").read_bytes() == kept
    assert older.path is not None
    after = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(older.path).graph.initializer
    }
    assert np.array_equal(after["bias"], before["bias"])
    assert np.array_equal(after["shape"], before["shape"])
    for name in ("weight", "codes"):
        assert after[name].dtype == before[name].dtype
        off = (after[name].astype(float) - before[name]).std() / before[name].std()
        assert off == pytest.approx(SHARE, rel=0.1)


def test_weights_of_a_module_are_off_too() -> None:
    """In place: the module is this process's own."""
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(64, 32)
    weight, bias = (part.detach().clone() for part in (module.weight, module.bias))
    plant_in_artifact(Artifact("torch", module=module), PLANTED, Path())
    off = float(((module.weight - weight).std() / weight.std()).detach())
    assert off == pytest.approx(SHARE, rel=0.1)
    assert torch.equal(module.bias, bias)


def test_other_kinds_are_refused(tmp_path: Path) -> None:
    """A file whose weights nothing changes here does not pass for one with older weights."""
    with pytest.raises(DoesNotApply, match="tflite"):
        plant_in_artifact(Artifact("tflite", path=tmp_path / "x.tflite"), PLANTED, tmp_path)
