"""Boxes in numpy: areas, overlap and non-maximum suppression."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.float32]
_BLOCK = 32  # boxes that are compared with each other at once
_BITS = 1 << np.arange(_BLOCK, dtype=np.int64)


_Near = Callable[[Boxes, Boxes, float], npt.NDArray[np.bool_]]


def overlap(one: npt.NDArray[Any], many: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Intersection over union of corner boxes (A, 4) with (B, 4): (A, B)."""
    inner = intersections(one, many)
    union = areas(one)[:, None] + areas(many)[None, :] - inner
    result: npt.NDArray[Any] = inner / np.maximum(union, 1e-9)
    return result


def crowd_overlap(
    one: npt.NDArray[Any], many: npt.NDArray[Any], crowd: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Intersection over union of corner boxes (A, 4) with (B, 4): (A, B); over the area of the
    former for a `crowd` (B,) among the latter, as COCO has it.
    """
    if not len(many) or not len(one):
        return np.zeros((len(one), len(many)))
    inner = intersections(one, many)
    ours, theirs = areas(one)[:, None], areas(many)[None, :]
    union = np.where(crowd[None, :], ours, ours + theirs - inner)
    result: npt.NDArray[Any] = inner / np.maximum(union, 1e-12)
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
    boxes: Boxes,
    scores: npt.NDArray[Any],
    categories: npt.NDArray[Any],
    limit: float,
    most: int,
    *,
    by_smaller: bool = False,
) -> npt.NDArray[np.int64]:
    """Greedy non-maximum suppression within each category: kept indices, best score first.

    Boxes (M, 4) corners; a box goes when it overlaps a better one of its category by more than
    `limit`: their intersection over their union, or with `by_smaller` over the area of the smaller
    one. Equal scores keep their order.
    """
    order = _best_first(scores)
    if not np.isfinite(boxes).all():  # a box that is no number is no box
        order = order[np.isfinite(boxes[order]).all(axis=1)]
    # Categories one after the other: with 80 of them, one pair in 80 is compared.
    grouped = _narrow(categories[order])
    by_category = np.argsort(grouped, kind="stable")
    ordered = boxes[order[by_category]]
    columns = np.empty((5, len(ordered)), dtype=np.float32)  # each row in one piece of memory
    columns[:4], columns[4] = ordered.T, areas(ordered)
    near = _near_smaller if by_smaller else _near
    cuts = (np.flatnonzero(np.diff(grouped[by_category])) + 1).tolist()
    kept = [
        by_category[[begin + place for place in _keep(columns[:, begin:end], limit, most, near)]]
        for begin, end in zip([0, *cuts], [*cuts, len(order)], strict=True)
        if end > begin
    ]
    result: npt.NDArray[np.int64] = order[np.sort(np.concatenate(kept))[:most]] if kept else order
    return result


def _best_first(scores: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Indices by falling score; equal scores keep their order. The stable sort takes five times as
    long, and matters for equal scores only.
    """
    order = np.argsort(-scores)
    ranked = scores[order]
    ties = (ranked[1:] == ranked[:-1]).any()
    return np.argsort(-scores, kind="stable") if ties else order


def _narrow(categories: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Categories in 16 bits where they fit: numpy sorts these in linear time."""
    fits = len(categories) and categories.min() >= 0 and categories.max() < 1 << 16
    return categories.astype(np.uint16) if fits else categories


def _keep(columns: Boxes, limit: float, most: int, near: _Near) -> list[int]:
    """Places of the boxes of one category that are kept, `most` at most. `columns` (5, M): corners
    and areas, best score first; M is 1 or more.
    """
    kept: list[int] = []
    places = np.arange(columns.shape[1])
    while True:
        # Some at once: a box that is alone in a call costs as much as a hundred.
        count = min(_BLOCK, columns.shape[1])
        block, columns = columns[:, :count], columns[:, count:]
        # The boxes that each box of the block takes away, as the bits of a number
        rows = (near(block, block, limit) @ _BITS[:count]).tolist()
        alive, chosen = (1 << count) - 1, []
        while alive:
            lowest = alive & -alive
            chosen.append(lowest.bit_length() - 1)
            alive &= ~(rows[chosen[-1]] | lowest)
        kept += places[chosen].tolist()
        if not columns.shape[1] or len(kept) >= most:
            return kept[:most]
        taken = np.logical_or.reduce(near(block[:, chosen], columns, limit), axis=0)
        free = np.flatnonzero(~taken)
        if not len(free):
            return kept
        columns, places = columns.take(free, axis=1), places[count + free]


def _near(better: Boxes, others: Boxes, limit: float) -> npt.NDArray[np.bool_]:
    """Whether each of `better` (5, A) overlaps each of `others` (5, B) by more than `limit`: (A,
    B). `overlap` in its order of operations, without its temporary arrays.
    """
    sides = np.minimum(better[2:4, :, None], others[2:4, None])
    sides -= np.maximum(better[:2, :, None], others[:2, None])
    np.maximum(sides, 0, out=sides)
    inner, union = sides
    inner *= union
    np.add(better[4][:, None], others[4], out=union)
    union -= inner
    np.maximum(union, 1e-9, out=union)
    inner /= union
    near: npt.NDArray[np.bool_] = inner > limit
    return near


def _near_smaller(better: Boxes, others: Boxes, limit: float) -> npt.NDArray[np.bool_]:
    """As `_near`, over the area of the smaller box."""
    sides = np.minimum(better[2:4, :, None], others[2:4, None])
    sides -= np.maximum(better[:2, :, None], others[:2, None])
    inner = np.maximum(sides, 0).prod(axis=0)
    smaller = np.minimum(better[4][:, None], others[4])
    near: npt.NDArray[np.bool_] = inner / np.maximum(smaller, 1e-9) > limit
    return near
