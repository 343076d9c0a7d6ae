"""Ranges of activations that are calibrated once, and when they are not believed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.artifact import Artifact
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.steps.quantize import Quantize

from tests.steps.conftest import example

pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")
pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")

Build = Callable[..., tuple[bytes, int]]


@pytest.fixture
def build(exported: Artifact, make_context: Any, tmp_path: Path) -> Build:
    """Quantizes: the file's bytes, and how many images were calibrated with."""
    names = iter(range(10))

    def quantized(*, cache: bool = True, **asked: Any) -> tuple[bytes, int]:
        notes: list[str] = []
        changes = {"inputs": asked.pop("inputs")} if "inputs" in asked else {}
        context = make_context(
            f"build-{next(names)}",
            cache=tmp_path / "kept" if cache else None,
            progress=lambda *said: notes.append(said[2]),
            **changes,
        )
        options = Quantize.Options(**{"samples": 3, **asked})
        applied = Quantize().apply(exported, options, context)
        Quantize().prove(applied.effect, options)
        assert applied.effect["calibration_images"] == options.samples
        assert applied.artifact.path is not None
        return applied.artifact.path.read_bytes(), notes.count("calibrating")

    return quantized


@pytest.mark.parametrize("method", ["minmax", "percentile"])
def test_kept_ranges_give_the_same_bytes(build: Build, method: str) -> None:
    """Another recipe with the same ranges calibrates on no image, and is none the worse."""
    assert build(calibrate_method=method)[1] == 3
    kept, images = build(calibrate_method=method, per_channel=False)
    assert images == 0
    assert kept == build(calibrate_method=method, per_channel=False, cache=False)[0]


@pytest.mark.parametrize(
    "change",
    [
        {"samples": 2},
        {"calibrate_method": "percentile"},
        {"activation_symmetric": True, "activations": "int8"},
        {"op_types_to_quantize": ("Conv",)},
        {"inputs": lambda _, limit: (Inputs(example(9)[:1]) for _ in range(limit))},
    ],
)
def test_what_decides_has_ranges_of_its_own(build: Build, change: dict[str, Any]) -> None:
    """Other images, methods, kinds of range or operators are calibrated anew."""
    build()
    assert build(**change)[1] > 0


def test_half_a_file_is_not_believed(build: Build, tmp_path: Path) -> None:
    """It is calibrated anew, and whole afterwards."""
    whole, _ = build()
    (file,) = (tmp_path / "kept").iterdir()
    file.write_text(file.read_text()[:40])
    assert build() == (whole, 3)
    assert build() == (whole, 0)
