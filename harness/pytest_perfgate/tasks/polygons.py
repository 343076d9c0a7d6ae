"""Quadrilaterals in numpy: exact areas of overlap, and suppression of rotated boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_PAIRS = 1 << 16  # clipped at once


def rotated(boxes: npt.NDArray[Any]) -> Floats:
    """Corners (M, 4, 2) of boxes (M, 5): centre x and y, width, height, and the angle in radians
    by which x turns to y.
    """
    x, y, width, height, angle = boxes.astype(np.float64).T
    along = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (width / 2)[:, None]
    across = np.stack([-np.sin(angle), np.cos(angle)], axis=1) * (height / 2)[:, None]
    centre = np.stack([x, y], axis=1)
    corners: Floats = np.stack(
        [
            centre - along - across,
            centre + along - across,
            centre + along + across,
            centre - along + across,
        ],
        axis=1,
    )
    return corners


def signed_areas(corners: npt.NDArray[Any]) -> Floats:
    """Areas (M,) of polygons (M, n, 2), negative where x turns away from y along their corners."""
    # From the first corner on: far from the origin nothing is lost to rounding.
    x, y = np.moveaxis(corners - corners[:, :1], 2, 0)
    result: Floats = (x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y).sum(axis=1) / 2
    return result


def areas(corners: npt.NDArray[Any]) -> Floats:
    """Areas (M,) of polygons (M, n, 2)."""
    result: Floats = np.abs(signed_areas(corners))
    return result


def bounds(corners: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Upright boxes (M, 4), left, top, right and bottom, around polygons (M, n, 2)."""
    result: npt.NDArray[Any] = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    return result


def overlap(one: npt.NDArray[Any], many: npt.NDArray[Any], *, by_smaller: bool = False) -> Floats:
    """Intersection over union (A, B) of quadrilaterals (A, 4, 2) with convex ones (B, 4, 2); with
    `by_smaller` over the area of the smaller one.
    """
    one, many = one.astype(np.float64), many.astype(np.float64)
    inner = np.zeros((len(one), len(many)))
    if inner.size:
        left_box, right_box = bounds(one)[:, None], bounds(many)[None]
        near = (left_box[..., :2] < right_box[..., 2:]).all(axis=2)
        near &= (right_box[..., :2] < left_box[..., 2:]).all(axis=2)
        rows, columns = np.nonzero(near)
        for begin in range(0, len(rows), _PAIRS):
            left, right = rows[begin : begin + _PAIRS], columns[begin : begin + _PAIRS]
            inner[left, right] = _clipped(one[left], many[right])
    ours, theirs = areas(one)[:, None], areas(many)[None, :]
    whole = np.minimum(ours, theirs) if by_smaller else ours + theirs - inner
    result: Floats = inner / np.maximum(whole, 1e-12)
    return result


def _clipped(subjects: Floats, clips: Floats) -> Floats:
    """Areas (P,) that quadrilaterals (P, 4, 2) share with convex ones (P, 4, 2).

    Sutherland and Hodgman (1974), all pairs at once: a polygon keeps its corners on the inner side
    of each edge, and gets one where it crosses the edge. Rows are filled up by their first corner,
    which adds no area.
    """
    middle = subjects.mean(axis=1, keepdims=True)
    polygons, clips = subjects - middle, clips - middle
    turned = signed_areas(clips) < 0
    clips = np.where(turned[:, None, None], clips[:, ::-1], clips)
    for edge in range(4):
        start, end = clips[:, edge, None], clips[:, (edge + 1) % 4, None]
        along, own = end - start, polygons - start
        side = along[..., 0] * own[..., 1] - along[..., 1] * own[..., 0]  # (P, n), inside from 0 on
        following, side_after = np.roll(polygons, -1, axis=1), np.roll(side, -1, axis=1)
        crosses = side * side_after < 0
        share = np.where(crosses, side / np.where(crosses, side - side_after, 1.0), 0.0)
        crossing = polygons + share[..., None] * (following - polygons)
        count, corners = side.shape
        points = np.stack([polygons, crossing], axis=2).reshape(count, 2 * corners, 2)
        kept = np.stack([side >= 0, crosses], axis=2).reshape(count, 2 * corners)
        order = np.argsort(~kept, axis=1, kind="stable")[:, : corners + 1]
        points = np.take_along_axis(points, order[..., None], axis=1)
        valid = np.take_along_axis(kept, order, axis=1)[..., None]
        polygons = np.where(valid, points, np.where(valid[:, :1], points[:, :1], 0.0))
    return areas(polygons)


def suppress(
    corners: npt.NDArray[Any],
    scores: npt.NDArray[Any],
    categories: npt.NDArray[Any],
    limit: float,
    most: int,
    *,
    by_smaller: bool = False,
) -> npt.NDArray[np.int64]:
    """Greedy non-maximum suppression within each category: kept indices, best score first.

    `corners` (M, 4, 2) of convex quadrilaterals; one goes when it overlaps a better one of its
    category by more than `limit`, see `overlap`. Equal scores keep their order.
    """
    rest = np.argsort(-scores, kind="stable")
    rest = rest[np.isfinite(corners[rest]).all(axis=(1, 2))]
    kept: list[int] = []
    while len(rest) and len(kept) < most:
        best, rest = rest[0], rest[1:]
        kept.append(int(best))
        same = np.flatnonzero(categories[rest] == categories[best])
        near = overlap(corners[rest[same]], corners[[best]], by_smaller=by_smaller)[:, 0] > limit
        rest = np.delete(rest, same[near])
    return np.array(kept, dtype=np.int64)
