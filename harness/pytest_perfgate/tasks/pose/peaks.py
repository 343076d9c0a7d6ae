"""Keypoints from heat maps: the highest cell, and the place within it."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Refine = Literal["none", "quarter", "dark"]

_LEAST = 1e-10  # of a blurred map, before its logarithm


def peaks(
    maps: npt.NDArray[Any], refine: Refine, blur: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[Any]]:
    """The place (K, 2), x and y in cells, and the height (K,) of the highest cell of maps
    (K, h, w).

    `quarter` moves it by a quarter of a cell along each axis, towards the higher neighbour (Newell
    et al. 2016, and all that follow it). `dark` blurs the map by a Gaussian kernel of `blur` cells,
    keeps its height, and moves to the peak of a Gaussian by the first and second derivatives of the
    map's logarithm (Zhang et al. 2020, "Distribution-Aware Coordinate Representation"). A peak at
    the rim of the map stays where it is, as in the authors' code.
    """
    count, height, width = maps.shape
    flat = maps.reshape(count, -1).argmax(axis=1)
    rows, columns = np.divmod(flat, width)
    places = np.stack([columns, rows], axis=1).astype(np.float64)
    heights = maps.reshape(count, -1)[np.arange(count), flat]
    if refine == "quarter":
        inner = (columns > 1) & (columns < width - 1) & (rows > 1) & (rows < height - 1)
        for index in np.flatnonzero(inner).tolist():
            own, row, column = maps[index], rows[index], columns[index]
            places[index, 0] += 0.25 * np.sign(own[row, column + 1] - own[row, column - 1])
            places[index, 1] += 0.25 * np.sign(own[row + 1, column] - own[row - 1, column])
    elif refine == "dark":
        inner = (columns > 1) & (columns < width - 2) & (rows > 1) & (rows < height - 2)
        for index in np.flatnonzero(inner).tolist():
            smooth = _blurred(maps[index].astype(np.float64), blur)
            places[index] += _to_peak(
                np.log(np.maximum(smooth, _LEAST)), rows[index], columns[index]
            )
    return places, heights


def _blurred(one: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float64]:
    """A map blurred by a Gaussian kernel of so many cells, as high as before; outside of it is 0.

    The kernel's deviation is OpenCV's for this size: 0.3 * ((size - 1) / 2 - 1) + 0.8.
    """
    from scipy.ndimage import gaussian_filter

    radius = size // 2
    result: npt.NDArray[np.float64] = gaussian_filter(
        one, 0.3 * (radius - 1) + 0.8, mode="constant", radius=radius
    )
    highest = result.max()
    return result * (one.max() / highest) if highest > 0 else result


def _to_peak(log: npt.NDArray[np.float64], row: int, column: int) -> npt.NDArray[np.float64]:
    """From a cell to the peak of a Gaussian, (2,) in cells: x and y. Nothing where the second
    derivatives are none.
    """
    slope = 0.5 * np.array(
        [
            log[row, column + 1] - log[row, column - 1],
            log[row + 1, column] - log[row - 1, column],
        ]
    )
    across = 0.25 * (log[row, column + 2] - 2 * log[row, column] + log[row, column - 2])
    down = 0.25 * (log[row + 2, column] - 2 * log[row, column] + log[row - 2, column])
    both = 0.25 * (
        log[row + 1, column + 1]
        - log[row - 1, column + 1]
        - log[row + 1, column - 1]
        + log[row - 1, column - 1]
    )
    hessian = np.array([[across, both], [both, down]])
    if across * down - both**2 == 0:
        return np.zeros(2)
    result: npt.NDArray[np.float64] = -np.linalg.solve(hessian, slope)
    return result
