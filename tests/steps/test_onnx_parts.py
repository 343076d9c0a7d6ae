"""Parts of an ONNX graph, each of which ONNX Runtime runs by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.steps.onnx_parts import Parts
from pytest_perfgate.steps.output_check import onnx_session

from tests.steps.conftest import example
from tests.steps.test_quantize_graphs import CONV, graph_file, kernel

onnx = pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")
pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")
node = pytest.importorskip("onnx.helper").make_node
numpy = pytest.importorskip("numpy")

PAIR = [
    node("QuantizeLinear", ["a", "scale", "zero"], ["codes"]),
    node("DequantizeLinear", ["codes", "scale", "zero"], ["coded"]),
]


@pytest.mark.parametrize(
    "last",
    [
        [node("Mul", ["a", "a"], ["y"])],
        [*PAIR, node("Exp", ["coded"], ["e"]), node("Mul", ["coded", "e"], ["y"])],
        [*PAIR, node("Sub", ["a", "coded"], ["y"])],
        [node("Shape", ["a"], ["shape"]), node("Expand", ["a", "shape"], ["y"])],
    ],
    ids=["a square", "a value and what is made of it", "a value and its codes", "a shape"],
)
def test_a_value_that_is_read_twice_is_one_input_of_a_part(
    last: list[object], tmp_path: Path
) -> None:
    """A part that listed it twice would not open."""
    weights = {
        "w": kernel(4, 3, 3, 3),
        "scale": numpy.array(0.05, numpy.float32),
        "zero": numpy.array(128, numpy.uint8),
    }
    file = graph_file(tmp_path / "twice.onnx", [CONV, *last], weights)
    parts = Parts(onnx.load(file.path))
    images = {"x": example(2)}
    for value in ("y", *parts.sources("y")):
        sources = parts.sources(value)
        assert len(sources) == len(set(sources))
        known = onnx_session(parts.upto([value, *sources]).SerializeToString(), 1, exact=True)
        whole, *read = known.run(None, images)
        part = onnx_session(parts.between(sources, (value,)).SerializeToString(), 1, exact=True)
        given = {**images, **dict(zip(sources, read, strict=True))}
        (alone,) = part.run(None, {one.name: given[one.name] for one in part.get_inputs()})
        numpy.testing.assert_array_equal(alone, whole)
