"""A session with a suite of each of the tasks `instances`, `oriented`, `panoptic` and `tracking`.

Pictures have a red and a green square, and each network is a tiny graph that sees them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import red_and_green
from tests.conftest import TEST, Project

SUITE = """
[suite]
task  = "{task}"
model = "squares.onnx"
{tables}

[[recipe]]
name    = "plain"
runtime = "onnxruntime"
[recipe.budgets]
{floors}

[[recipe]]
name    = "moody"
from    = "plain"
runtime = "moody"
[recipe.budgets]
{floors}
{bounds}
"""
COCO = '[suite.data]\nvalidation = { images = "images", annotations = "truth.json" }'
CLASSES = 'classes = ["red", "green"]'
AGREEMENT = "agreement = { min = 0.9 }"
BESIDE = f"{AGREEMENT}\nscore_shift = {{ max = 0.1 }}"

Suite = tuple[Callable[[Path], None], str, tuple[str, ...], str]
SUITES: dict[str, Suite] = {
    "instances": (
        red_and_green.instances,
        f'{COCO}\n[suite.output]\ndecode = "regions"',
        ("mask_map",),
        BESIDE,
    ),
    "oriented": (
        red_and_green.oriented,
        f'[suite.data.validation]\nimages = "images"\nlabels = "labels"\n{CLASSES}',
        ("map", "map50"),
        BESIDE,
    ),
    "panoptic": (
        red_and_green.panoptic,
        f'{COCO}\n[suite.output]\nformat = "encoded"',
        ("pq", "pq_things", "sq", "rq"),
        AGREEMENT,
    ),
    "tracking": (
        red_and_green.tracking,
        f'[suite.data.validation]\nsequences = "sequences"\n{CLASSES}\n'
        '[suite.output]\ndecode = "ultralytics"',
        ("hota", "idf1", "mota"),
        BESIDE,
    ),
}
"""Of each task: its data and network, tables of the suite, scores with a floor, and budgets beside
the reference."""


def test_each_task_has_budgets_that_hold_and_break(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recipe whose outputs are all zero is red by every metric of its task."""
    for name, (make, tables, scores, bounds) in SUITES.items():
        folder = project.root / "suites" / name
        folder.mkdir()
        make(folder)
        floors = "\n".join(f"{score} = {{ min = 0.75 }}" for score in scores)
        text = SUITE.format(task=name, tables=tables, floors=floors, bounds=bounds)
        (folder / "recipes.toml").write_text(text)
        (folder / f"test_{name}.py").write_text(TEST)
    monkeypatch.setenv("MOODY", "gives_zeros")
    monkeypatch.setenv("MOODY_STAGE", "evaluate")
    project.run(*(f"suites/{name}" for name in SUITES))
    sessions = project.sessions()[-1]["suites"]
    assert [suite["name"] for suite in sessions] == [*SUITES]
    for suite in sessions:
        verdicts = [(one["recipe"], one["metric"], one["status"]) for one in suite["verdicts"]]
        for recipe, metric, status in verdicts:
            right = "PASS" if recipe == "plain" else "FAIL"
            assert status == right, (suite["name"], recipe, metric, status)
        kinds = {recipe for recipe, _, _ in verdicts}
        assert kinds == {"plain", "moody"}
