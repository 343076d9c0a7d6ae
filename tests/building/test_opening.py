"""Opening a built artifact in the recipe's runtime."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_perfgate.building.artifact_handle import ArtifactHandle
from pytest_perfgate.building.opening import open_session
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.records.recipe import ModelSpec

BRIGHT = Path(__file__).parents[1] / "blackbox" / "bright.tflite"


@pytest.mark.parametrize(
    ("chain", "where", "next_step"),
    [
        ((), "suite.model = 'bright.tflite'", "copy the file anew"),
        (("a step",), "/cache/bright.tflite", ""),
    ],
)
def test_a_damaged_file_of_the_suite_is_named_in_place_of_its_copy_in_the_cache(
    tmp_path: Path, chain: tuple[str, ...], where: str, next_step: str
) -> None:
    """With what to do. What a step wrote is in the cache alone."""
    pytest.importorskip("ai_edge_litert", reason="pip install 'pytest-perfgate[litert]'")
    file = tmp_path / "cache" / BRIGHT.name
    file.parent.mkdir()
    content = bytearray(BRIGHT.read_bytes())
    content[800:900] = bytes(100)
    file.write_bytes(content)
    model = ModelSpec("bright.tflite")
    handle = ArtifactHandle("tflite", file, model, compiled=tmp_path / "compiled")
    suite: Any = SimpleNamespace(threads=1, model=model, planted=None)
    recipe: Any = SimpleNamespace(chain=chain, runtime=SimpleNamespace(name="litert", options={}))
    with pytest.raises(RuntimeFault, match="LiteRT does not load the file") as caught:
        open_session(suite, recipe, handle)
    assert caught.value.where.endswith(where)
    assert caught.value.next_step.startswith(next_step)
    assert bool(caught.value.next_step) == (not chain)
