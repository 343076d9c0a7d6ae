"""How an original image, or its tiles, lie on the grid of a segmenter's output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_perfgate.tasks.pixels.enlarging import between, lines, nearest

if TYPE_CHECKING:
    import numpy.typing as npt

    from pytest_perfgate.tasks.pixels.geometry import Placed


class Enlarging(NamedTuple):
    """How an output is enlarged: bilinear or by the nearest cell, and whether the middles of corner
    pixels are aligned.
    """

    bilinear: bool
    align_corners: bool


class Grid:
    """How one original image lies on the output's grid."""

    def __init__(self, placed: Placed, cells: tuple[int, int], how: Enlarging) -> None:
        self.shape = placed.original
        self._rows, self._columns = lines(placed, cells, aligned=how.align_corners)
        self._bilinear = how.bilinear

    def enlarge(self, plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A plane (h, w) of the output, (H, W) as the original image."""
        if not self._bilinear:
            rows = plane.take(nearest(self._rows), axis=0)
            return rows.take(nearest(self._columns), axis=1)
        return between(between(plane, self._rows, 0), self._columns, 1)

    def points(
        self, planes: npt.NDArray[Any], rows: npt.NDArray[Any], columns: npt.NDArray[Any]
    ) -> npt.NDArray[Any]:
        """Planes (C, h, w) at some points of the original image: (P, C)."""
        down, across = self._rows, self._columns
        if not self._bilinear:
            picked: npt.NDArray[Any] = planes[:, nearest(down)[rows], nearest(across)[columns]].T
            return picked
        y, x = down.weight[rows], across.weight[columns]
        upper, lower = (
            planes[:, side[rows], across.first[columns]] * (1 - x)
            + planes[:, side[rows], across.second[columns]] * x
            for side in (down.first, down.second)
        )
        result: npt.NDArray[Any] = (upper * (1 - y) + lower * y).T
        return result


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
