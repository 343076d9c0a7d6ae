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
    if len(order) == 0:
        return order
    # Categories are moved apart, so that one matrix of overlaps serves them all.
    span = float(boxes[:, 2:].max() - min(0.0, float(boxes[:, :2].min()))) + 1.0
    apart = boxes + (categories.astype(np.float32) * span)[:, None]
    overlaps = overlap(apart[order], apart[order]) > limit
    gone = np.zeros(len(order), dtype=bool)
    kept = []
    for index in range(len(order)):
        if gone[index]:
            continue
        kept.append(index)
        if len(kept) == most:
            break
        gone |= overlaps[index]
    return order[kept]
