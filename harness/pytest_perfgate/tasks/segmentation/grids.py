"""How an original image, or its tiles, lie on the grid of a segmenter's output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_perfgate.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pytest_perfgate.tasks.pixels.geometry import Placed


class Enlarging(NamedTuple):
    """How an output is enlarged: bilinear or by the nearest cell, and whether the middles of corner
    pixels are aligned.
    """

    bilinear: bool
    align_corners: bool


class Line(NamedTuple):
    """For each pixel of one side of the original image: its two neighbours in the output, and the
    weight of the second, (L,) each.
    """

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float32]


def _line(length: int, scale: float, offset: int, network: int, cells: int, aligned: bool) -> Line:
    """Where pixels of a side of the original image lie on the output's cells.

    A pixel's middle goes into the network's input and from there onto the output in one step, so
    that padding is cut off and nothing is interpolated twice. Without letterbox this is torch's
    `interpolate(output, size=original)`.

    Raises:
        DataError: the network saw only a part of the image.
    """
    import numpy as np

    inside = (np.arange(length) + 0.5) * scale + offset
    if inside[0] < -1 or inside[-1] > network + 1:
        raise DataError(
            "the network's input has only a part of the image, and pixels outside of it have no "
            "class",
            where="suite.input",
            valid='no crop, or resize = "stretch" or "letterbox", which keep the whole image',
        )
    if aligned:
        at = (inside - 0.5) * ((cells - 1) / max(1, network - 1))
    else:
        at = inside * (cells / network) - 0.5
    at = np.clip(at, 0, cells - 1)
    first = np.minimum(at.astype(np.int64), cells - 1)
    second = np.minimum(first + 1, cells - 1)
    return Line(first, second, (at - first).astype(np.float32))


def _nearest(line: Line) -> npt.NDArray[np.int64]:
    """The cell in which the middle of each pixel lies."""
    import numpy as np

    return np.where(line.weight < 0.5, line.first, line.second)


class Grid:
    """How one original image lies on the output's grid."""

    def __init__(self, placed: Placed, cells: tuple[int, int], how: Enlarging) -> None:
        aligned = how.align_corners
        (x_scale, y_scale), (left, top) = placed.scale, placed.offset
        self.shape = placed.original
        (height, width), (tall, wide) = placed.original, placed.network
        self._rows = _line(height, y_scale, top, tall, cells[0], aligned)
        self._columns = _line(width, x_scale, left, wide, cells[1], aligned)
        self._bilinear = how.bilinear

    def enlarge(self, plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A plane (h, w) of the output, (H, W) as the original image."""
        if not self._bilinear:
            rows = plane.take(_nearest(self._rows), axis=0)
            return rows.take(_nearest(self._columns), axis=1)
        return _between(_between(plane, self._rows, 0), self._columns, 1)

    def points(
        self, planes: npt.NDArray[Any], rows: npt.NDArray[Any], columns: npt.NDArray[Any]
    ) -> npt.NDArray[Any]:
        """Planes (C, h, w) at some points of the original image: (P, C)."""
        down, across = self._rows, self._columns
        if not self._bilinear:
            picked: npt.NDArray[Any] = planes[:, _nearest(down)[rows], _nearest(across)[columns]].T
            return picked
        y, x = down.weight[rows], across.weight[columns]
        upper, lower = (
            planes[:, side[rows], across.first[columns]] * (1 - x)
            + planes[:, side[rows], across.second[columns]] * x
            for side in (down.first, down.second)
        )
        result: npt.NDArray[Any] = (upper * (1 - y) + lower * y).T
        return result


def _between(plane: npt.NDArray[Any], line: Line, axis: int) -> npt.NDArray[Any]:
    """A plane interpolated along one side."""
    weight = line.weight[:, None] if axis == 0 else line.weight[None, :]
    first = plane.take(line.first, axis=axis)
    second = plane.take(line.second, axis=axis)
    second -= first
    second *= weight
    second += first
    return second


class TiledGrid:
    """How the tiles of one original image lie on it. Where they overlap the mean of what they give
    stands, before the activation: MMSegmentation's `slide_inference`.
    """

    def __init__(self, placed: Sequence[Placed], cells: tuple[int, int], how: Enlarging) -> None:
        import numpy as np

        self.shape = placed[0].original
        self._count = np.zeros(self.shape, dtype=np.float32)
        self._tiles: list[tuple[Grid, slice, slice]] = []
        for place in placed:
            (rows, columns), (left, top) = place.visible, place.offset
            size = rows.stop - rows.start, columns.stop - columns.start
            down = slice(rows.start - top, rows.stop - top)
            across = slice(columns.start - left, columns.stop - left)
            corner = columns.start, rows.start  # of what the tile shows, in the tile
            alone = replace(place, original=size, offset=corner)
            self._tiles.append((Grid(alone, cells, how), down, across))
            self._count[down, across] += 1

    def enlarge(self, planes: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A plane of each tile (T, h, w), (H, W) as the original image."""
        import numpy as np

        total = np.zeros(self.shape, dtype=np.float32)
        for plane, (grid, down, across) in zip(planes, self._tiles, strict=True):
            total[down, across] += grid.enlarge(plane)
        total /= self._count
        return total

    def points(
        self, planes: npt.NDArray[Any], rows: npt.NDArray[Any], columns: npt.NDArray[Any]
    ) -> npt.NDArray[Any]:
        """Planes (C, T, h, w) at some points of the original image: (P, C)."""
        import numpy as np

        total = np.zeros((len(rows), len(planes)), dtype=np.float32)
        for index, (grid, down, across) in enumerate(self._tiles):
            inside = (rows >= down.start) & (rows < down.stop)
            inside &= (columns >= across.start) & (columns < across.stop)
            total[inside] += grid.points(
                planes[:, index], rows[inside] - down.start, columns[inside] - across.start
            )
        mean: npt.NDArray[Any] = total / self._count[rows, columns][:, None]
        return mean
