"""What every task does before inference: decoded pixels to the network's input, as declared.

Three parts: where a picture lies (`geometry`), how it is resized (`filters`), and which numbers its
pixels become (`normalisation`); or the project's own function.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from pytest_perfgate.errors import DataError, SeveralSizes
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.tasks.pixels.filters import luma, resizer
from pytest_perfgate.tasks.pixels.geometry import Geometry, Placed
from pytest_perfgate.tasks.pixels.input_options import Input
from pytest_perfgate.tasks.pixels.network_inputs import NetworkInputs
from pytest_perfgate.tasks.pixels.normalisation import Values
from pytest_perfgate.tasks.pixels.own_functions import OwnPixels


class Reader(Protocol):
    """Prepares the pixels of images."""

    def read(self, images: Sequence[Any]) -> tuple[Any, tuple[Any, ...]]:
        """Uint8 (H, W, 3) RGB images to a batch (N, C, h, w), and what is known of each."""


class Preprocessing:
    """The declared pre-processing, or the project's own, to the inputs of a network.

    Args:
        options: of `[suite.input]`.
        placed: whether post-processing needs to know where a picture lies in the input.
    """

    def __init__(self, options: Input, *, placed: bool) -> None:
        self._inputs = NetworkInputs(options)
        self._reader: Reader = Pixels(options)
        if options.preprocess:
            self._reader = OwnPixels(options.preprocess, placed=placed)

    def read(self, images: Sequence[Any]) -> tuple[Inputs, tuple[Any, ...]]:
        """Uint8 (H, W, 3) RGB images to the network's inputs, and what is known of each."""
        batch, places = self._reader.read(images)
        return self._inputs.of(batch, places), places


class Pixels:
    """Resizing, padding and normalisation, as `[suite.input]` asks for."""

    def __init__(self, options: Input) -> None:
        self._color = options.color
        self._geometry = Geometry(options)
        self._resize = resizer(options)
        self._luma = luma(options) if options.color == "grey" else None
        self._values = Values(options)

    def read(self, images: Sequence[Any]) -> tuple[Any, tuple[Placed, ...]]:
        """Uint8 (H, W, 3) RGB images to float32 (N, C, h, w), and how each was placed in it; of
        tiles N is their number.

        Raises:
            SeveralSizes: images would have inputs of different sizes.
        """
        of_images = [self._geometry.places(*image.shape[:2]) for image in images]
        places = tuple(place for of_image in of_images for place in of_image)
        sizes = [place.network for place in places]
        (height, width), other = sizes[0], next((one for one in sizes if one != sizes[0]), None)
        if other is not None:
            raise SeveralSizes(
                f"images of different sizes cannot share a batch: {other} and {sizes[0]}",
                sizes=sizes,
                where="suite.input.size",
                next_step="set size = [height, width], or a batch of 1",
            )
        batch = self._values.empty(len(places), height, width)
        written = iter(batch)
        for image, of_image in zip(images, of_images, strict=True):
            pixels = self._channels(image)
            pixels = pixels if self._luma is None else self._luma(pixels)
            resized = self._resize(pixels, *of_image[0].resized)
            for place in of_image:
                row = next(written)
                (rows, columns), (left, top) = place.visible, place.offset
                shown = resized[
                    rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
                ]
                self._values.pad(row, rows, columns)
                self._values.write(shown, row[:, rows, columns])
        return batch, places

    def _channels(self, image: Any) -> Any:
        """A picture with the channels that the colour is made from: three, or four for RGBA, of
        which a picture without transparency gets an opaque one.

        Raises:
            DataError: it has transparency, and the colour has none.
        """
        import numpy as np

        if (image.shape[2] == 4) == (self._color == "RGBA"):
            return image
        if self._color == "RGBA":
            return np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
        raise DataError(
            f"the pictures have an alpha channel, and color = {self._color!r} has none",
            where="suite.input.color",
            valid='color = "RGBA"; or for the data set alpha = "drop", or a background '
            "[red, green, blue]",
        )
