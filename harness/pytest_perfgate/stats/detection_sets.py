"""Outputs that are detections, a row each: the same set in another order is the same answer.

A network that suppresses or takes the best k decides between nearly equal values. Rounding gives
the same detections in another order, and at a threshold one more or one less.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MOST_ROWS = 512  # every row is compared with every row
STRAY_ROWS = 50  # rows, of which one may have no counterpart: those at a threshold come and go
_FEWEST_COLUMNS = 4  # of such a row: a box


def detection_rows(outputs: Sequence[Any]) -> Any:
    """Outputs for one image beside each other, a row per detection, (rows, columns); None: they are
    no detections. A single number, which counts them, is left out.
    """
    import numpy as np

    columns = []
    for output in outputs:
        rows = output[0] if output.ndim > 1 and output.shape[0] == 1 else output
        if output.size == 1 and output.ndim <= 2:
            continue
        if rows.ndim > 2:
            return None
        columns.append(rows.reshape(len(rows), -1) if rows.size else rows.reshape(len(rows), 0))
    if not columns or len({len(rows) for rows in columns}) > 1 or len(columns[0]) > MOST_ROWS:
        return None
    rows = np.concatenate(columns, axis=1)
    return rows if rows.shape[1] >= _FEWEST_COLUMNS or not len(rows) else None


def row_distances(ours: Any, theirs: Any, scale: Any) -> npt.NDArray[np.float64]:
    """The distance of each row to each, (rows of `ours`, rows of `theirs`): the largest of any
    column, in units of `scale` (columns,); infinite where a value is not finite.
    """
    import numpy as np

    distance = np.zeros((len(ours), len(theirs)))
    for column in range(ours.shape[1]):
        with np.errstate(invalid="ignore", divide="ignore"):
            apart = np.abs(ours[:, column, None] - theirs[None, :, column])
            apart = np.where(apart == 0, 0.0, apart / scale[column])
        np.maximum(distance, np.nan_to_num(apart, nan=math.inf), out=distance)
    return distance


def set_difference(
    expected: Sequence[Any], outputs: Sequence[Any], images: int, least: float = 0.0
) -> float:
    """How far detections of a batch are apart as sets, image by image: each row from the nearest
    one of the other side, relative to its column's largest value, or to `least` where that is
    larger; infinite where outputs are no detections of `images` images, or not as many.

    Rows that are sorted by a score are what a network has decided on: of fifty, one may have no
    counterpart. Of others, such as the rows of anchors, each has one.
    """
    ours, theirs = (_by_image(side, images) for side in (expected, outputs))
    if ours is None or theirs is None or len(ours) != len(theirs):
        return math.inf
    return max(_apart(*pair, least) for pair in zip(ours, theirs, strict=True))


def _apart(one: Sequence[Any], other: Sequence[Any], least: float) -> float:
    import numpy as np

    ours, theirs = detection_rows(one), detection_rows(other)
    if ours is None or theirs is None:
        return math.inf
    strays = max(len(ours), len(theirs)) // STRAY_ROWS if _is_ranked(ours) else 0
    if abs(len(ours) - len(theirs)) > strays:
        return math.inf
    if not len(ours) or not len(theirs):
        return 0.0
    if ours.shape[1] != theirs.shape[1]:
        return math.inf
    both = np.concatenate([ours, theirs]).astype(np.float64)
    scale = np.maximum(np.abs(both).max(axis=0), least)
    distance = row_distances(both[: len(ours)], both[len(ours) :], scale)
    return max(
        float(np.sort(distance.min(axis=axis))[::-1][min(strays, distance.shape[1 - axis] - 1)])
        for axis in (0, 1)
    )


def _is_ranked(rows: Any) -> bool:
    """Whether a column falls from row to row."""
    import numpy as np

    if len(rows) < 2:
        return False
    falls = (np.diff(rows, axis=0) <= 0).all(axis=0)
    return bool((falls & (rows[0] > rows[-1])).any())


def _by_image(outputs: Sequence[Any], images: int) -> list[list[Any]] | None:
    """The outputs of each image of a batch, or those of all, where their rows are of any; None
    where they are neither.
    """
    import numpy as np

    arrays = [np.asarray(output) for output in outputs]
    lengths = {len(array) for array in arrays if array.ndim}
    if not all(array.ndim for array in arrays) or len(lengths) != 1:
        return None
    if lengths != {images}:
        return [arrays]
    if not any(array.ndim > 2 for array in arrays):  # a vector for each image is no set
        return None
    return [[array[place : place + 1] for array in arrays] for place in range(images)]
