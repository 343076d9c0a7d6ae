"""What every task does before inference: decoded pixels to the network's input, as declared.

Three parts: where a picture lies (`geometry`), how it is resized (`filters`), and which numbers its
pixels become (`normalisation`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks import filters
from pytest_perfgate.tasks.geometry import Geometry, Placed
from pytest_perfgate.tasks.input_options import Input
from pytest_perfgate.tasks.normalisation import Values


class Pixels:
    """Resizing, padding and normalisation, as `[suite.input]` asks for."""

    def __init__(self, options: Input) -> None:
        self._geometry = Geometry(options)
        self._values = Values(options)

    def read(self, images: Sequence[Any]) -> tuple[Any, tuple[Placed, ...]]:
        """Uint8 (H, W, 3) RGB images to float32 (N, 3, h, w), and how each was placed in it.

        Raises:
            DataError: images would have inputs of different sizes.
        """
        places = tuple(self._geometry.place(*image.shape[:2]) for image in images)
        height, width = places[0].network
        for place in places:
            if place.network != (height, width):
                raise DataError(
                    f"images of different sizes cannot share a batch: {place.network} and "
                    f"{places[0].network}",
                    where="suite.input.size",
                    next_step="set size = [height, width]",
                )
        batch = self._values.blank(len(images), height, width)
        for row, image, place in zip(batch, images, places, strict=True):
            (rows, columns), (left, top) = place.resized, place.offset
            inner = row[:, top : top + rows, left : left + columns]
            self._values.write(filters.resize(image, rows, columns), inner)
        return batch, places
