"""Boundaries of classes, and how many of their pixels two maps have in common.

A pixel is on the boundary of a class when one of it and its neighbour to the right, below, or below
to the right is of the class and the other is not. Boundary pixels match within a tolerance, a
fraction of the image's diagonal, rounded up to pixels. Precision is the matched share of the
predicted boundary, recall that of the true one, F their harmonic mean. This is the contour accuracy
of DAVIS (Perazzi et al. 2016, "A Benchmark Dataset and Evaluation Methodology for Video Object
Segmentation") of each class. Averaging over the classes of an image and then over images follows
Csurka et al. 2013 ("What is a good evaluation measure for semantic segmentation?").
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]
"""Pixels of an image by their index in reading order, ascending."""

_NEIGHBOURS = ((0, 1), (1, 0), (1, 1))
_ROUNDING = 1e-6
"""Distances of pixels are roots of whole numbers: the next one above a tolerance is further off."""


def boundaries(classes: npt.NDArray[Any], ignored: npt.NDArray[np.bool_]) -> dict[int, Places]:
    """The boundary pixels of each class that has some, for classes (H, W). No boundary is counted
    between a pixel that is `ignored` (H, W) and its neighbour.
    """
    height, width = classes.shape
    marks: list[Places] = []
    flat = np.arange(height * width).reshape(height, width)
    wide = classes.astype(np.int64)
    for down, right in _NEIGHBOURS:
        here = np.s_[: height - down, : width - right]
        there = np.s_[down:, right:]
        edge = (wide[here] != wide[there]) & ~ignored[here] & ~ignored[there]
        place = flat[here][edge]
        for side in (wide[here][edge], wide[there][edge]):
            marks.append(side * (height * width) + place)
    owner, place = np.divmod(np.unique(np.concatenate(marks)), height * width)
    names, begins = np.unique(owner, return_index=True)
    parts = np.split(place, begins[1:]) if len(names) else []
    return dict(zip(names.tolist(), parts, strict=True))


def boundary_f(
    predicted: npt.NDArray[Any],
    true: npt.NDArray[Any],
    ignored: npt.NDArray[np.bool_],
    tolerance: float,
    classes: int,
) -> float | None:
    """The mean F of one image over the classes with a boundary on either side: maps (H, W) of
    classes, pixels to leave out, and the tolerance as a fraction of the diagonal. A class with a
    boundary on one side only has 0. None: no class has a boundary.
    """
    ours, theirs = boundaries(predicted, ignored), boundaries(true, ignored)
    names = [name for name in ours.keys() | theirs.keys() if name < classes]
    if not names:
        return None
    height, width = true.shape
    near = _Near(width, math.ceil(tolerance * math.hypot(height, width)))
    scores = [
        near.f(ours[name], theirs[name]) if name in ours and name in theirs else 0.0
        for name in sorted(names)
    ]
    return float(np.mean(scores))


class _Near:
    """Matches pixels of an image that is `width` wide, within a `reach` in pixels."""

    def __init__(self, width: int, reach: int) -> None:
        self._width = width
        self._reach = reach

    def f(self, predicted: Places, true: Places) -> float:
        """The harmonic mean of precision and recall."""
        precision, recall = self._share(predicted, true), self._share(true, predicted)
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    def _share(self, places: Places, others: Places) -> float:
        """The share of pixels that have one of the others within reach."""
        from scipy.spatial import KDTree

        # Pixels that are on both boundaries need no search: most, for a good prediction.
        alone = places[~np.isin(places, others, assume_unique=True)]
        if not len(alone):
            return 1.0
        # Splitting at medians does not pay for a tree that is queried once.
        tree = KDTree(self._points(others), compact_nodes=False, balanced_tree=False)
        distances, _ = tree.query(self._points(alone), distance_upper_bound=self._reach + _ROUNDING)
        return 1.0 - float(np.isinf(distances).sum()) / len(places)

    def _points(self, places: Places) -> npt.NDArray[np.float64]:
        return np.stack(np.divmod(places, self._width), axis=1).astype(np.float64)
