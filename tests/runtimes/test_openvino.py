"""OpenVINO's facts are of the executed model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.artifact import ONNX, TFLITE, Artifact
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.runtimes.litert import LiteRt
from pytest_perfgate.runtimes.openvino import OpenVino, taken_by

from tests.steps.test_quantize_graphs import quantized, relu6

pytest.importorskip("openvino", reason="python -m pip install 'pytest-perfgate[openvino]'")


@pytest.fixture
def context_of(tmp_path: Path) -> Any:
    """Contexts of a step."""
    from tests.steps.conftest import context_in

    return lambda name: context_in(tmp_path / name)


@pytest.mark.parametrize(
    ("weights", "layers"), [("int8", {"u8"}), ("uint8", {"f32"})], ids=["int8", "uint8"]
)
def test_facts_tell_the_precision_that_layers_run_in(
    tmp_path: Path, context_of: Any, weights: str, layers: set[str]
) -> None:
    """Both files have every convolution quantized and the hint f32; one runs in 8 bits."""
    file = quantized(relu6(tmp_path), context_of("q"), weights=weights).artifact
    runtime = OpenVino()
    session = runtime.open(file, runtime.Options(), OpenContext(1, tmp_path))
    assert set(session.facts["layers"]) == layers
    assert session.facts["layers"] == dict.fromkeys(layers, 2)
    assert session.facts["precision"] == ", ".join(layers)
    assert session.facts["precision_hint"] == "f32"


def test_bfloat16_inputs_and_outputs_are_numbers(tmp_path: Path) -> None:
    """OpenVINO itself takes and gives them as the bits of float16: 3 would be 2.125."""
    onnx = pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")
    kind, shape = onnx.TensorProto.BFLOAT16, [1, 3, 2, 2]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])],
        "graph",
        [onnx.helper.make_tensor_value_info("x", kind, shape)],
        [onnx.helper.make_tensor_value_info("y", kind, shape)],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    file = tmp_path / "half.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), file)
    session = OpenVino().open(
        Artifact(ONNX, path=file), OpenVino.Options(), OpenContext(1, tmp_path)
    )
    images = np.arange(12, dtype=np.float32).reshape(shape)
    (output,) = session.run(Inputs(images))
    rows = session.profile(Inputs(images), 1)
    session.close()
    assert output.dtype == np.float32
    assert np.array_equal(output, images)
    assert rows
    model = pytest.importorskip("openvino").Core().read_model(str(file))
    assert taken_by(model) == {"x": "bfloat16"}


TFLITE_FILES = Path(__file__).parents[1] / "sources"


def test_a_tflite_file_in_floats_gives_the_numbers_of_litert(tmp_path: Path) -> None:
    """OpenVINO reads the file itself; one with codes at its ends is LiteRT's."""
    pytest.importorskip("ai_edge_litert", reason="pip install 'pytest-perfgate[litert]'")
    file = Artifact(TFLITE, path=TFLITE_FILES / "channels_last.tflite")
    images = Inputs(np.random.default_rng(0).random((1, 32, 32, 3), np.float32), layout="NHWC")
    outputs = []
    for runtime in (OpenVino(), LiteRt()):
        session = runtime.open(file, runtime.Options(), OpenContext(1, tmp_path))
        outputs.append(session.run(images))
        session.close()
    for ours, theirs in zip(*outputs, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    coded = Artifact(TFLITE, path=TFLITE_FILES / "channels_last_int8.tflite")
    with pytest.raises(RuntimeFault, match="input i8, output i8") as caught:
        OpenVino().open(coded, OpenVino.Options(), OpenContext(1, tmp_path))
    assert "litert" in caught.value.next_step
