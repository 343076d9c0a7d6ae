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

Points = npt.NDArray[np.float64]

_NEIGHBOURS = ((0, 1), (1, 0), (1, 1))
_ROUNDING = 1e-6
"""Distances of pixels are roots of whole numbers: the next one above a tolerance is further off."""


def boundaries(classes: npt.NDArray[Any], ignored: npt.NDArray[np.bool_]) -> dict[int, Points]:
    """The boundary pixels (B, 2) of each class that has some, for classes (H, W). No boundary is
    counted between a pixel that is `ignored` (H, W) and its neighbour.
    """
    height, width = classes.shape
    marks: list[npt.NDArray[np.int64]] = []
    flat = np.arange(height * width).reshape(height, width)
    wide = classes.astype(np.int64)
    for down, right in _NEIGHBOURS:
        here = np.s_[: height - down, : width - right]
        there = np.s_[down:, right:]
        edge = (wide[here] != wide[there]) & ~ignored[here] & ~ignored[there]
        place = flat[here][edge]
        for side in (wide[here][edge], wide[there][edge]):
            marks.append(side * (height * width) + place)
    marked = np.unique(np.concatenate(marks))
    owner, place = np.divmod(marked, height * width)
    points = np.stack(np.divmod(place, width), axis=1).astype(np.float64)
    names, begins = np.unique(owner, return_index=True)
    parts = np.split(points, begins[1:]) if len(names) else []
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
    reach = math.ceil(tolerance * math.hypot(*true.shape))
    scores = [
        _f(ours[name], theirs[name], reach) if name in ours and name in theirs else 0.0
        for name in sorted(names)
    ]
    return float(np.mean(scores))


def _f(predicted: Points, true: Points, reach: float) -> float:
    precision, recall = _near(predicted, true, reach), _near(true, predicted, reach)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _near(points: Points, others: Points, reach: float) -> float:
    """The share of points that have one of the others within reach."""
    from scipy.spatial import KDTree

    distances, _ = KDTree(others).query(points, distance_upper_bound=reach + _ROUNDING)
    return float(np.isfinite(distances).mean())
