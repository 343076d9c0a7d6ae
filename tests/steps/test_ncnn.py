"""The step `ncnn` and the runtime that runs what it makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import NCNN, ONNX, Artifact
from pytest_perfgate.errors import BuildError, NoEffect, RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.runtimes.ncnn import Ncnn as Runtime
from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime
from pytest_perfgate.steps.ncnn import Ncnn as Step

from tests.steps.conftest import example

pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")
pytest.importorskip("ncnn", reason="python -m pip install 'pytest-perfgate[ncnn]'")
pytest.importorskip("pnnx", reason="python -m pip install 'pytest-perfgate[ncnn]'")


@pytest.mark.parametrize("fp16", [False, True])
def test_a_network_runs_every_batch_image_by_image(
    exported: Artifact, make_context: Any, tmp_path: Path, fp16: bool
) -> None:
    """Two files, the graph's numbers, float32 unless asked otherwise, and no batch is claimed."""
    context, options = make_context(), Step.Options(fp16=fp16, tolerance=0.01)
    applied = Step().apply(exported, options, context)
    Step().prove(applied.effect, options)
    assert sorted(file.name for file in context.folder.iterdir()) == ["model.bin", "model.param"]
    opening = OpenContext(threads=1, folder=tmp_path)
    session = Runtime().open(applied.artifact, Runtime.Options(), opening)
    assert session.facts["precision"] == "float32"
    assert session.facts["threads"] == 1
    assert session.facts["batch"] == "one image at a time"
    count = session.facts["layers"]["float32"]
    brain = Runtime().open(applied.artifact, Runtime.Options(use_bf16_storage=True), opening)
    assert brain.facts["layers"] == {"bfloat16": count}  # each layer of ncnn has it on any CPU
    half = Runtime().open(applied.artifact, Runtime.Options(use_fp16_storage=True), opening)
    supported = sum(each.support_fp16_storage for each in half._net.layers())
    assert half.facts["layers"].get("float16", 0) == supported  # none on x86 without AVX512-FP16
    other = OnnxRuntime().open(exported, OnnxRuntime.Options(), opening)
    for count in (1, 3):
        (found,), (wanted,) = session.run(Inputs(example(count))), other.run(Inputs(example(count)))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, rtol=1e-2, atol=1e-3 if fp16 else 1e-4)
    image = np.ones((3, 2, 2), np.float32)
    given = session._owned(image)
    assert given.refcount == 1  # None: of an array's memory, which may be freed before it is read
    image[:] = 5
    assert np.array(given).max() == 1


def test_weights_in_16_bits_are_half_as_large(exported: Artifact, make_context: Any) -> None:
    """What `fp16` says is in the files."""
    sizes = [
        Step()
        .apply(exported, Step.Options(fp16=fp16), make_context(str(fp16)))
        .effect["weights_bytes"]
        for fp16 in (False, True)
    ]
    assert sizes[1] < 0.6 * sizes[0]


def test_what_does_not_convert_is_told_in_pnnx_words(tmp_path: Path, make_context: Any) -> None:
    """A file that is no graph stops the build."""
    file = tmp_path / "broken.onnx"
    file.write_bytes(b"this is no graph")
    with pytest.raises(BuildError, match="pnnx does not convert"):
        Step().apply(Artifact(ONNX, path=file), Step.Options(), make_context())


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"layers": 0}, "0 layers"),
        ({"weights_bytes": 0}, "0 B"),
        (
            {"largest_difference": 0.1},
            "first at Tanh 't'",
        ),
    ],
)
def test_the_proof_fails_on_each_broken_promise(change: dict[str, Any], word: str) -> None:
    """An empty network, and other numbers."""
    good = {
        "layers": 3,
        "weights_bytes": 100,
        "largest_difference": 0.0,
        "first_difference": "Tanh 't'",
    }
    Step().prove(good, Step.Options())
    with pytest.raises(NoEffect, match=word):
        Step().prove({**good, **change}, Step.Options())


def test_files_that_do_not_load_are_named(tmp_path: Path) -> None:
    """Missing weights, and a file that is no network, give a fault that names the file."""
    file = tmp_path / "model.param"
    for _ in range(2):
        file.write_text("this is no network")
        with pytest.raises(RuntimeFault) as caught:
            Runtime().open(Artifact(NCNN, path=file), Runtime.Options(), OpenContext(1, tmp_path))
        assert caught.value.where == str(file)
        file.with_suffix(".bin").write_bytes(b"")


@pytest.mark.parametrize("values", [{"fp16": "half"}, {"optlevel": 3}, {"converter": "onnx2ncnn"}])
def test_options_are_checked_before_any_work(values: dict[str, Any]) -> None:
    """Other converters, values out of range, unknown options."""
    with pytest.raises(ValidationError):
        Step.Options(**values)
    with pytest.raises(ValidationError):
        Runtime.Options(use_vulkan_compute=True)  # type: ignore[call-arg] # that is the point
