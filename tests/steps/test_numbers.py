"""How far the outputs of two forms of a model are apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.errors import BuildError
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.steps.output_check import (
    batches,
    difference,
    largest_difference,
    onnx_outputs,
    onnx_session,
)

ROWS = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=8)


def arrays(*rows: list[float]) -> tuple[Any, ...]:
    """Outputs of one row each."""
    return tuple(np.array(row, np.float32) for row in rows)


@given(ROWS)
def test_equal_outputs_are_not_apart(row: list[float]) -> None:
    """Whatever they are."""
    assert largest_difference(arrays(row), arrays(row)) == 0.0


@given(ROWS, st.floats(0.001, 10.0))
def test_the_difference_is_relative_to_each_outputs_largest_value(
    row: list[float], share: float
) -> None:
    """A thousandth of a large output is a thousandth; small outputs are held to 1."""
    scale = max(1.0, *(abs(value) for value in row))
    moved = [value + share * scale for value in row]
    result = largest_difference(arrays([0.5], row), arrays([0.5], moved))
    assert result == pytest.approx(share, rel=1e-3, abs=1e-6)


def test_what_rounds_one_is_no_difference_of_scores() -> None:
    """Two kernels of a sigmoid part at 1e-8, and no score of an untrained network may be larger;
    where one is, or where numbers are of that size, a hundredth is one.
    """
    tiny = np.array([1e-8, 0.0], np.float32)
    assert difference(tiny, np.zeros(2, np.float32)) < 1e-3
    small = np.array([1e-3, 0.0], np.float32)
    assert difference(small, 1.01 * small) == pytest.approx(0.01, rel=0.02)
    assert difference(np.zeros(2, np.float32), small) == 1.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_infinitely_far_off(value: float) -> None:
    """On either side: a comparison with NaN never passes."""
    assert largest_difference(arrays([1.0, 2.0]), arrays([1.0, value])) == math.inf
    assert largest_difference(arrays([1.0, value]), arrays([1.0, 2.0])) == math.inf


def test_other_outputs_are_an_error() -> None:
    """Fewer of them, or of another shape, are not compared."""
    with pytest.raises(BuildError, match="shapes"):
        largest_difference(arrays([1.0], [2.0]), arrays([1.0]))
    with pytest.raises(BuildError, match="shapes"):
        largest_difference(arrays([1.0, 1.0]), arrays([1.0]))


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_batch_is_told_by_running_another(frozen: bool) -> None:
    """A graph that takes any batch and reshapes to its example's does not run three images."""
    onnx = pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")
    pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")
    shape = np.array([2 if frozen else -1, 12], np.int64)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Reshape", ["x", "shape"], ["y"])],
        "frozen",
        [onnx.helper.make_tensor_value_info("x", 1, ["batch", 3, 2, 2])],
        [onnx.helper.make_tensor_value_info("y", 1, ["batch", 12])],
        [onnx.numpy_helper.from_array(shape, "shape")],
    )
    opset = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=9)
    session = onnx_session(model.SerializeToString(), 1)
    images = Inputs(np.zeros((3, 3, 2, 2), np.float32))
    assert onnx_outputs(session, images.take([0, 1]))[0].shape == (2, 12)
    if frozen:
        with pytest.raises(BuildError, match="does not run a batch of 3"):
            onnx_outputs(session, images)
    else:
        assert onnx_outputs(session, images)[0].shape == (3, 12)


def test_a_graph_of_a_fixed_batch_is_checked_at_that_batch() -> None:
    """Only a dynamic one can be run at others. Exporters of Paddle write it as -1, which is no
    batch of its own: nothing would be checked.
    """
    onnx = pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")
    for size, expected in ((4, (4,)), ("batch", (1, 3)), (-1, (1, 3))):
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node("Relu", ["x"], ["y"])],
            "relu",
            [onnx.helper.make_tensor_value_info("x", 1, [size, 3])],
            [onnx.helper.make_tensor_value_info("y", 1, [size, 3])],
        )
        assert batches(onnx.helper.make_model(graph)) == expected
