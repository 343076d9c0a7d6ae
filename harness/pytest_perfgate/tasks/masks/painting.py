"""From values on a grid to the pixels of the original picture that are of an object."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from pytest_perfgate.tasks.masks.runs import Masks, encoded
from pytest_perfgate.tasks.pixels.enlarging import Line, between, line, lines

if TYPE_CHECKING:
    from pytest_perfgate.tasks.pixels.geometry import Placed

Plane = npt.NDArray[np.float32]
Over = Literal["input", "picture", "box"]
Span = tuple[int, int]
"""First and one after the last index of a side."""


@dataclass(frozen=True)
class Planes:
    """A plane of values (h, w) for each of some objects; where they are above a limit, a pixel is
    of the object.

    Attributes:
        values: the planes themselves, float32 (M, h, w); or prototypes (K, h, w), with
            `coefficients` float32 (M, K): a plane is the sum of the prototypes, each times its
            coefficient.
        over: what a plane lies over: the network's input, the original picture or the object's box.
        cut: whether the box cuts its object's mask off.
        logits: whether the values are logits, not scores.
        threshold: the score above which a pixel is of the object.
    """

    values: Plane
    coefficients: npt.NDArray[np.float32] | None = None
    over: Over = "input"
    cut: bool = False
    logits: bool = True
    threshold: float = 0.5

    @property
    def limit(self) -> float:
        """The value above which a pixel is of the object."""
        return math.log(self.threshold / (1 - self.threshold)) if self.logits else self.threshold

    def part(self, row: int, rows: slice, columns: slice) -> Plane:
        """The part of an object's plane in some rows and columns."""
        if self.coefficients is None:
            return self.values[row, rows, columns].astype(np.float32, copy=False)
        region = self.values[:, rows, columns]
        flat = self.coefficients[row] @ region.reshape(len(region), -1)
        plane: Plane = flat.reshape(region.shape[1:]).astype(np.float32, copy=False)
        return plane

    def extent(self, row: int) -> tuple[Span, Span]:
        """The rows and columns of an object's plane that are above the limit."""
        above = self.part(row, np.s_[:], np.s_[:]) > self.limit
        return _marked(np.asarray(above.any(axis=1))), _marked(np.asarray(above.any(axis=0)))


@dataclass(frozen=True)
class RegionPlanes(Planes):
    """Connected regions of score maps (C, h, w), the `values`.

    Attributes:
        labels: int (C, h, w), the number of each cell's region, 0 for none.
        channels, numbers: of each object (M,), its map, and its region there.
        places: of each object, its rows and columns.
    """

    labels: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 0, 0), np.int32))
    channels: tuple[int, ...] = ()
    numbers: tuple[int, ...] = ()
    places: tuple[tuple[Span, Span], ...] = ()

    @override
    def part(self, row: int, rows: slice, columns: slice) -> Plane:
        """The scores around an object's region, and nothing in other regions."""
        channel = self.channels[row]
        labels = self.labels[channel, rows, columns]
        own = (labels == 0) | (labels == self.numbers[row])
        part: Plane = np.where(own, self.values[channel, rows, columns], 0).astype(np.float32)
        return part

    @override
    def extent(self, row: int) -> tuple[Span, Span]:
        """The rows and columns of the region."""
        return self.places[row]


def _marked(marks: npt.NDArray[np.bool_]) -> Span:
    cells = np.flatnonzero(marks)
    return (int(cells[0]), int(cells[-1]) + 1) if len(cells) else (0, 0)


class Painter:
    """Paints masks of one image, into which its network input was `placed`.

    A pixel's middle is mapped onto the grid in one step, and its value interpolated between four
    cells: for masks over the input what Ultralytics' `process_mask_native` and torch's
    `interpolate` do, for masks over a box Detectron2's `paste_masks_in_image`.
    """

    def __init__(self, planes: Planes, placed: Placed) -> None:
        self._planes = planes
        self._limit = planes.limit
        self._size = placed.original
        cells = planes.values.shape[1:]
        self._lines: tuple[Line, Line] | None = None
        if planes.over == "picture":
            self._lines = (
                line(self._size[0], 1.0, 0, self._size[0], cells[0]),
                line(self._size[1], 1.0, 0, self._size[1], cells[1]),
            )
        elif planes.over == "input":
            self._lines = lines(placed, (cells[0], cells[1]))

    def masks(self, rows: Any, boxes: npt.NDArray[Any]) -> Masks:
        """The masks of some objects, whose corners are `boxes` (M, 4) in pixels of the picture."""
        texts = tuple(
            self._mask(row, box)
            for row, box in zip(np.asarray(rows).tolist(), boxes.tolist(), strict=True)
        )
        return Masks(self._size, texts)

    def _mask(self, row: int, box: list[float]) -> bytes:
        if self._lines is None:
            pixels, top, left = self._in_box(row, box)
        else:
            pixels, top, left = self._on_grid(row, box, *self._lines)
        return encoded(pixels, top, left, self._size)

    def _on_grid(
        self, row: int, box: list[float], down: Line, across: Line
    ) -> tuple[npt.NDArray[np.bool_], int, int]:
        height, width = self._size
        if self._planes.cut:
            (top, bottom), (left, right) = _inside(box[1::2], height), _inside(box[::2], width)
        else:
            own_rows, own_columns = self._planes.extent(row)
            (top, bottom), (left, right) = _near(own_rows, down), _near(own_columns, across)
        if top >= bottom or left >= right:
            return np.zeros((0, 0), dtype=bool), 0, 0
        near_rows, rows = _narrowed(down, top, bottom)
        near_columns, columns = _narrowed(across, left, right)
        plane = self._planes.part(row, rows, columns)
        values = between(between(plane, near_rows, 0), near_columns, 1)
        return values > self._limit, top, left

    def _in_box(self, row: int, box: list[float]) -> tuple[npt.NDArray[np.bool_], int, int]:
        plane = np.pad(self._planes.part(row, np.s_[:], np.s_[:]), 1)  # nothing around the box
        (top, down), (left, across) = (
            _over(box[start::2], cells, length)
            for start, cells, length in zip((1, 0), plane.shape, self._size, strict=True)
        )
        if not len(down.first) or not len(across.first):
            return np.zeros((0, 0), dtype=bool), 0, 0
        return between(between(plane, down, 0), across, 1) > self._limit, top, left


def _inside(side: list[float], length: int) -> Span:
    """The pixels of a side that begin within a box: Ultralytics' `crop_mask`."""
    begin, end = (min(max(math.ceil(value), 0), length) for value in side)
    return begin, end


def _near(cells: Span, pixels: Line) -> Span:
    """The pixels of a side that are interpolated from some of its cells."""
    if cells[0] >= cells[1]:
        return 0, 0
    begin = int(np.searchsorted(pixels.second, cells[0], "left"))
    return begin, int(np.searchsorted(pixels.first, cells[1] - 1, "right"))


def _narrowed(pixels: Line, begin: int, end: int) -> tuple[Line, slice]:
    """The line of some pixels, counted from the first cell that they need, and these cells."""
    first, second = pixels.first[begin:end], pixels.second[begin:end]
    cells = slice(int(first[0]), int(second[-1]) + 1)
    return Line(first - cells.start, second - cells.start, pixels.weight[begin:end]), cells


def _over(side: list[float], cells: int, length: int) -> tuple[int, Line]:
    """The first pixel of a side that may be of a mask over a box, and where it and those after it
    lie on the box's `cells`, of which the outer two are nothing.
    """
    begin, end = side
    inner = cells - 2
    scale = inner / max(end - begin, 1e-6)
    reach = 1 / scale
    first = min(max(math.floor(begin - reach), 0), length)
    last = min(max(math.ceil(end + reach), first), length)
    at = np.clip((np.arange(first, last) + 0.5 - begin) * scale + 0.5, 0, cells - 1)
    lower = np.minimum(at.astype(np.int64), cells - 2)
    return first, Line(lower, lower + 1, (at - lower).astype(np.float32))
