"""Boxes in numpy: overlap and non-maximum suppression."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.float32]


def overlap(one: npt.NDArray[Any], many: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Intersection over union of corner boxes (A, 4) with (B, 4): (A, B)."""
    left_top = np.maximum(one[:, None, :2], many[None, :, :2])
    right_bottom = np.minimum(one[:, None, 2:], many[None, :, 2:])
    inner = np.clip(right_bottom - left_top, 0, None).prod(axis=2)
    area_one = (one[:, 2] - one[:, 0]) * (one[:, 3] - one[:, 1])
    area_many = (many[:, 2] - many[:, 0]) * (many[:, 3] - many[:, 1])
    union = area_one[:, None] + area_many[None, :] - inner
    result: npt.NDArray[Any] = inner / np.maximum(union, 1e-9)
    return result


def suppress(
    boxes: Boxes, scores: npt.NDArray[Any], categories: npt.NDArray[Any], limit: float, most: int
) -> npt.NDArray[np.int64]:
    """Greedy non-maximum suppression within each category: kept indices, best score first.

    Boxes (M, 4) corners; a box goes when it overlaps a better one of its category by more than
    `limit`. Equal scores keep their order.
    """
    order = np.argsort(-scores, kind="stable")
    order = order[np.isfinite(boxes[order]).all(axis=1)]  # a box that is no number is no box
    kept: list[int] = []
    while len(order) and len(kept) < most:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        near = overlap(boxes[best : best + 1], boxes[rest])[0] > limit
        order = rest[~(near & (categories[rest] == categories[best]))]
    return np.array(kept, dtype=np.int64)
