"""The budget `parity`: outputs beside the reference's, over inputs that no data set holds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conftest import Project, said
from tests.squares import RECIPES

BUDGET = "parity = { max = 0.01 }\n"

SAME = f"""
[[recipe]]
name = "same"
from = "plain"
[recipe.budgets]
{BUDGET}"""


@pytest.fixture
def held(project: Project) -> Project:
    """The tiny project with a budget on the derived recipe's parity."""
    pytest.importorskip("hypothesis", reason="python -m pip install 'pytest-perfgate[parity]'")
    project.write(RECIPES + BUDGET)
    return project


def test_a_frozen_batch_is_red_and_the_smallest_batch_is_named(
    held: Project, moody: Callable[..., None]
) -> None:
    """Validation is one image at a time and sees nothing; two at once are the smallest input."""
    held.write((RECIPES + BUDGET).replace("batch = 4", "batch = 1"))
    moody("takes_one_image")
    result = held.run("-k", "parity or moody-map")
    assert held.verdicts()["moody-map"] == "PASS"
    assert held.verdicts()["moody-parity"] == "FAIL"
    said(result, "batch 2, 64 x 64, all values 0", "Got 2 Expected 1")


def test_the_same_outputs_keep_it_and_one_kind_of_image_is_enough_to_break_it(
    held: Project, moody: Callable[..., None]
) -> None:
    """The same graph has no difference over all inputs, and the record says how many. Right on
    every validation image, wrong on a white one: found, and told as one.
    """
    held.write(RECIPES + BUDGET + SAME)
    moody("fails_on_white")
    result = held.run("-k", "parity or moody-map")
    assert held.verdicts() == {"moody-map": "PASS", "moody-parity": "FAIL", "same-parity": "PASS"}
    said(result, "the smallest input that breaks it: batch 1, 64 x 64, all values")
    recipes = {recipe["name"]: recipe for recipe in held.sessions()[-1]["suites"][0]["recipes"]}
    same = recipes["same"]["parity"]
    assert same["value"] == 0
    assert same["tried"] >= 20
    assert same["sizes"] == [[64, 64]]  # the graph takes no other
    assert same["smallest"] == ""


def test_the_reference_has_none(held: Project) -> None:
    """It is what others are compared with; the budget is refused with what is valid."""
    text = RECIPES.replace('artifact_size = { max = "1 MB" }', "parity = { max = 0.01 }")
    held.write(text)
    result = held.run("-k", "plain")
    said(result, "parity compares with the reference, and this recipe is the reference")


def test_other_limits_are_refused(held: Project) -> None:
    """Its inputs are looked for with the limit in mind, so there is only `max`."""
    held.write(RECIPES + "parity = { regression = '5%' }\n")
    result = held.run("-k", "moody")
    said(result, "regression does not fit parity", "max")
