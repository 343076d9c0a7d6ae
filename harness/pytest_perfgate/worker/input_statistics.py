"""Statistics of the images of an evaluation, which live inputs are compared with."""

from __future__ import annotations

from typing import Any

import numpy as np

from pytest_perfgate.records.accuracy import Sketch
from pytest_perfgate.stats.image_statistics import NAMES, grid, statistics


class InputStatistics:
    """Takes images one by one; a number of each statistic per image is kept until the end."""

    def __init__(self) -> None:
        self._rows: list[Any] = []
        self._pictures = True

    def add(self, image: Any) -> None:
        """Takes a decoded image. A task of the project's own may have images that are no pictures:
        it has no statistics.
        """
        if not self._pictures:
            return
        try:
            self._rows.append(statistics(grid(image), image.shape[:2]))
        except ValueError:
            self._pictures = False

    def sketches(self) -> dict[str, Sketch]:
        """The distribution of each statistic over all images; none where one was no picture."""
        if not self._pictures or not self._rows:
            return {}
        return {
            name: Sketch.of(values)
            for name, values in zip(NAMES, np.array(self._rows).T, strict=True)
        }
