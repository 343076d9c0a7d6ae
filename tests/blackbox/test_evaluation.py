"""Accuracy is computed once for the same model, runtime, images and annotations."""

from __future__ import annotations

import json

from tests.conftest import Project, said
from tests.squares import HEAD, PLAIN, RECIPES


def seconds(project: Project) -> float:
    """What evaluating the first recipe took, as the last session has it."""
    result: float = project.sessions()[-1]["suites"][0]["recipes"][0]["accuracy"]["seconds"]
    return result


def test_the_same_evaluation_is_not_done_again(project: Project) -> None:
    """The second session has the first one's figures to the last digit, its duration included."""
    project.run("-k", "plain-map")
    first = seconds(project)
    project.run("-k", "plain-map")
    assert seconds(project) == first


def test_what_accuracy_rests_on_is_looked_at_every_time(project: Project) -> None:
    """Other annotations, another threshold: a new evaluation, with another result."""
    project.run("-k", "plain-map")
    before = project.sessions()[-1]["suites"][0]["recipes"][0]["accuracy"]
    file = project.suite / "validation.json"
    coco = json.loads(file.read_text())
    coco["annotations"] = coco["annotations"][: len(coco["annotations"]) // 2]
    file.write_text(json.dumps(coco))
    project.run("-k", "plain-map")
    fewer = project.sessions()[-1]["suites"][0]["recipes"][0]["accuracy"]
    assert fewer["values"]["map"] < before["values"]["map"]
    assert fewer["data_digest"] != before["data_digest"]
    recipes = (project.suite / "recipes.toml").read_text()
    strict = recipes.replace(
        "[suite.data]", "[suite.output]\nscore_threshold = 0.999\n[suite.data]"
    )
    project.write(strict)
    project.run("-k", "plain-map")
    last = project.sessions()[-1]["suites"][0]["recipes"][0]["accuracy"]
    assert last["predictions_digest"] != fewer["predictions_digest"]


def test_a_reference_that_sees_nothing_is_an_error_with_its_cause(project: Project) -> None:
    """A wrong mean: no drop from 0 to 0 passes, and the line that mends it is named."""
    project.write(f"{RECIPES}\n[suite.input]\nmean = [0.9, 0.9, 0.9]\n")
    result = project.run("-k", "plain or map")
    verdicts = project.verdicts()
    assert verdicts == {
        "plain-map": "ERROR",
        "plain-artifact_size": "PASS",
        "plain-latency_p50": "ERROR",
        "moody-map": "ERROR",
    }
    said(
        result,
        "the reference plain does not work as declared: map50 is 0.0000",
        "[suite.input] mean = [0.0, 0.0, 0.0], std = [1.0, 1.0, 1.0]",
        ": map is ",
        "in place of 0.0000 on 20 images",
        "3 of 4 budgets were measured. 3 budgets of 4 could not be judged.",
        "A reference does not work as declared, and its scores prove nothing.",
        "ERROR plain map and 2 more budgets of this suite",
    )
    assert project.sessions()[-1]["suites"][0]["recipes"][0]["launches"] == []


def test_a_reference_below_its_own_minimum_is_tried_with_other_options(project: Project) -> None:
    """Its score is no poor one; that of other options is better, and the line is named. A changed
    limit evaluates nothing anew, and one that is kept asks for no trial.
    """
    pixels = "[suite.input]\nmean = [0.4, 0.4, 0.4]\n"
    project.write(HEAD + pixels + PLAIN.replace("min = 0.5", "min = 0.95"))
    result = project.run("-k", "plain-map")
    said(
        result, "the reference plain does not work as declared: map is ", "[suite.input] mean = [0"
    )
    accuracy = project.sessions()[-1]["suites"][0]["recipes"][0]["accuracy"]
    assert 0.5 < accuracy["values"]["map"] < 0.9
    assert accuracy["doubt"] is not None
    entries = sorted((project.root / ".perfgate").rglob("evaluation.json"))
    project.write(HEAD + pixels + PLAIN.replace("min = 0.5", "min = 0.94"))
    project.run("-k", "plain-map")
    assert project.verdicts() == {"plain-map": "ERROR"}
    project.write(HEAD + pixels + PLAIN)
    project.run("-k", "plain-map")
    assert project.sessions()[-1]["suites"][0]["recipes"][0]["accuracy"]["doubt"] is None
    assert sorted((project.root / ".perfgate").rglob("evaluation.json")) == entries
    assert len([*(project.root / ".perfgate").rglob("trial.json")]) == 1
