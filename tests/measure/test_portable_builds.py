"""What a session builds for a target is of the files that the target gets."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.measure.portable_builds import PortableBuilds
from pytest_perfgate.records.built_links import BuiltLinks
from pytest_perfgate.records.recipe_record import Failure, Link


def test_an_artifact_of_a_file_that_has_changed_meanwhile_is_named(tmp_path: Path) -> None:
    """It was built an hour ago, and the project is copied now."""
    code = tmp_path / "model.py"
    code.write_text("LAYERS = 1\n")
    link = Link(step="export", options={}, effect={}, seconds=1.0, cached=False, key="f00d")
    builds = PortableBuilds(
        {
            "int8": BuiltLinks((link,), entry=Path("f00d/v")),
            "fp16": BuiltLinks(failure=Failure(stage="build", problem="no torch")),
        },
        {"int8": tmp_path},
        {"int8": {"model.py": hashlib.sha256(code.read_bytes()).hexdigest()}},
    )
    assert builds.entries == (Path("f00d/v"),)
    builds.refuse_changed()
    code.write_text("LAYERS = 2\n")
    words = r"model.py has changed since the artifact of int8 was built of it \(export, f00d\)"
    with pytest.raises(PerfgateError, match=words):
        builds.refuse_changed()
