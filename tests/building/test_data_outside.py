"""Data outside of the project: by a path, in a mount."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.errors import DataError
from pytest_perfgate.records.recipe import VALIDATION
from pytest_perfgate.suite.reading import read

from tests.conftest import coco_folder, squares_model

SUITE = """\
[suite]
task   = "detection"
model  = "squares.onnx"
mounts = {{ pictures = "{mount}" }}
{allow}
[suite.data]
validation  = {{ images = "mount://pictures/validation", annotations = "../validation.json" }}
[[recipe]]
name    = "plain"
runtime = "onnxruntime"
"""


def test_data_in_a_mount_and_beside_the_project_are_read(tmp_path: Path) -> None:
    """Images of a mount, and annotations by a path that the suite allows to leave the project; the
    same path without leave is an error that names the key.
    """
    root = tmp_path / "project"
    root.mkdir()
    squares_model(root / "squares.onnx")
    coco_folder(tmp_path, VALIDATION, 3, 1)
    (tmp_path / "mount").mkdir()
    shutil.move(tmp_path / "validation", tmp_path / "mount" / "validation")
    for allow in ("allow_outside = true", ""):
        text = SUITE.format(mount=tmp_path / "mount", allow=allow)
        (root / "recipes.toml").write_text(text)
        suite = read(root / "recipes.toml", root).suite
        assert suite is not None
        if allow:
            assert len(SuiteData(suite).split(VALIDATION).images) == 3
            continue
        with pytest.raises(DataError) as caught:
            SuiteData(suite).split(VALIDATION)
        assert "allow_outside = true" in caught.value.next_step
