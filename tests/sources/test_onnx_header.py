"""The header of an ONNX file is read without onnx, and says what onnx says."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.inputs import Tensor
from pytest_perfgate.sources.onnx_header import Node, read_header

from tests.sources.graphs import IMAGES

onnx = pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")

NUMPY = {"FLOAT": "float32", "DOUBLE": "float64"}
_KINDS = ("FLOAT", "UINT8", "FLOAT16", "INT64", "DOUBLE")
_SHAPES = st.none() | st.lists(
    st.integers(1, 2**40) | st.text("abé", min_size=1, max_size=5), max_size=5
)


def model_of(inputs: list[tuple[str, Any]], metadata: dict[str, str], opset: int) -> Any:
    """A graph with a weight that is listed among the inputs, as old exporters do."""
    helper, proto = onnx.helper, onnx.TensorProto
    values = [
        helper.make_tensor_value_info(f"x{index}", getattr(proto, kind), shape)
        for index, (kind, shape) in enumerate(inputs)
    ]
    weight = onnx.numpy_helper.from_array(np.ones((3, 5), np.float32), "w")
    listed = helper.make_tensor_value_info("w", proto.FLOAT, [3, 5])
    output = helper.make_tensor_value_info("y", proto.FLOAT, ["batch", 84, 8400])
    nodes = [helper.make_node("Add", ["x0", "w"], ["s"], axis=1)]
    nodes.append(helper.make_node("Softmax", ["s"], ["y"]))
    graph = helper.make_graph(nodes, "g", [listed, *values], [output], [weight])
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("other.domain", 3)]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="pytorch")
    helper.set_model_props(model, metadata)
    return model


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(_KINDS), _SHAPES), min_size=1, max_size=3),
    st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=300), max_size=4),
    st.integers(9, 21),
)
def test_it_says_what_onnx_says(
    tmp_path_factory: pytest.TempPathFactory,
    inputs: list[tuple[str, Any]],
    metadata: dict[str, str],
    opset: int,
) -> None:
    """Of inputs, outputs, operators, metadata and the operator set, whatever they are."""
    file = tmp_path_factory.mktemp("graph") / "m.onnx"
    onnx.save(model_of(inputs, metadata, opset), file)
    header = read_header(file, nodes=True)
    assert header.inputs == tuple(
        Tensor(f"x{index}", NUMPY.get(kind, kind.lower()), None if shape is None else tuple(shape))
        for index, (kind, shape) in enumerate(inputs)
    )
    assert header.outputs == (Tensor("y", "float32", ("batch", 84, 8400)),)
    assert (header.opset, header.producer) == (opset, "pytorch")
    assert header.metadata == metadata
    assert header.nodes == (Node("Add", ("x0", "w"), ("s",)), Node("Softmax", ("s",), ("y",)))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "there is no graph in it"),
        (b"PK\x03\x04 a zip", "no ONNX graph"),
        (b"just some text\n", "no ONNX graph"),
        (IMAGES[:-1], "it is cut"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "pointer of Git LFS"),
    ],
    ids=["empty", "zip", "text", "cut", "lfs"],
)
def test_what_is_no_graph_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    """In one line."""
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(RecipeError, match=says):
        read_header(tmp_path / "m.onnx")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """No byte of it makes another error, or an endless one."""
    whole = model_of([("FLOAT", ["b", 3, 8, 8])], {"names": "{}"}, 17).SerializeToString()
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(whole)))
    file = tmp_path_factory.getbasetemp() / "damaged.onnx"
    file.write_bytes(damaged[:end])
    with contextlib.suppress(RecipeError):
        read_header(file, nodes=True)
