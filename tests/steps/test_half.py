"""`half`: an ONNX graph in 16-bit floating point."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import ONNX, TORCH, Artifact
from pytest_perfgate.errors import BuildError, NoEffect
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime
from pytest_perfgate.steps.export import Export
from pytest_perfgate.steps.half import Half

from tests.steps.conftest import context_in, example, small_model
from tests.steps.test_quantize_graphs import CONV, graph_file, kernel

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
onnx = pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")
pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")


def session(artifact: Artifact, folder: Path) -> Any:
    """ONNX Runtime on the file, as a recipe would run it."""
    return OnnxRuntime().open(artifact, OnnxRuntime.Options(), OpenContext(1, folder))


@pytest.mark.parametrize("keep", [True, False])
def test_half_makes_16_bit_weights_and_near_numbers(
    exported: Artifact, make_context: Any, tmp_path: Path, keep: bool
) -> None:
    """Weights and operators are 16-bit, the file shrinks, and the runtime gives float32 at every
    batch, whatever type the graph's inputs have.
    """
    options = Half.Options(keep_io_types=keep)
    applied = Half().apply(exported, options, make_context())
    Half().prove(applied.effect, options)
    effect = applied.effect
    assert effect["fp16_initializers"] == effect["initializers"] > 0
    assert effect["fp16_ops"] == effect["ops"] > 0
    assert effect["bytes"] < 0.75 * effect["bytes_before"]
    graph = onnx.load(applied.artifact.path).graph
    kind = onnx.TensorProto.FLOAT if keep else onnx.TensorProto.FLOAT16
    assert graph.input[0].type.tensor_type.elem_type == kind
    for count in (1, 3):
        (result,) = session(applied.artifact, tmp_path).run(Inputs(example(count)))
        (wanted,) = session(exported, tmp_path).run(Inputs(example(count)))
        assert result.dtype == np.float32
        assert 0 < np.abs(result - wanted).max() < 0.02 * np.abs(wanted).max()


@pytest.fixture(scope="module")
def loud(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A network, as an ONNX file that nobody changes, whose activations pass 65504 and come back:
    its outputs are small numbers.
    """

    class Loud(torch.nn.Module):  # type: ignore[misc, name-defined] # torch may be skipped
        def __init__(self) -> None:
            super().__init__()
            self.body = small_model()

        def forward(self, x: Any) -> Any:
            loud = (torch.relu(self.body(x)) + 1.0) * 60000.0
            return (loud + loud) / 60000.0

    context = context_in(tmp_path_factory.mktemp("loud") / "link")
    return Export().apply(Artifact(TORCH, module=Loud().eval()), Export.Options(), context).artifact


def test_half_finds_an_overflow_that_a_cpu_hides(loud: Artifact, make_context: Any) -> None:
    """A value inside that 16 bits cannot hold stops the build, and is named."""
    applied = Half().apply(loud, Half.Options(), make_context())
    assert applied.effect["overflows"] > 0
    with pytest.raises(NoEffect, match=r"overflow.*65504.*node_block_list"):
        Half().prove(applied.effect, Half.Options())


def test_half_leaves_blocked_operators_and_nodes_in_float32(
    loud: Artifact, make_context: Any
) -> None:
    """What is blocked does not overflow; a node that is not there is named."""
    options = Half.Options(op_block_list=("Mul", "Add", "Div"))
    applied = Half().apply(loud, options, make_context("ops"))
    Half().prove(applied.effect, options)
    assert 0 < applied.effect["fp16_ops"] < applied.effect["ops"]
    first = next(node.name for node in onnx.load(loud.path).graph.node)
    one = Half().apply(loud, Half.Options(node_block_list=(first,)), make_context("node"))
    assert one.effect["fp16_ops"] < one.effect["ops"]
    with pytest.raises(BuildError, match="no node 'nobody'"):
        Half().apply(loud, Half.Options(node_block_list=("nobody",)), make_context("bad"))


def test_half_of_nothing_is_no_effect(exported: Artifact, make_context: Any) -> None:
    """Every operator blocked leaves every weight in float32."""
    kinds = tuple({node.op_type for node in onnx.load(exported.path).graph.node})
    options = Half.Options(op_block_list=kinds)
    applied = Half().apply(exported, options, make_context())
    with pytest.raises(NoEffect, match="none is 16-bit"):
        Half().prove(applied.effect, options)


@pytest.mark.parametrize(("difference", "word"), [(0.5, "0.5"), (None, "infinity")])
def test_half_proof_fails_on_other_numbers(difference: float | None, word: str) -> None:
    """Far from float32, or not finite."""
    effect = {
        "fp16_initializers": 3,
        "initializers": 3,
        "overflows": 0,
        "first_overflow": "",
        "largest_difference": difference,
    }
    with pytest.raises(NoEffect, match=f"differ by {word}"):
        Half().prove(effect, Half.Options())


def test_half_asks_for_names_that_tell_nodes_apart(exported: Artifact, make_context: Any) -> None:
    """The library takes two nodes of one name for one: what to do is said."""
    model = onnx.load(exported.path)
    for node in model.graph.node:
        node.name = "same"
    onnx.save(model, exported.path)
    with pytest.raises(BuildError, match="two nodes") as caught:
        Half().apply(exported, Half.Options(), make_context())
    assert "simplify" in caught.value.next_step


@pytest.mark.parametrize("values", [{"dtype": "bfloat16"}, {"tolerance": 0}, {"block": ("Conv",)}])
def test_half_options_are_checked_before_any_work(values: dict[str, Any]) -> None:
    """Other types, values out of range, and unknown options."""
    with pytest.raises(ValidationError):
        Half.Options(**values)


def test_half_needs_a_file(make_context: Any) -> None:
    """An artifact without a file is refused in words."""
    with pytest.raises(BuildError, match="no ONNX file"):
        Half().apply(Artifact(ONNX), Half.Options(), make_context())


def test_half_of_a_network_that_takes_the_best_k(tmp_path: Path) -> None:
    """Nearly equal scores change places in 16 bits, and the last ones come or go: detections are
    compared as sets. By position they would be others.
    """
    nodes = [
        CONV,
        onnx.helper.make_node("Reshape", ["a", "flat"], ["scores"]),
        onnx.helper.make_node("TopK", ["scores", "k"], ["best", "places"]),
        onnx.helper.make_node("Cast", ["places"], ["numbers"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("Unsqueeze", ["best", "last"], ["score"]),
        onnx.helper.make_node("Unsqueeze", ["numbers", "last"], ["place"]),
        onnx.helper.make_node("Concat", ["score", "place", "score", "place"], ["y"], axis=2),
    ]
    weights = {
        "w": kernel(4, 3, 3, 3),
        "flat": np.array([0, -1]),
        "k": np.array([100]),
        "last": np.array([2]),
    }
    source = graph_file(tmp_path / "best.onnx", nodes, weights)
    context, options = context_in(tmp_path / "half"), Half.Options()
    applied = Half().apply(source, options, context)
    Half().prove(applied.effect, options)
    runs = [session(one, tmp_path).run(Inputs(example(1)))[0] for one in (source, applied.artifact)]
    assert np.abs(runs[0] - runs[1]).max() > 0.1 * np.abs(runs[0]).max()
