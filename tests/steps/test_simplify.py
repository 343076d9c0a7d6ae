"""`simplify`: an ONNX graph with fewer nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import ONNX, Artifact
from pytest_perfgate.errors import BuildError, NoEffect
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.steps.output_check import onnx_outputs, onnx_session
from pytest_perfgate.steps.simplify import Simplify

from tests.steps.conftest import SIDE, example

onnx = pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")
pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")
pytest.importorskip("onnxslim", reason="python -m pip install 'pytest-perfgate[onnxslim]'")


@pytest.fixture
def clumsy(tmp_path: Path) -> Artifact:
    """A graph as older exporters wrote it: a normalisation beside its convolution, an identity, and
    a weight that is computed from constants.
    """
    make, random = onnx.helper.make_node, np.random.default_rng(0)
    constants = {
        "half": random.random((4, 3, 3, 3), dtype=np.float32),
        "two": np.array(2.0, np.float32),
        "scale": np.full(4, 0.5, np.float32),
        "bias": np.full(4, 0.1, np.float32),
        "mean": np.full(4, 0.2, np.float32),
        "var": np.full(4, 1.5, np.float32),
    }
    graph = onnx.helper.make_graph(
        [
            make("Mul", ["half", "two"], ["weight"], name="mul"),
            make("Conv", ["x", "weight"], ["c"], name="conv"),
            make("BatchNormalization", ["c", "scale", "bias", "mean", "var"], ["n"], name="norm"),
            make("Identity", ["n"], ["i"], name="identity"),
            make("Relu", ["i"], ["y"], name="relu"),
        ],
        "clumsy",
        [onnx.helper.make_tensor_value_info("x", 1, ["batch", 3, SIDE, SIDE])],
        [onnx.helper.make_tensor_value_info("y", 1, ["batch", 4, SIDE - 2, SIDE - 2])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=9), tmp_path / "c.onnx")
    return Artifact(ONNX, path=tmp_path / "c.onnx")


def test_simplify_takes_nodes_out_and_keeps_numbers_and_batch(
    clumsy: Artifact, make_context: Any
) -> None:
    """What is constant is computed, what does nothing goes, and every batch still runs."""
    context = make_context()
    applied = Simplify().apply(clumsy, Simplify.Options(), context)
    Simplify().prove(applied.effect, Simplify.Options())
    assert (applied.effect["nodes_before"], applied.effect["nodes"]) == (5, 2)
    assert applied.effect["dynamic_batch"]
    assert [file.name for file in context.folder.iterdir()] == ["model.onnx"]
    for count in (1, 5):
        (one,), (other,) = (
            onnx_outputs(onnx_session(artifact.path, 1), Inputs(example(count)))
            for artifact in (clumsy, applied.artifact)
        )
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_simplify_leaves_what_is_to_be_left(clumsy: Artifact, make_context: Any) -> None:
    """A pattern that is skipped stays, and one that does not exist is named."""
    options = Simplify.Options(skip_fusion_patterns=("FusionConvBN",))
    applied = Simplify().apply(clumsy, options, make_context("a"))
    kinds = [node.op_type for node in onnx.load(applied.artifact.path).graph.node]
    assert "BatchNormalization" in kinds
    bad = Simplify.Options(skip_fusion_patterns=("FusionConvBn",))
    with pytest.raises(BuildError, match="no pattern 'FusionConvBn'") as caught:
        Simplify().apply(clumsy, bad, make_context("b"))
    assert "FusionConvBN" in caught.value.valid


def test_simplify_of_a_simple_graph_is_no_effect(clumsy: Artifact, make_context: Any) -> None:
    """Twice is once too often."""
    once = Simplify().apply(clumsy, Simplify.Options(), make_context("once")).artifact
    twice = Simplify().apply(once, Simplify.Options(), make_context("twice"))
    with pytest.raises(NoEffect, match="has 2 nodes, and had 2"):
        Simplify().prove(twice.effect, Simplify.Options())


@pytest.mark.parametrize(
    ("change", "word"),
    [({"dynamic_batch": False}, "frozen"), ({"largest_difference": float("inf")}, "differ by inf")],
)
def test_simplify_proof_fails_on_each_broken_promise(change: dict[str, Any], word: str) -> None:
    """A batch that was frozen on the way, and other numbers."""
    good = {
        "nodes_before": 5,
        "nodes": 2,
        "dynamic_batch_before": True,
        "dynamic_batch": True,
        "largest_difference": 0.0,
    }
    Simplify().prove(good, Simplify.Options())
    with pytest.raises(NoEffect, match=word):
        Simplify().prove({**good, **change}, Simplify.Options())


@pytest.mark.parametrize(
    "values", [{"method": "onnxsim"}, {"skip_optimizations": ("everything",)}, {"skip": ()}]
)
def test_simplify_options_are_checked_before_any_work(values: dict[str, Any]) -> None:
    """Other tools, optimizations that do not exist, unknown options."""
    with pytest.raises(ValidationError):
        Simplify.Options(**values)
