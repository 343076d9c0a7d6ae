"""Scores that collapse and boxes that move, while the mean average precision may hold."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conftest import Project, said
from tests.squares import RECIPES

BUDGETS = """\
score_shift = { max = 0.05 }
agreement   = { min = 0.95 }
"""


def with_budgets(project: Project) -> None:
    """Both budgets on the derived recipe."""
    project.write(RECIPES + BUDGETS)


def test_scores_that_collapse_are_red_where_map_is_green(
    project: Project, moody: Callable[..., None]
) -> None:
    """Scores halved, their order kept: map is as it was, score_shift is broken, twice alike."""
    with_budgets(project)
    moody("halves_scores")
    accuracy = ("-k", "moody-map or moody-score_shift")  # no launch
    project.run(*accuracy)
    verdicts = project.verdicts()
    assert verdicts["moody-map"] != "FAIL"
    assert verdicts["moody-score_shift"] == "FAIL"
    plain, moodys = project.sessions()[-1]["suites"][0]["recipes"]
    first = moodys["accuracy"]
    assert first["values"]["map"] == pytest.approx(plain["accuracy"]["values"]["map"], abs=1e-3)
    assert 0.3 < first["values"]["score_shift"] < 0.5
    project.run(*accuracy)
    again = project.sessions()[-1]["suites"][0]["recipes"][1]["accuracy"]
    assert again["values"] == first["values"]
    assert project.verdicts()["moody-score_shift"] == "FAIL"


def test_boxes_that_move_are_red(project: Project, moody: Callable[..., None]) -> None:
    """Six pixels to the right: what was found is not what the reference found."""
    with_budgets(project)
    moody("shifts_boxes")
    project.run("-k", "agreement")
    assert project.verdicts() == {"moody-agreement": "FAIL"}


def test_the_same_predictions_are_exactly_the_same(project: Project) -> None:
    """1 and 0, PASS, and no interval."""
    with_budgets(project)
    project.run("-k", "agreement or score_shift")
    assert set(project.verdicts().values()) == {"PASS"}
    values = project.sessions()[-1]["suites"][0]["recipes"][1]["accuracy"]["values"]
    assert (values["agreement"], values["score_shift"]) == (1.0, 0.0)


def test_a_collapse_is_named_without_a_budget(project: Project, moody: Callable[..., None]) -> None:
    """Who has no budget on score_shift is told that one is needed."""
    moody("halves_scores")
    result = project.run("-k", "moody-map")
    said(result, "moody keeps its map, but its scores move by 0.", "Add a budget on score_shift")


def test_a_reference_has_no_reference(project: Project) -> None:
    """A budget on agreement in the reference is an error with its place."""
    text = RECIPES.replace("artifact_size =", "agreement = { min = 0.9 }\nartifact_size =")
    project.write(text)
    result = project.run("-k", "plain")
    said(result, "budgets.agreement", "this recipe is the reference")


def test_a_size_that_no_object_has_is_an_error_when_it_is_asked_for(project: Project) -> None:
    """The squares are small: map_small is measured, map_large is not, and does not pass."""
    more = "map_small = { min = 0.5 }\nmap_large = { min = 0.5 }\n"
    project.write(RECIPES + more)
    project.run("-k", "map_small or map_large")
    assert project.verdicts() == {"moody-map_small": "PASS", "moody-map_large": "ERROR"}
