"""The inputs of an ONNX file, as its source tells them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.artifact import ONNX, Artifact
from pytest_perfgate.errors import RecipeError, RuntimeFault
from pytest_perfgate.inputs import Inputs, Tensor
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime
from pytest_perfgate.sources import Fence, SourceContext
from pytest_perfgate.sources.onnx import Onnx

onnx = pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")


def file_of(folder: Path, *shapes: tuple[str, list[Any]], listed: bool = False, ir: int = 8) -> str:
    """The name of a file whose inputs have these types and shapes."""
    helper = onnx.helper
    inputs = [
        helper.make_tensor_value_info(f"x{index}", getattr(onnx.TensorProto, kind), shape)
        for index, (kind, shape) in enumerate(shapes)
    ]
    output = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    weight = onnx.numpy_helper.from_array(np.zeros((1,), np.float32), "w")
    if listed:
        inputs.insert(0, helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, [1]))
    nodes = [helper.make_node("Mul", ["x0", "w"], ["y"])]
    graph = helper.make_graph(nodes, "g", inputs, [output], [weight])
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=ir), folder / "m.onnx")
    return "m.onnx"


def build(folder: Path, name: str, *axes: int) -> Any:
    """The source's work."""
    context = SourceContext(Fence(folder, folder), lambda _: print, folder / "built")
    context.folder.mkdir(exist_ok=True)
    return Onnx().build(name, Onnx.Options(dynamic_axes=axes), context).artifact


def check(folder: Path, name: str) -> None:
    """What is done when a suite is read."""
    Onnx().check(name, Onnx.Options(), Fence(folder, folder))


def inputs(folder: Path, name: str, *axes: int) -> Any:
    """What the source says of the network's inputs."""
    return Onnx().inputs(name, Onnx.Options(dynamic_axes=axes), Fence(folder, folder))


def test_inputs_are_told_without_onnx(tmp_path: Path) -> None:
    """Names, types and shapes in the graph's order; weights among them are left out."""
    shapes = [("UINT8", ["batch", 64, 64, 3]), ("INT64", ["batch", 2])]
    name = file_of(tmp_path, *shapes, listed=True)
    check(tmp_path, name)
    assert build(tmp_path, name).kind == ONNX
    assert inputs(tmp_path, name) == (
        Tensor("x0", "uint8", ("batch", 64, 64, 3)),
        Tensor("x1", "int64", ("batch", 2)),
    )


@pytest.mark.parametrize(
    ("scale", "zero_point", "codes"),
    [
        (np.array(0.25, np.float32), np.array(-3, np.int8), (0.25, -3)),
        (np.array(0.25, np.float32), None, (0.25, 0)),
        (np.ones((3,), np.float32), np.zeros((3,), np.int8), None),
    ],
    ids=["both", "no zero point", "one for each channel"],
)
@pytest.mark.parametrize("raw", [True, False])
def test_codes_are_those_of_the_first_operator(
    tmp_path: Path, scale: Any, zero_point: Any, codes: Any, raw: bool
) -> None:
    """Those of the DequantizeLinear that reads the input, however they are stored."""
    helper, proto = onnx.helper, onnx.TensorProto

    def tensor(name: str, value: Any) -> Any:
        kind = proto.FLOAT if value.dtype == np.float32 else proto.INT8
        content = value.tobytes() if raw else value.ravel().tolist()
        return helper.make_tensor(name, kind, value.shape, content, raw=raw)

    weights = [tensor("s", scale)] + ([] if zero_point is None else [tensor("z", zero_point)])
    names = ["x", "s"] + ([] if zero_point is None else ["z"])
    graph = helper.make_graph(
        [helper.make_node("DequantizeLinear", names, ["y"])],
        "g",
        [helper.make_tensor_value_info("x", proto.INT8, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", proto.FLOAT, None)],
        weights,
    )
    onnx.save(helper.make_model(graph, ir_version=8), tmp_path / "m.onnx")
    assert inputs(tmp_path, "m.onnx") == (Tensor("x", "int8", (1, 3, 8, 8), codes),)


@pytest.mark.parametrize("kind", ["FLOAT", "FLOAT16"])
@pytest.mark.parametrize("shape", [["b", 3, "h", "w"], [1, 3, 64, 64], ["b", "c", "h", "w"], None])
@pytest.mark.parametrize("listed", [True, False])
def test_images_are_taken(tmp_path: Path, kind: str, shape: Any, listed: bool) -> None:
    """Of any size, also with weights among the inputs."""
    name = file_of(tmp_path, (kind, shape), listed=listed)
    check(tmp_path, name)
    assert build(tmp_path, name).kind == ONNX


def test_lengths_that_the_file_fixes_alone_are_left_open(tmp_path: Path) -> None:
    """A graph of ten pictures of 32 x 32 runs one of 64 x 48; its file stays as it is."""
    pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")
    name = file_of(tmp_path, ("FLOAT", [10, 3, 32, 32]), listed=True)
    graph = onnx.load(tmp_path / name)
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [10, 3, 32, 32])
    graph.graph.output[0].CopyFrom(output)
    onnx.save(graph, tmp_path / name)
    before = (tmp_path / name).read_bytes()
    assert inputs(tmp_path, name, 0, 2, 3) == (Tensor("x0", "float32", ("?", 3, "?", "?")),)
    artifact = build(tmp_path, name, 0, 2, 3)
    session = OnnxRuntime().open(artifact, OnnxRuntime.Options(), OpenContext(1, tmp_path))
    (result,) = session.run(Inputs(np.ones((1, 3, 64, 48), np.float32)))
    assert result.shape == (1, 3, 64, 48)
    assert session.fixed_batch == 0
    assert (tmp_path / name).read_bytes() == before
    assert build(tmp_path, name).path == tmp_path / name
    with pytest.raises(RecipeError, match="axis 0 has any length already"):
        inputs(tmp_path, file_of(tmp_path, ("FLOAT", ["n", 3, 32, 32])), 0)
    with pytest.raises(RecipeError, match="the file takes x0 int64"):
        inputs(tmp_path, file_of(tmp_path, ("INT64", [1, 2])), 0)


def test_a_file_of_a_newer_version_says_what_to_install(tmp_path: Path) -> None:
    """ONNX Runtime reads no IR version 99."""
    pytest.importorskip("onnxruntime")
    name = file_of(tmp_path, ("FLOAT", ["b", 3, 8, 8]), ir=99)
    runtime, artifact = OnnxRuntime(), Artifact(ONNX, path=tmp_path / name)
    with pytest.raises(RuntimeFault) as caught:
        runtime.open(artifact, runtime.Options(), OpenContext(1, tmp_path))
    assert "pip install -U onnxruntime" in caught.value.next_step
