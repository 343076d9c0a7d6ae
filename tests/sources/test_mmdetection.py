"""Models of MMDetection, converted by MMDeploy in an environment of its own.

MMDeploy is not installed for tests: mmcv has to be compiled. A module with the function's name and
arguments of its version 1.3.1 stands for it, except in the test that an interpreter with the real
one is named for: PERFGATE_MMDEPLOY_PYTHON.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.artifact import ONNX
from pytest_perfgate.errors import BuildError, RecipeError
from pytest_perfgate.registry import lacks
from pytest_perfgate.sources import Fence, SourceContext
from pytest_perfgate.sources.naming import files_named, source_of

APIS = """
import json, pathlib
def torch2onnx(
    img, work_dir, save_file, deploy_cfg, model_cfg, model_checkpoint=None, device="cuda:0"
):
    if pathlib.Path(model_checkpoint).read_bytes() == b"broken":
        raise RuntimeError("the checkpoint has no key 'state_dict'")
    axes = deploy_cfg["onnx_config"]["dynamic_axes"]
    asked = [img.shape, str(img.dtype), sorted(deploy_cfg), axes["input"][0]]
    (pathlib.Path(work_dir) / save_file).write_text(json.dumps([*asked, model_cfg, device]))
"""


REAL = os.environ.get("PERFGATE_MMDEPLOY_PYTHON", "")
CHECKPOINT = """
import sys
import torch
from mmdet.apis import init_detector
model = init_detector(sys.argv[1], device="cpu")
torch.save({"meta": {}, "state_dict": model.state_dict()}, sys.argv[2])
"""


@pytest.fixture
def python(tmp_path: Path) -> str:
    """An interpreter that has a module `mmdeploy`."""
    place = tmp_path / "packages"
    (place / "mmdeploy").mkdir(parents=True)
    (place / "mmdeploy" / "__init__.py").touch()
    (place / "mmdeploy" / "apis.py").write_text(APIS)
    (place / "mmengine.py").write_text("class Config(dict):\n    pass\n")
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={place} exec {sys.executable} "$@"\n')
    program.chmod(0o755)
    return str(program)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """The folder of a suite with a config that inherits others, and a checkpoint."""
    configs = {
        "configs/rtmdet.py": "_base_ = ['../bases/run.py', 'mmdet::_base_/schedule.py']\nx = 1\n",
        "bases/run.py": "with read_base():\n    from .models.tiny import *\nimport os\n",
        "bases/models/tiny.py": "model = dict(type='RTMDet')\n",
    }
    for name, text in configs.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "rtmdet.pth").write_bytes(b"weights")
    return tmp_path


def options(source: Any, **more: Any) -> Any:
    """Options of the source."""
    return source.Options.model_validate({"weights": "rtmdet.pth", **more})


def test_mmdeploy_is_asked_for_a_graph_of_any_batch_and_size(suite: Path, python: str) -> None:
    """By its own function; a checkpoint that it refuses is an error with its last words."""
    source, model = source_of("mmdetection:configs/rtmdet.py")
    fence = Fence(suite, suite)
    (suite / "out").mkdir()
    context = SourceContext(fence, lambda _: print, suite / "out")
    built = source.build(model, options(source, python=python), context)
    assert built.artifact.kind == ONNX
    assert built.artifact.path is not None
    told = built.artifact.path.read_text()
    assert told.startswith('[[640, 640, 3], "uint8", ["backend_config", "codebase_config", "onnx')
    assert told.endswith(f'"batch", "{suite}/configs/rtmdet.py", "cpu"]')
    (suite / "rtmdet.pth").write_bytes(b"broken")
    built.artifact.path.unlink()
    with pytest.raises(BuildError, match="has no key 'state_dict'"):
        source.build(model, options(source, python=python), context)


@pytest.mark.skipif(not REAL, reason="PERFGATE_MMDEPLOY_PYTHON names no Python with mmdeploy")
def test_a_detector_of_mmdetection_becomes_a_graph_of_any_batch(tmp_path: Path) -> None:
    """RTMDet as mmdet ships it, with random weights: two pictures give two lists of boxes."""
    import numpy as np
    import onnxruntime

    (tmp_path / "rtmdet.py").write_text("_base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'\n")
    files = [str(tmp_path / name) for name in ("rtmdet.py", "rtmdet.pth")]
    subprocess.run([REAL, "-c", CHECKPOINT, *files], check=True, timeout=600)
    source, model = source_of("mmdetection:rtmdet.py")
    (tmp_path / "out").mkdir()
    context = SourceContext(Fence(tmp_path, tmp_path), lambda _: print, tmp_path / "out")
    built = source.build(model, options(source, python=REAL), context)
    session = onnxruntime.InferenceSession(str(built.artifact.path))
    dets, labels = session.run(["dets", "labels"], {"input": np.zeros((2, 3, 640, 640), "f")})
    assert dets.shape[0] == labels.shape[0] == 2
    assert dets.shape[2] == 5


def test_every_file_of_the_model_counts_by_its_content(suite: Path) -> None:
    """What the config inherits within the project, and the checkpoint; one that is not there is
    named.
    """
    source, model = source_of("mmdetection:configs/rtmdet.py")
    fence = Fence(suite, suite)
    source.check(model, options(source), fence)
    files = source.files(model, options(source), fence)
    assert [str(file.relative_to(suite)) for file in files] == [
        "configs/rtmdet.py",
        "bases/run.py",
        "bases/models/tiny.py",
        "rtmdet.pth",
    ]
    assert files_named("mmdetection:configs/rtmdet.py") == ("configs/rtmdet.py",)
    (suite / "bases" / "models" / "tiny.py").unlink()
    with pytest.raises(RecipeError, match=r"'bases/models/tiny\.py' does not exist"):
        source.check(model, options(source), fence)
    (suite / "bases" / "run.py").write_text("_base_ = '../../elsewhere.py'\n")
    with pytest.raises(RecipeError, match="leaves the project"):
        source.check(model, options(source), fence)


def test_what_is_missing_is_told(suite: Path) -> None:
    """Without the interpreter a recipe is skipped, with the command; without MMDeploy it is an
    error with another.
    """
    source, model = source_of("mmdetection:configs/rtmdet.py")
    absent = options(source, python=".no/bin/python")
    (missing,) = [need for need in source.requires_with(model, absent) if need.missing]
    assert lacks([missing]) == "there is no Python interpreter '.no/bin/python'"
    assert "pip install mmdeploy mmdet mmcv" in missing.install
    context = SourceContext(Fence(suite, suite), lambda _: print, suite)
    with pytest.raises(BuildError, match="No module named 'mm") as caught:
        source.build(model, options(source, python=sys.executable), context)
    assert "-m pip install mmdeploy" in caught.value.next_step
    with pytest.raises(RecipeError, match="no config of MMDetection"):
        source.check("rtmdet.pth", options(source), Fence(suite, suite))
