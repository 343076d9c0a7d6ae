"""Statistics of an evaluation's images, and of none where they are no pictures."""

from __future__ import annotations

import numpy as np
from pytest_perfgate.stats.image_statistics import NAMES
from pytest_perfgate.worker.input_statistics import InputStatistics


def test_each_statistic_has_one_number_per_image() -> None:
    """Images of several sizes, one of them with an alpha channel."""
    statistics = InputStatistics()
    statistics.add(np.full((8, 6, 3), 10, np.uint8))
    statistics.add(np.full((4, 9, 4), 30, np.uint8))
    sketches = statistics.sketches()
    assert tuple(sketches) == NAMES
    assert sketches["width"].quantiles.array().tolist() == [6, 9]
    assert sketches["red_mean"].quantiles.array().tolist() == [10, 30]
    assert {sketch.count for sketch in sketches.values()} == {2}


def test_a_task_whose_images_are_no_pictures_has_no_statistics() -> None:
    """One that is none is enough: the others would be of a part of the images."""
    assert InputStatistics().sketches() == {}
    statistics = InputStatistics()
    statistics.add(np.full((8, 6, 3), 10, np.uint8))
    statistics.add(np.zeros((8, 6), np.float32))
    statistics.add(np.full((8, 6, 3), 10, np.uint8))
    assert statistics.sketches() == {}
