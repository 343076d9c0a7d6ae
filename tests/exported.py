"""The demo detector, exported once for the tests of a process."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from pytest_perfgate.artifact import TORCH, Artifact
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.steps import BuildContext
from pytest_perfgate.steps.export import Export


@pytest.fixture(scope="session")
def exported_detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo detector as an ONNX file for pictures of 320 pixels, which nobody changes: exporting
    it takes seconds. Meanwhile the working directory was `here`, beside the file's folder.
    """
    for package in ("torch", "onnxruntime", "onnxscript", "safetensors"):
        pytest.importorskip(package)
    from suites.digits.model import build

    folder = tmp_path_factory.mktemp("detector")
    (folder / "here").mkdir()
    images = np.random.default_rng(0).random((5, 3, 320, 320), dtype=np.float32)
    (folder / "link").mkdir()
    context = BuildContext(
        folder=folder / "link",
        example=lambda count: Inputs(images[:count]),
        inputs=lambda *_: iter(()),
        data=lambda split: split,
        trainer=None,
        seed=0,
        threads=1,
    )
    with contextlib.chdir(folder / "here"):
        applied = Export().apply(Artifact(TORCH, module=build()), Export.Options(), context)
    assert applied.artifact.path is not None
    return applied.artifact.path
