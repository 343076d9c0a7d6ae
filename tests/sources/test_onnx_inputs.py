"""An ONNX file that does not take images as floats, channels first, is one error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.artifact import ONNX, Artifact
from pytest_perfgate.errors import RecipeError, RuntimeFault
from pytest_perfgate.runtimes import OpenContext
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


def build(folder: Path, name: str) -> Any:
    """The source's work."""
    context = SourceContext(Fence(folder, folder), lambda _: print)
    return Onnx().build(name, Onnx.Options(), context).artifact


def check(folder: Path, name: str) -> None:
    """What is done when a suite is read."""
    Onnx().check(name, Onnx.Options(), Fence(folder, folder))


@pytest.mark.parametrize(
    ("shapes", "described"),
    [
        ([("UINT8", ["batch", 64, 64, 3])], r"x0 uint8 \(batch, 64, 64, 3\)"),
        ([("UINT8", ["batch", 3, 64, 64])], "x0 uint8"),
        ([("FLOAT", [1, 64, 64, 3])], r"x0 float \(1, 64, 64, 3\)"),
        ([("FLOAT", ["b", 3, "h", "w"]), ("FLOAT", ["b", 2])], r"x1 float \(b, 2\)"),
    ],
    ids=["uint8 NHWC", "uint8", "NHWC", "two inputs"],
)
def test_what_is_no_image_is_refused(
    tmp_path: Path, shapes: list[tuple[str, list[Any]]], described: str
) -> None:
    """By the input's name, type and shape, when the suite is read and again when it is built:
    OpenVINO and OpenCV would compute garbage.
    """
    name = file_of(tmp_path, *shapes)
    for refuses in (check, build):
        with pytest.raises(RecipeError, match=described) as caught:
            refuses(tmp_path, name)
        assert "float (N, 3, H, W)" in caught.value.valid


@pytest.mark.parametrize("kind", ["FLOAT", "FLOAT16"])
@pytest.mark.parametrize("shape", [["b", 3, "h", "w"], [1, 3, 64, 64], ["b", "c", "h", "w"], None])
@pytest.mark.parametrize("listed", [True, False])
def test_images_are_taken(tmp_path: Path, kind: str, shape: Any, listed: bool) -> None:
    """Of any size, also with weights among the inputs."""
    name = file_of(tmp_path, (kind, shape), listed=listed)
    check(tmp_path, name)
    assert build(tmp_path, name).kind == ONNX


def test_a_file_of_a_newer_version_says_what_to_install(tmp_path: Path) -> None:
    """ONNX Runtime reads no IR version 99."""
    pytest.importorskip("onnxruntime")
    from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime

    name = file_of(tmp_path, ("FLOAT", ["b", 3, 8, 8]), ir=99)
    runtime, artifact = OnnxRuntime(), Artifact(ONNX, path=tmp_path / name)
    with pytest.raises(RuntimeFault) as caught:
        runtime.open(artifact, runtime.Options(), OpenContext(1, tmp_path))
    assert "pip install -U onnxruntime" in caught.value.next_step
