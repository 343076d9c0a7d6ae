"""OpenVINO's facts are of the executed model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.artifact import TFLITE, Artifact
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.runtimes.litert import LiteRt
from pytest_perfgate.runtimes.openvino import OpenVino

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
