"""The images that a recipe segments worse than its reference, and what the page shows of them."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.metric import PERFORMANCE
from pytest_perfgate.records.image_losses import Thumbnail
from pytest_perfgate.report.page import render
from pytest_perfgate.tasks.segmentation import METRICS, Segmentation
from pytest_perfgate.tasks.segmentation.losses import overlay

from tests.report import sessions
from tests.tasks import scenes

Image = pytest.importorskip("PIL.Image", reason="pip install 'pytest-perfgate[segmentation]'")


def worse(lost: dict[int, int]) -> Any:
    """The images that are worse where a recipe lost a class (the value) of some images (the key);
    its reference is perfect.
    """
    task, data = Segmentation(), scenes.data(6)
    maps = [np.where(mask == scenes.IGNORED, 0, mask) for mask in data.masks]
    other = [scenes.segments(one) for one in maps]
    ours = [
        scenes.segments(np.where(one == lost.get(index, 9), 0, one))
        for index, one in enumerate(maps)
    ]
    return task, data, task.worse(data, task.pack(ours), task.pack(other), 4)


def test_the_images_that_lost_most_come_first() -> None:
    """A loss is the sum of what the IoU of the classes of a mask fell by, in that image."""
    task, data, images = worse({4: 1, 1: 2})
    assert [image.image for image in images] == [1, 4]
    assert 1.0 < images[1].loss < images[0].loss < 2.0  # a class, and a part of the road
    name, objects = task.objects(data, 4)
    assert name == ""
    assert [box.category for box in objects] == list(scenes.CLASSES)
    before = {box.object: box.score for box in images[1].reference}
    after = {box.object: box.score for box in images[1].recipe}
    assert before == {0: 1.0, 1: 1.0, 2: 1.0}
    assert set(after) == {0, 2}
    assert 0 < after[0] < 1.0
    assert worse({})[2] == []


def test_an_overlay_marks_the_wrong_pixels() -> None:
    """At the size of a small picture; ignored pixels are clear, and so are right ones."""
    mask = np.where(scenes.blocks(0) == scenes.IGNORED, 3, scenes.blocks(0)).astype(np.int64)
    labels = np.where(mask == 1, 0, mask)
    picture = Image.open(io.BytesIO(base64.b64decode(overlay(mask, labels, 3))))
    opaque = np.asarray(picture.convert("RGBA"))[..., 3] > 0
    np.testing.assert_array_equal(opaque, mask == 1)
    random = np.random.default_rng(0).integers(0, 2, (2000, 3000))
    assert len(overlay(random, np.zeros_like(random), 2)) <= 20_000


def test_the_page_lays_overlays_over_both_pictures() -> None:
    """With the classes that lost, and words of its own for what is shown."""
    task, data, images = worse({4: 1})
    session = sessions.healthy()
    suite = session.suites[0]
    _, objects = task.objects(data, 4)
    small = sessions.thumbnail("")
    thumbnail = Thumbnail(
        name="a.png", width=32, height=24, objects=objects, media=small.media, data=small.data
    )
    recipes = tuple(
        record.model_copy(
            update={"worse": tuple(images) if record.name != record.reference else None}
        )
        for record in suite.recipes
    )
    changed = suite.model_copy(
        update={"task": "segmentation", "recipes": recipes, "thumbnails": {4: thumbnail}}
    )
    page = render(session.model_copy(update={"suites": (changed,)}), {**METRICS, **PERFORMANCE})
    assert "the intersection over union (IoU) of the mask's classes fell most" in page
    assert "image 4 (a.png): IoU of its classes fell by" in page
    assert "car: 1.00 → not found" in page
    assert page.count(f"data:image/png;base64,{images[0].recipe_overlay}") == 2  # two recipes
    assert page.count(f"data:image/png;base64,{images[0].reference_overlay}") == 2
    assert "IoU by class" in page
