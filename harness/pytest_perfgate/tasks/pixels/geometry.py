"""Where a picture lies in the network's input: sizes, offsets and scales, without any pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_perfgate.tasks.pixels.input_options import Input, Rounding
from pytest_perfgate.tasks.pixels.tiles import TILES, starts

Size = tuple[int, int]
"""Height and width in pixels."""


PICTURES: tuple[Size, ...] = ((480, 640), (1000, 333), (333, 1000))
"""Sizes of pictures that have nothing in common."""


@dataclass(frozen=True)
class Placed:
    """How an image lies in the network's input, in pixels.

    Attributes:
        scale: of x and y, from the image to the input.
        original: height and width of the image.
        network: height and width of the whole input, padding included.
        offset: x and y of the image's corner in the input; negative where a part was cut off.
        part: the number of this input among those of the image, and how many they are: tiles.
    """

    scale: tuple[float, float]
    original: Size
    network: Size = (0, 0)
    offset: tuple[int, int] = (0, 0)
    part: tuple[int, int] = (0, 1)

    @property
    def resized(self) -> Size:
        """Height and width of the whole resized picture, with what was cut off."""
        (x_scale, y_scale), (height, width) = self.scale, self.original
        return round(height * y_scale), round(width * x_scale)

    @property
    def visible(self) -> tuple[slice, slice]:
        """Rows and columns of the network's input that show the picture."""
        (rows, columns), (left, top) = self.resized, self.offset
        height, width = self.network
        return (
            slice(max(top, 0), min(top + rows, height)),
            slice(max(left, 0), min(left + columns, width)),
        )


class Geometry:
    """Places pictures as `[suite.input]` declares it."""

    def __init__(self, options: Input) -> None:
        self._options = options

    def place(self, height: int, width: int) -> Placed:
        """The place of a picture of that many rows and columns; of its first tile."""
        if self._options.resize == TILES:
            return self.places(height, width)[0]
        inner = self._resized((height, width))
        canvas = self._canvas(inner)
        step = self._options.multiple
        network = (-(-canvas[0] // step) * step, -(-canvas[1] // step) * step)
        if self._options.pad_to == "multiple":
            canvas = network
        top, left = (self._offset(*sides) for sides in zip(inner, canvas, strict=True))
        scale = (inner[1] / width, inner[0] / height)
        return Placed(scale, (height, width), network, (left, top))

    def places(self, height: int, width: int) -> tuple[Placed, ...]:
        """The places of a picture in its inputs: one, or of tiles row by row."""
        size = self._options.size
        if self._options.resize != TILES or size is None:
            return (self.place(height, width),)
        down, across = (
            [-begin for begin in starts(side, tile, self._options.overlap)]
            if side > tile
            else [self._offset(side, tile)]
            for side, tile in zip((height, width), size, strict=True)
        )
        corners = [(left, top) for top in down for left in across]
        return tuple(
            Placed((1.0, 1.0), (height, width), (size[0], size[-1]), corner, (index, len(corners)))
            for index, corner in enumerate(corners)
        )

    @property
    def shows_all(self) -> bool:
        """Whether the input shows the whole picture and no padding, whatever the picture's size."""
        places = [self.place(*size) for size in PICTURES]
        return all(place.resized == place.network for place in places)

    def _canvas(self, inner: Size) -> Size:
        """What the resized picture is cut or padded to, before `multiple`."""
        options = self._options
        if options.crop is not None:
            return options.crop[0], options.crop[-1]
        if options.size is None or len(options.size) == 1 or options.pad_to == "multiple":
            return inner
        return options.size[0], options.size[1]

    def _offset(self, side: int, canvas: int) -> int:
        """Where a side begins on the canvas."""
        room = canvas - side
        if room > 0 and (self._options.crop is not None or self._options.pad == "around"):
            return room // 2  # an odd pixel goes right and below
        if room < 0:  # cut off on both sides
            exact = -room / 2
            return -(round(exact) if self._options.rounds_as == "torchvision" else int(exact))
        return 0

    def _resized(self, original: Size) -> Size:
        """Height and width that a picture is resized to."""
        options = self._options
        if options.size is None:
            return self._in_multiples(original, 1.0)
        if options.resize == "stretch":
            return options.size[0], options.size[1]
        if options.resize == "fixed_height":
            return _fixed_height(original, (options.size[0], options.size[1]), options.rounds_as)
        if options.resize == "letterbox":
            ratio = min(options.size[0] / original[0], options.size[1] / original[1])
        else:
            sides = max(original) if options.resize == "longer_side" else min(original)
            ratio = options.size[0] / sides
        if (ratio > 1 and not options.scale_up) or (ratio < 1 and not options.scale_down):
            return self._in_multiples(original, 1.0)
        if options.multiple_by == "resize":
            return self._in_multiples(original, ratio)
        if options.resize == "shorter_side":
            return _shorter_side(original, options.size[0], options.longest, options.rounds_as)
        return _scaled(original, ratio, options.rounds_as)

    def _in_multiples(self, original: Size, ratio: float) -> Size:
        """Both sides times `ratio`, where it is asked for as the nearest multiples, at least one:
        PaddleOCR's `DetResizeForTest`.
        """
        if self._options.multiple_by == "pad":
            return original
        step = self._options.multiple
        rows, columns = (max(step, round(int(side * ratio) / step) * step) for side in original)
        return rows, columns


def _scaled(original: Size, ratio: float, rounding: Rounding) -> Size:
    """Both sides times `ratio`. Half a pixel is rounded to even by Ultralytics and Paddle, up by
    MMDetection and by transformers' longest edge, and cut off by torchvision.
    """
    if rounding in {"mmdetection", "transformers"}:
        rows, columns = (int(side * ratio + 0.5) for side in original)
    elif rounding == "torchvision":
        rows, columns = (int(side * ratio) for side in original)
    else:
        rows, columns = (round(side * ratio) for side in original)
    return max(1, rows), max(1, columns)


def _shorter_side(original: Size, short: int, longest: int | None, rounding: Rounding) -> Size:
    """The shorter side becomes `short`, the longer one `longest` at most: torchvision's `Resize`
    with `max_size`, transformers' `shortest_edge` and `longest_edge`, MMDetection's `scale`.
    """
    least, most = min(original), max(original)
    if rounding not in {"torchvision", "transformers"}:
        ratio = short / least if longest is None else min(short / least, longest / most)
        return _scaled(original, ratio, rounding)
    other = int(short * most / least)
    if longest is not None and rounding == "torchvision" and other > longest:
        short, other = int(longest * short / other), longest
    elif longest is not None and rounding == "transformers" and most / least * short > longest:
        exact = longest * least / most
        short, other = round(exact), int(exact * most / least)
    short, other = max(1, short), max(1, other)
    return (short, other) if original[0] <= original[1] else (other, short)


def _fixed_height(original: Size, size: Size, rounding: Rounding) -> Size:
    """The height of `size`, and a width by the picture's own shape, at most that of `size`."""
    exact = size[0] * (original[1] / original[0])  # in the order that PaddleOCR computes it in
    if rounding == "paddle":
        width = math.ceil(exact)
    else:
        width = _scaled((1, original[1]), size[0] / original[0], rounding)[1]
    return size[0], max(1, min(width, size[1]))


def grouped(placed: Sequence[Placed]) -> list[slice]:
    """The inputs of each picture among those of a batch."""
    groups = []
    begin = 0
    while begin < len(placed):
        count = placed[begin].part[1]
        groups.append(slice(begin, begin + count))
        begin += count
    return groups
