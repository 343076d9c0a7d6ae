"""A TensorRT engine as a link of a recipe, built and found again as a session does it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.building import builder as building
from pytest_perfgate.building.artifact_cache import ArtifactStore
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.runtimes import cuda
from pytest_perfgate.runtimes.tensorrt_package import EngineNote
from pytest_perfgate.suite.reading import read
from pytest_perfgate.suite.requirements import missing_packages

from tests.squares import HEAD, PLAIN

pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")
pytest.importorskip("PIL", reason="python -m pip install 'pytest-perfgate[detection]'")
pytest.importorskip("tensorrt_rtx", reason="python -m pip install 'pytest-perfgate[tensorrt_rtx]'")

ENGINE = """
[[recipe]]
name    = "engine"
from    = "plain"
steps   = [{ tensorrt = "tensorrt_rtx", max_batch = 4 }]
runtime = "tensorrt"
[recipe.budgets]
map = { drop = 0.02 }
"""


@pytest.fixture
def suite(tiny_suite: Path, tmp_path: Path) -> Any:
    """The tiny suite with a recipe that ends on an engine."""
    shutil.copytree(tiny_suite, tmp_path, dirs_exist_ok=True)
    (tmp_path / "recipes.toml").write_text(HEAD + PLAIN + ENGINE)
    result = read(tmp_path / "recipes.toml", tmp_path)
    assert not result.problems
    return result.suite


def built(suite: Any) -> Any:
    """The recipe's artifact, from the project's own cache."""
    request = building.BuildRequest(
        suite,
        suite.recipes["engine"],
        store=ArtifactStore(suite.root / ".perfgate"),
        watch=Watch(suite.root),
        data=SuiteData(suite),
        progress=lambda *_: None,
    )
    return building.build(request)


def test_an_engine_is_found_again_for_the_same_gpu_only(
    suite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another GPU builds its own, and each is there afterwards. What is for reading beside the
    engine is no part of its size.
    """
    first = built(suite)
    assert [link.cached for link in first.lineage] == [False, False]
    assert first.info.kind == "tensorrt"
    assert set(first.info.files) == {"model.engine", "model.json"}
    engine = first.artifact.path
    assert EngineNote.read(engine).batch == (1, 1, 4)
    assert (engine.parent / "inspector" / "layers.json").is_file()
    assert [link.cached for link in built(suite).lineage] == [True, True]

    other = {"gpu": "Imaginary GPU", "compute_capability": "8.6", "driver": "580.1"}
    monkeypatch.setattr(cuda, "device_key", lambda: other)
    there = built(suite)
    assert [link.cached for link in there.lineage] == [True, False]
    assert EngineNote.read(there.artifact.path).device == other
    monkeypatch.undo()
    assert [link.cached for link in built(suite).lineage] == [True, True]


@pytest.mark.skipif(not cuda.GPU.missing, reason="there is a GPU here")
def test_what_is_missing_is_what_this_recipe_asks_for(suite: Any) -> None:
    """A GPU, and not the package that it does not use."""
    missing = {package.module for package in missing_packages(suite, suite.recipes["engine"])}
    assert cuda.GPU.module in missing
    assert not {"tensorrt", "tensorrt_rtx"} & missing
