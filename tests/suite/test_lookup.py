"""A recipe is found by its name, or the reason why not is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.suite.lookup import find

from tests.suite.texts import FP32, ONNX, SUITE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with two suites, which both have a recipe `fp32`."""
    for name, text in (("cars", SUITE + FP32), ("birds", SUITE + FP32 + ONNX)):
        (tmp_path / "suites" / name).mkdir(parents=True)
        (tmp_path / "suites" / name / "recipes.toml").write_text(text)
    return tmp_path


def test_a_name_in_two_suites_is_told_apart_by_the_suite(folder: Path) -> None:
    """Without one the error lists the choices; each of them is then found."""
    with pytest.raises(RecipeError, match="several recipes 'fp32'") as caught:
        find("fp32", folder, folder / "suites")
    assert caught.value.valid == "birds/fp32, cars/fp32"
    for choice in caught.value.valid.split(", "):
        suite, recipe = find(choice, folder, folder / "suites")
        assert f"{suite.name}/{recipe.name}" == choice
    assert find("onnx", folder, folder / "suites")[0].name == "birds"


def test_a_suite_without_the_recipe_does_not_take_another_suites(folder: Path) -> None:
    """The error names the folder and the next command."""
    with pytest.raises(RecipeError, match="there is no recipe 'cars/onnx'") as caught:
        find("cars/onnx", folder, folder / "suites", command="pytest-perfgate freeze")
    assert caught.value.where == str(folder / "suites")
    assert "pytest-perfgate freeze RECIPE" in caught.value.next_step


def test_trees_of_other_commits_are_no_suites(folder: Path) -> None:
    """The cache holds them; what is found there has a twin in the project."""
    tree = folder / ".perfgate" / "trees" / "abc" / "suites" / "birds"
    tree.mkdir(parents=True)
    (tree / "recipes.toml").write_text(SUITE + FP32 + ONNX)
    assert find("onnx", folder, folder)[0].file == folder / "suites" / "birds" / "recipes.toml"


def test_a_broken_suite_beside_it_hides_no_recipe(folder: Path) -> None:
    """Its own problem is raised for its recipes; those of the other suite are found."""
    (folder / "suites" / "cars" / "recipes.toml").write_text("[suite")
    with pytest.raises(RecipeError, match="cars"):
        find("cars/fp32", folder, folder / "suites")
    assert find("birds/onnx", folder, folder / "suites")[1].name == "onnx"
