"""A model's file that changes while a session runs: an error in words, and nothing is stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.building.artifact_cache import ArtifactStore
from pytest_perfgate.building.builder import BuildRequest, Built, build
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.building.source_model import make
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.errors import BuildError
from pytest_perfgate.suite.reading import read

from tests.conftest import coco_folder, squares_model

pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")

MAKE = "pytest_perfgate.building.source_link.make"
SUITE = """\
[suite]
task = "detection"
model = "squares.onnx"
[suite.data]
validation = { images = "validation", annotations = "validation.json" }
[[recipe]]
name = "plain"
runtime = "onnxruntime"
"""


@pytest.fixture
def start(tmp_path: Path) -> Callable[[], Built]:
    """Builds the recipe of a suite that was read when its files were there."""
    squares_model(tmp_path / "squares.onnx")
    coco_folder(tmp_path, "validation", 1, seed=2)
    (tmp_path / "recipes.toml").write_text(SUITE)
    suite = read(tmp_path / "recipes.toml", tmp_path).suite
    assert suite is not None
    cache = tmp_path / ".perfgate"
    return lambda: build(
        BuildRequest(
            suite,
            suite.recipes["plain"],
            ArtifactStore(cache),
            Watch(tmp_path, cache),
            SuiteData(suite),
            lambda *_: None,
        )
    )


def replaced_by(file: Path) -> None:
    """By a file of other bytes."""
    file.write_bytes(file.read_bytes() + b"\x7a\x00")  # a field without content


@pytest.mark.parametrize(
    ("change", "words"),
    [(Path.unlink, "was deleted or moved"), (replaced_by, "changed while the session read it")],
)
def test_a_model_that_changes_while_it_is_read_is_refused(
    tmp_path: Path,
    start: Callable[[], Built],
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], None],
    words: str,
) -> None:
    """After its digest was taken: it would be stored under the digest of the earlier one."""
    file = tmp_path / "squares.onnx"
    before = file.read_bytes()

    def late(*arguments: Any) -> Any:
        model = make(*arguments)
        change(file)
        return model

    monkeypatch.setattr(MAKE, late)
    with pytest.raises(BuildError, match=words) as caught:
        start()
    assert "squares.onnx" in str(caught.value)
    assert "run the session again" in caught.value.next_step
    monkeypatch.setattr(MAKE, make)
    file.write_bytes(before)
    assert not start().lineage[0].cached
    assert start().lineage[0].cached


def test_a_model_that_is_gone_before_it_is_read_is_said_in_words(
    tmp_path: Path, start: Callable[[], Built]
) -> None:
    """Not by the name of an exception."""
    (tmp_path / "squares.onnx").unlink()
    with pytest.raises(BuildError, match="this file of the model was deleted") as caught:
        start()
    assert caught.value.where == str(tmp_path / "squares.onnx")
