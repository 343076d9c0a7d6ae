"""The images that got worse travel from the evaluation into the session's file and its page."""

from __future__ import annotations

from collections.abc import Callable

from tests.conftest import Project


def test_a_recipe_that_loses_scores_is_shown_with_its_worst_images(
    project: Project, moody: Callable[..., None]
) -> None:
    """Scores halved: the images whose objects lost most are in the record, each with a thumbnail,
    both sides' boxes and the ground truth, and on the page.
    """
    moody("halves_scores", stage="evaluate")
    project.run("-k", "moody-map", page=True)
    (suite,) = project.sessions()[-1]["suites"]
    reference, recipe = suite["recipes"]
    assert reference["worse"] is None  # there is nothing to lay it beside
    assert 1 <= len(recipe["worse"]) <= 4
    losses = [image["loss"] for image in recipe["worse"]]
    assert losses == sorted(losses, reverse=True)
    for image in recipe["worse"]:
        objects = suite["thumbnails"][str(image["image"])]["objects"]
        before = {box["object"]: box["score"] for box in image["reference"]}
        after = {box["object"]: box["score"] for box in image["recipe"]}
        for index in range(len(objects)):
            assert after[index] < before[index] * 0.5 + 0.03
        name = suite["thumbnails"][str(image["image"])]["name"]
        assert name == f"{image['image']}.png"
    (page,) = (project.root / "reports").glob("[0-9]*.html")
    text = page.read_text()
    assert "Images with the largest losses" in text
    assert text.count("data:image/") == len(suite["thumbnails"])


def test_a_recipe_that_finds_the_same_has_no_worse_image(project: Project) -> None:
    """It was looked at, and that is what was found."""
    project.run("-k", "moody-map")
    (suite,) = project.sessions()[-1]["suites"]
    assert suite["recipes"][1]["worse"] == []
    assert suite["thumbnails"] == {}
