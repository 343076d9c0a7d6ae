"""An ONNX file with its weights in another file beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Project, said

onnx = pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")


@pytest.fixture
def side_file(project: Project) -> Path:
    """The model of the tiny project is split; this is the file with the weights."""
    model = project.suite / "squares.onnx"
    (project.suite / "weights").mkdir()
    onnx.save(
        onnx.load(model),
        model,
        save_as_external_data=True,
        location="weights/squares.bin",
        size_threshold=1024,  # shapes stay in the graph: ONNX Runtime reads them there
    )
    return project.suite / "weights" / "squares.bin"


def test_weights_beside_the_graph_are_measured_and_known_by_content(
    project: Project, side_file: Path
) -> None:
    """They count as part of the artifact; other weights are another model, not the cached one."""
    project.run("-k", "plain-map or plain-artifact_size")
    # The minimum is kept; the other limit of the budget has no baseline yet.
    assert project.verdicts() == {"plain-map": "NO BASELINE", "plain-artifact_size": "PASS"}
    recipe = project.sessions()[-1]["suites"][0]["recipes"][0]
    assert recipe["artifact"]["files"]["weights/squares.bin"] == side_file.stat().st_size
    side_file.write_bytes(bytes(side_file.stat().st_size))
    project.run("-k", "plain-map")
    assert project.verdicts()["plain-map"] in {"FAIL", "ERROR"}


def test_missing_weights_are_named(project: Project, side_file: Path) -> None:
    """With the place that they belong to."""
    side_file.unlink()
    result = project.run("-k", "plain-map")
    assert project.verdicts() == {"plain-map": "ERROR"}
    said(result, "the weights are in 'weights/squares.bin', which is missing", "copy it to")


def test_weights_elsewhere_on_the_machine_are_refused(project: Project, side_file: Path) -> None:
    """A link would let a model read any file."""
    elsewhere = project.root / "elsewhere.bin"
    side_file.replace(elsewhere)
    side_file.symlink_to(elsewhere)
    result = project.run("-k", "plain-map")
    assert project.verdicts() == {"plain-map": "ERROR"}
    said(result, "which is not below the folder of the graph")
