"""Models of TensorFlow and Keras, converted in an environment of its own.

`python -m venv .tf2onnx && .tf2onnx/bin/python -m pip install tensorflow tf2onnx` makes the test of
the conversion run too; tox run -e tensorflow does it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.artifact import ONNX
from pytest_perfgate.errors import BuildError, RecipeError
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.registry import lacks
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime
from pytest_perfgate.sources import Fence, SourceContext
from pytest_perfgate.sources.naming import files_named, source_of

PYTHON = os.environ.get("PERFGATE_TF2ONNX_PYTHON", ".tf2onnx/bin/python")

MAKE = """
import numpy as np, sys, tensorflow as tf
tf.random.set_seed(0)
layers = tf.keras.layers
model = tf.keras.Sequential([layers.Input((8, 8, 3)), layers.Conv2D(4, 3, activation="relu"),
                             layers.GlobalAveragePooling2D(), layers.Dense(5)])
model.export(sys.argv[1] + "/saved"); model.save(sys.argv[1] + "/net.keras")
x = np.random.default_rng(0).random((2, 8, 8, 3), dtype=np.float32)
np.savez(sys.argv[1] + "/numbers.npz", x=x, y=model(x).numpy())
"""


def build(folder: Path, name: str, python: str) -> Any:
    """What the source makes of a model, in a folder of its own."""
    source, model = source_of(f"tf2onnx:{name}")
    options = source.Options.model_validate({"python": python})
    target = folder / f"of {name}"
    target.mkdir()
    context = SourceContext(Fence(folder, folder), lambda _: print, target)
    source.check(model, options, context.fence)
    return source.build(model, options, context)


needs_converter = pytest.mark.skipif(
    shutil.which(PYTHON) is None,
    reason="python -m venv .tf2onnx && .tf2onnx/bin/python -m pip install tensorflow tf2onnx",
)


@pytest.mark.slow
@needs_converter
def test_a_savedmodel_and_a_file_of_keras_give_tensorflows_numbers(tmp_path: Path) -> None:
    """Channels last, as TensorFlow has them."""
    subprocess.run([PYTHON, "-c", MAKE, str(tmp_path)], check=True, capture_output=True)
    with np.load(tmp_path / "numbers.npz") as numbers:
        x, y = numbers["x"], numbers["y"]
    for name in ("saved", "net.keras"):
        built = build(tmp_path, name, PYTHON)
        assert built.artifact.kind == ONNX
        context = OpenContext(1, tmp_path)
        session = OnnxRuntime().open(built.artifact, OnnxRuntime.Options(), context)
        (output,) = session.run(Inputs(x, layout="NHWC"))
        np.testing.assert_allclose(output, y, rtol=1e-4, atol=1e-5)


def test_every_file_of_a_savedmodel_counts_by_its_content(tmp_path: Path) -> None:
    """The graph first: all are below its folder."""
    for name in ("saved_model.pb", "variables/variables.index", "fingerprint.pb"):
        (tmp_path / "saved" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "saved" / name).touch()
    source, model = source_of("tf2onnx:saved")
    fence = Fence(tmp_path, tmp_path)
    source.check(model, source.Options(), fence)
    files = [str(file.relative_to(tmp_path)) for file in source.files(model, None, fence)]
    assert files == [
        "saved/saved_model.pb",
        "saved/fingerprint.pb",
        "saved/variables/variables.index",
    ]
    assert files_named("tf2onnx:saved") == ("saved",)


@pytest.mark.slow
@needs_converter
def test_a_damaged_model_is_an_error_with_the_converters_words(tmp_path: Path) -> None:
    """The last of them name the file."""
    (tmp_path / "net.keras").write_bytes(b"no archive")
    with pytest.raises(BuildError, match=r"net\.keras") as caught:
        build(tmp_path, "net.keras", PYTHON)
    assert not caught.value.next_step


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    """Without the interpreter a recipe is skipped; without the converter it is an error."""
    source, _ = source_of("tf2onnx:net.keras")
    options = source.Options.model_validate({"python": ".no/bin/python"})
    (missing,) = [need for need in source.requires_with("net.keras", options) if need.missing]
    assert lacks([missing]) == "there is no Python interpreter '.no/bin/python'"
    assert missing.install.startswith("python -m venv .no && .no/bin/python -m pip install")
    (tmp_path / "net.keras").write_bytes(b"no archive")
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')  # without installed packages
    bare.chmod(0o755)
    with pytest.raises(BuildError) as caught:
        build(tmp_path, "net.keras", str(bare))
    assert "No module named 'tf2onnx'" in str(caught.value)
    assert "-m pip install tensorflow tf2onnx" in caught.value.next_step
    (tmp_path / "folder").mkdir()
    with pytest.raises(RecipeError, match="no model of TensorFlow"):
        build(tmp_path, "folder", sys.executable)
