"""Enlarges an output's grid to the original picture, in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_perfgate.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pytest_perfgate.tasks.pixels.geometry import Placed


class Line(NamedTuple):
    """For each pixel of one side of the original image: its two neighbours in the output, and the
    weight of the second, (L,) each.
    """

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float32]


def line(
    length: int, scale: float, offset: int, network: int, cells: int, *, aligned: bool = False
) -> Line:
    """Where the `length` pixels of a side of the original image lie on the output's cells. `scale`
    and `offset` lead to the network's input of `network` pixels; `aligned`: the middles of corner
    pixels of input and output fall together, else the corners.

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


def lines(placed: Placed, cells: tuple[int, int], *, aligned: bool = False) -> tuple[Line, Line]:
    """Where rows and columns of the original image lie on a grid of (h, w) `cells` over the
    network's input.

    Raises:
        DataError: the network saw only a part of the image.
    """
    (x_scale, y_scale), (left, top) = placed.scale, placed.offset
    (height, width), (tall, wide) = placed.original, placed.network
    return (
        line(height, y_scale, top, tall, cells[0], aligned=aligned),
        line(width, x_scale, left, wide, cells[1], aligned=aligned),
    )


def nearest(line: Line) -> npt.NDArray[np.int64]:
    """The cell in which the middle of each pixel lies."""
    import numpy as np

    return np.where(line.weight < 0.5, line.first, line.second)


def between(plane: npt.NDArray[Any], line: Line, axis: int) -> npt.NDArray[Any]:
    """A plane interpolated along one side."""
    weight = line.weight[:, None] if axis == 0 else line.weight[None, :]
    first = plane.take(line.first, axis=axis)
    second = plane.take(line.second, axis=axis)
    second -= first
    second *= weight
    second += first
    return second
