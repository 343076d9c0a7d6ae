"""Boxes in numpy: areas, overlap and non-maximum suppression."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.float32]
_BLOCK = 128


def overlap(one: npt.NDArray[Any], many: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Intersection over union of corner boxes (A, 4) with (B, 4): (A, B)."""
    inner = intersections(one, many)
    union = areas(one)[:, None] + areas(many)[None, :] - inner
    result: npt.NDArray[Any] = inner / np.maximum(union, 1e-9)
    return result


def intersections(one: npt.NDArray[Any], many: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Areas in which corner boxes (A, 4) and (B, 4) overlap: (A, B)."""
    left_top = np.maximum(one[:, None, :2], many[None, :, :2])
    right_bottom = np.minimum(one[:, None, 2:], many[None, :, 2:])
    result: npt.NDArray[Any] = np.clip(right_bottom - left_top, 0, None).prod(axis=2)
    return result


def areas(boxes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Areas of corner boxes (M, 4): (M,)."""
    result: npt.NDArray[Any] = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
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
        # Some at once: a box that is alone in a call costs as much as a hundred.
        block, order = order[:_BLOCK], order[_BLOCK:]
        hits = _suppresses(boxes, categories, block, block, limit)
        alive = np.ones(len(block), dtype=bool)
        chosen: list[int] = []
        for row in range(len(block)):
            if alive[row] and len(kept) + len(chosen) < most:
                chosen.append(row)
                alive &= ~hits[row]
        kept += [int(index) for index in block[chosen]]
        if len(order) and len(kept) < most:
            order = order[~_suppresses(boxes, categories, block[chosen], order, limit).any(axis=0)]
    return np.array(kept, dtype=np.int64)


def _suppresses(
    boxes: Boxes,
    categories: npt.NDArray[Any],
    better: npt.NDArray[Any],
    others: npt.NDArray[Any],
    limit: float,
) -> npt.NDArray[np.bool_]:
    """Whether each box of `better` (A indices) takes away each of `others` (B): (A, B)."""
    near = overlap(boxes[better], boxes[others]) > limit
    hits: npt.NDArray[np.bool_] = near & (categories[better][:, None] == categories[others])
    return hits
