"""Images with the largest losses on the page: boxes, turned boxes and keypoints."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_perfgate.records.image_losses import SeenBox
from pytest_perfgate.report import worst_images
from pytest_perfgate.report.page import render

from tests.report import sessions
from tests.report.sessions import METRICS

POINTS = ((20.0, 30.5), (40.0, 50.0))
SHAPES: dict[str, dict[str, Any]] = {
    "points": {"points": POINTS, "bones": ((*POINTS[0], *POINTS[1]),)},
    "outline": {"outline": ((10.0, 20.0), (50.0, 10.0), (60.0, 50.0), (20.0, 60.0))},
}


@pytest.mark.parametrize(
    ("shape", "path", "words"),
    [
        ("points", "M20 30.5h0M40 50h0M20 30.5L40 50", "OKS of its objects fell by 1.10"),
        ("outline", "M10 20 L50 10 L60 50 L20 60 Z", "scores fell by 1.10"),
    ],
)
def test_shapes_are_drawn_on_both_pictures_and_the_ground_truth(
    shape: str, path: str, words: str
) -> None:
    """An outline in place of the upright box; keypoints beside it, as dots and lines."""
    session = sessions.healthy()
    (suite,) = session.suites

    def shaped(boxes: tuple[SeenBox, ...]) -> tuple[SeenBox, ...]:
        return tuple(box.model_copy(update=SHAPES[shape]) for box in boxes)

    recipes = []
    for record in suite.recipes:
        images = [
            image.model_copy(
                update={"reference": shaped(image.reference), "recipe": shaped(image.recipe)}
            )
            for image in record.worse or ()
        ]
        recipes.append(record.model_copy(update={"worse": tuple(images)} if images else {}))
    thumbnails = {
        index: one.model_copy(update={"objects": shaped(one.objects)})
        for index, one in suite.thumbnails.items()
    }
    suite = suite.model_copy(update={"recipes": tuple(recipes), "thumbnails": thumbnails})
    assert worst_images.posed(suite) == (shape == "points")
    page = render(session.model_copy(update={"suites": (suite,)}), METRICS)
    assert words in page
    shown = page.split("Images with the largest losses")[1]
    assert shown.count(f'd="{path}"') >= 8  # twice each: with its halo
    rectangles = shown.split("</details>")[0].count("<rect")
    assert (rectangles == 0) == (shape == "outline")
