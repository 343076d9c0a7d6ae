"""OpenVINO's facts are of the executed model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.runtimes import OpenContext

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
    from pytest_perfgate.runtimes.openvino import OpenVino

    file = quantized(relu6(tmp_path), context_of("q"), weights=weights).artifact
    runtime = OpenVino()
    session = runtime.open(file, runtime.Options(), OpenContext(1, tmp_path))
    assert set(session.facts["layers"]) == layers
    assert session.facts["layers"] == dict.fromkeys(layers, 2)
    assert session.facts["precision"] == ", ".join(layers)
    assert session.facts["precision_hint"] == "f32"
