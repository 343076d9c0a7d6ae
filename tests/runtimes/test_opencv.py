"""OpenCV's dnn module runs an ONNX file, and says what it uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import ONNX, Artifact
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime
from pytest_perfgate.runtimes.opencv import OpenCv

from tests.runtimes.test_runtimes import batch
from tests.squares import squares_model
from tests.steps.conftest import context_in
from tests.steps.test_quantize_graphs import quantized, relu6

pytest.importorskip("cv2", reason="python -m pip install 'pytest-perfgate[opencv]'")
pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")


@pytest.fixture
def squares(tmp_path: Path) -> Artifact:
    """A small ONNX detector with two outputs."""
    squares_model(tmp_path / "squares.onnx")
    return Artifact(ONNX, path=tmp_path / "squares.onnx")


def test_outputs_come_in_the_graphs_order_at_every_batch(squares: Artifact, tmp_path: Path) -> None:
    """Boxes, then scores, as ONNX Runtime gives them; what one run gave stays as it was."""
    context = OpenContext(threads=1, folder=tmp_path)
    session = OpenCv().open(squares, OpenCv.Options(), context)
    other = OnnxRuntime().open(squares, OnnxRuntime.Options(), context)
    kept = []
    for count in (1, 3, 1):
        found, wanted = session.run(Inputs(batch(count))), other.run(Inputs(batch(count)))
        for one, two in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)
        kept.append((found[1], found[1].copy()))
    assert all(np.array_equal(one, two) for one, two in kept)
    assert session.facts["threads"] == 1
    assert session.facts["version"]


@pytest.mark.parametrize(("engine", "layers"), [("new", {"int8": 2}), ("classic", {"float32": 2})])
def test_facts_are_of_the_layers_that_run(
    tmp_path: Path, engine: str, layers: dict[str, int]
) -> None:
    """One file with two quantized convolutions: only the new engine computes them in 8 bits."""
    file = quantized(relu6(tmp_path), context_in(tmp_path / "q")).artifact
    options = OpenCv.Options(engine=engine)  # type: ignore[arg-type] # one of its values
    facts = OpenCv().open(file, options, OpenContext(1, tmp_path)).facts
    assert (facts["engine"], facts["layers"]) == (engine, layers)
    assert facts["precision"] == "".join(layers)


@pytest.mark.parametrize("content", [b"this is no graph", None])
def test_a_file_that_does_not_load_is_named(tmp_path: Path, content: bytes | None) -> None:
    """Broken and missing files give a fault that names the file."""
    file = tmp_path / "broken.onnx"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(RuntimeFault) as caught:
        OpenCv().open(Artifact(ONNX, path=file), OpenCv.Options(), OpenContext(1, tmp_path))
    assert caught.value.where == str(file)


@pytest.mark.parametrize("values", [{"engine": "ort"}, {"threads": 0}, {"backend": "cuda"}])
def test_options_are_checked_before_any_work(values: dict[str, Any]) -> None:
    """Other engines, values out of range, unknown options."""
    with pytest.raises(ValidationError):
        OpenCv.Options(**values)
