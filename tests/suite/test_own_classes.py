"""Decoders and tasks that lie beside the suite file, without a package."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pytest_perfgate import registry
from pytest_perfgate.building.keys import evaluator
from pytest_perfgate.metric import Better, Metric
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.suite.metrics import metrics_of, metrics_of_session, own_metrics
from pytest_perfgate.suite.reading import SuiteFile, read

from tests.conftest import Project
from tests.sources.graphs import IMAGES
from tests.squares import HEAD, PLAIN

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
EXAMPLE = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]

TASK = """
from pytest_perfgate.metric import Metric, by_name
from pytest_perfgate.tasks.detection import Detection


class Own(Detection):
    name = "own"
    metrics = by_name(*Detection.metrics.values(), Metric.score("half", "Half of map."))

    def evaluate(self, data, predictions, *options):
        accuracy = super().evaluate(data, predictions, *options)
        half = {"half": accuracy.values["map"] / 2}
        return accuracy.model_copy(update={"values": accuracy.values | half})
"""


@pytest.fixture(autouse=True)
def _imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No module of another project, and none of these tests' afterwards; the import path as it
    was.
    """
    monkeypatch.setattr(sys, "path", [*sys.path])
    others = {name: module for name, module in sys.modules.items() if _is_of_a_project(name)}
    for name in others:
        del sys.modules[name]
    yield
    for name in [*filter(_is_of_a_project, sys.modules)]:
        del sys.modules[name]
    sys.modules.update(others)


def _is_of_a_project(name: str) -> bool:
    return name.partition(".")[0] in {"grid", "own", "nets"}


def suite(root: Path, folder: str, decode: str, task: str = "detection") -> SuiteFile:
    """A suite in a folder of a project, read."""
    place = root / folder
    place.mkdir(parents=True, exist_ok=True)
    (place / "x.onnx").write_bytes(IMAGES)
    (place / "recipes.toml").write_text(
        f'[suite]\ntask = "{task}"\nmodel = "x.onnx"\n[suite.data]\nvalidation = "a:b"\n'
        f'[suite.output]\ndecode = "{decode}"\n'
        '[[recipe]]\nname = "plain"\nruntime = "onnxruntime"\n'
    )
    return read(place / "recipes.toml", root)


def read_suite(root: Path, folder: str, decode: str, task: str = "detection") -> Suite:
    """The same, without a problem."""
    result = suite(root, folder, decode, task)
    assert result.suite is not None, result.suite_problems
    return result.suite


@pytest.mark.parametrize("folder", ["nets/boxes", "."])
def test_the_decoder_of_the_page_knows_the_size_of_the_network(tmp_path: Path, folder: str) -> None:
    """Named by its module alone, wherever the suite lies in the project."""
    place = tmp_path / folder
    place.mkdir(parents=True, exist_ok=True)
    (place / "grid.py").write_text(EXAMPLE)
    own = read_suite(tmp_path, folder, "grid:Grid")
    module = "grid" if folder == "." else "nets.boxes.grid"
    assert own.output["decode"] == f"{module}:Grid"
    task = registry.find(registry.TASKS, own.task)
    stages = task.pipeline(task.Input(size=(64, 96)), task.Output.model_validate(own.output))
    _, meta = stages.preprocess([np.zeros((128, 192, 3), np.uint8)])
    outputs = (np.array([[[1, 0, 2, 1.5, 0.01, 0.9]]], np.float32),)
    (prediction,) = stages.postprocess(outputs, meta)
    np.testing.assert_allclose(prediction.boxes, [[64, 0, 128, 96]])
    assert prediction.categories.tolist() == [1]
    data: Any = SimpleNamespace(task=task, declared=stages, input=task.Input())
    key = evaluator(own, data)
    (place / "grid.py").write_text(EXAMPLE + "# changed")
    assert evaluator(own, data) != key


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "has no function 'Grid'"),
        ("def Grid(): ...", "is a function"),
        ("class Grid: ...", r"does not derive from pytest_perfgate\.tasks\.decoders\.Decoder"),
        (
            "from pytest_perfgate.tasks.decoders import Decoder\nclass Grid(Decoder): ...",
            "abstract.* decode",
        ),
        ("import nothing_like_this", "No module named"),
    ],
    ids=["no class", "a function", "no base", "no method", "an import fails"],
)
def test_a_class_that_lacks_something_is_an_error_with_its_place(
    tmp_path: Path, text: str, problem: str
) -> None:
    """The file, the key and what is missing."""
    (tmp_path / "grid.py").write_text(text)
    (error,) = suite(tmp_path, ".", "grid:Grid").suite_problems
    assert re.search(problem, str(error), re.DOTALL), error
    assert "recipes.toml: suite.output.decode" in error.where


def test_a_module_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    """One that is not there, and one in a folder with a hyphen."""
    (error,) = suite(tmp_path, ".", "missing:Grid").suite_problems
    assert "the module 'missing' is not found" in error.problem
    (tmp_path / "my-suite").mkdir()
    (tmp_path / "my-suite" / "grid.py").write_text(EXAMPLE)
    (error,) = suite(tmp_path, "my-suite", "grid:Grid").suite_problems
    assert "folder 'my-suite', whose name cannot be imported" in error.problem


def test_a_record_imports_no_code(tmp_path: Path) -> None:
    """The metrics of a task of the project's own are in the session's file."""
    (tmp_path / "own.py").write_text(TASK)
    own = read_suite(tmp_path, ".", "boxes_scores", "own:Own")
    assert "half" in metrics_of(own.task)
    assert own_metrics("detection") == {}
    foreign: Any = SimpleNamespace(
        suites=[
            SimpleNamespace(task="os:abort", scopes=(), own_metrics={"x": Metric.score("x", "X.")})
        ]
    )
    assert metrics_of_session(foreign)["x"].better is Better.HIGHER
    assert "latency_p50" in metrics_of_session(foreign)


def test_a_session_with_a_task_of_the_projects_own(project: Project) -> None:
    """It is read, evaluated, judged and reported, at the suite's operating point too."""
    (project.suite / "own.py").write_text(TASK)
    text = (HEAD + PLAIN).replace('"detection"', '"own:Own"')
    limits = "half = { min = 0.999 }\nrecall = { min = 0.01 }"
    point = "[suite.output]\noperating_point = { score = 0.25, iou = 0.5 }\n"
    project.write(point + text.replace("[recipe.budgets]", f"[recipe.budgets]\n{limits}"))
    project.run("-k", "plain-half or plain-recall", page=True, process=True)
    assert project.verdicts() == {"plain-half": "FAIL", "plain-recall": "PASS"}
    record = project.sessions()[-1]["suites"][0]
    assert record["own_metrics"]["half"]["meaning"] == "Half of map."
    assert "precision" in record["recipes"][0]["accuracy"]["ratios"]
