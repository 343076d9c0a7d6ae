"""What makes a link of a chain be built anew: its own packages, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import suitefile
from harness.measure import build, versions
from harness.recipe import Suite
from harness.registry import STEPS, find

pytest.importorskip("torch_pruning", reason="python -m pip install 'pytest-perfgate[torch]'")
pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")

SUITE = """\
[suite]
task = "detection"
model = "demo.model:build"
[suite.data]
validation = "demo.data:validation"
[[recipe]]
name = "fp32"
runtime = "torch"
"""


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    """A suite of one torch recipe."""
    (tmp_path / "recipes.toml").write_text(SUITE)
    found = suitefile.read(tmp_path / "recipes.toml", tmp_path).suite
    assert found is not None
    return found


def keys(suite: Suite) -> dict[str, str]:
    """The key of the model, and of some steps right after it."""
    source = build._source_key(suite)
    found = {"model": source}
    for name in ("prune", "export"):
        step = find(STEPS, name)
        found[name] = build._step_key(source, step, step.Options(), suite)
    return found


@pytest.mark.parametrize(
    ("package", "anew"),
    [
        ("openvino", set()),
        ("pydantic", set()),
        ("torch-pruning", {"prune"}),
        ("onnx", {"export"}),
        ("onnxscript", {"export"}),
        ("torch", {"model", "prune", "export"}),
        ("numpy", {"model", "prune", "export"}),
    ],
)
def test_another_version_builds_what_uses_the_package(
    package: str, anew: set[str], suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of training are not lost because another runtime was updated."""
    before, real = keys(suite), versions.version
    monkeypatch.setattr(versions, "version", lambda name: "0" if name == package else real(name))
    after = keys(suite)
    assert {name for name in before if before[name] != after[name]} == anew
