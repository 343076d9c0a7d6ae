"""`folds` of a recipe, as the suite file has them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate import registry
from pytest_perfgate.records.recipe import FoldSpec
from pytest_perfgate.suite.metrics import task_of
from pytest_perfgate.suite.reading import read
from pytest_perfgate.tasks import Task
from pytest_perfgate.tasks.classification import Classification, ClassifyingTask

from tests.worker.test_folds import SUITE

RECIPE = """
[[recipe]]
name = "own"
runtime = "torch"
steps = [{steps}]
{folds}
"""
TRAINS = "{ finetune = 3, learning_rate = 0.05 }"


def read_recipe(folder: Path, folds: str, steps: str = TRAINS) -> object:
    """The recipe's folds, or the first problem of the file as text."""
    (folder / "recipes.toml").write_text(SUITE + RECIPE.format(steps=steps, folds=folds))
    suite = read(folder / "recipes.toml", folder)
    for problem in (*suite.suite_problems, *suite.problems.get("own", ())):
        return str(problem)
    assert suite.suite is not None
    return suite.suite.recipes["own"].folds


@pytest.mark.parametrize(
    ("folds", "spec"),
    [
        ("folds = 5", FoldSpec(5, "train")),
        ('folds = { count = 3, by = "toy:groups" }', FoldSpec(3, "train", "toy:groups")),
        ("", None),
    ],
)
def test_folds_that_can_be_read(tmp_path: Path, folds: str, spec: FoldSpec | None) -> None:
    """The split is that of the steps that train."""
    pytest.importorskip("torch")
    assert read_recipe(tmp_path, folds) == spec


@pytest.mark.parametrize(
    ("folds", "steps", "words"),
    [
        ("folds = 1", TRAINS, "folds"),
        ("folds = true", TRAINS, "folds"),
        ('folds = { count = 5, by = "toy" }', TRAINS, "'toy' is not an import path"),
        ("folds = 5", "{ channels_last = true }", "no step of the recipe trains"),
        (
            "folds = 5",
            '{ finetune = 3 }, { finetune = 3, data = "toy:other" }',
            "steps train with toy:other, train",
        ),
        (
            '[recipe.budgets]\n"accuracy@folds" = { min = 0.5 }',
            TRAINS,
            "accuracy@folds is a score over folds, and the recipe has none",
        ),
        (
            '[recipe.budgets]\naccuracy = { min = 0.5, on = "folds" }',
            TRAINS,
            "accuracy@folds is a score over folds, and the recipe has none",
        ),
        (
            'folds = 5\n[recipe.budgets]\n"accuracy@folds" = { regression = 0.5 }',
            TRAINS,
            "regression does not fit accuracy@folds",
        ),
        (
            "folds = 5",
            "{ finetune = 3, learning_rate = { search = { low = 0.01, high = 0.1 } } }",
            "each trial of the search would train its folds",
        ),
    ],
)
def test_folds_that_cannot_be_read(tmp_path: Path, folds: str, steps: str, words: str) -> None:
    """Each is one message with its place."""
    pytest.importorskip("torch")
    problem = str(read_recipe(tmp_path, folds, steps))
    assert words in problem
    assert "recipe 'own'" in problem


def test_data_that_cannot_be_taken_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task of a project that has no `part` is named before anything is built; every task of this
    package has one.
    """
    pytest.importorskip("torch")
    for name in registry.names(registry.TASKS):
        assert type(task_of(name)).part is not Task.part
    monkeypatch.setattr(ClassifyingTask, "part", Task.part)
    monkeypatch.setattr(Classification, "part", Task.part)
    problem = read_recipe(tmp_path, "folds = 5")
    assert "data of the task 'classification' cannot be taken apart" in str(problem)
    assert "recipe 'own': folds" in str(problem)
    assert "leave folds out" in str(problem)
