"""BlazeFace's outputs (Bazarevsky et al. 2019): a box and six keypoints for each of 896 anchors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

if TYPE_CHECKING:
    from pytest_perfgate.tasks.pixels.geometry import Placed

_GRIDS = ((8, 2), (16, 6))
"""Stride of each feature map, and anchors of each of its cells."""

_LEAST = 0.3
_OVERLAP = 0.3


def read(
    outputs: tuple[Any, ...], places: Sequence[Placed]
) -> list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """Points (M, 6, 3), scores (M,) and categories (M,) of each picture."""
    from pytest_perfgate.tasks.boxes import suppress

    raw, logits = sorted(outputs[:2], key=lambda output: -output.shape[-1])
    poses = []
    for rows, chances, place in zip(raw, expit(logits[..., 0]), places, strict=True):
        kept = np.flatnonzero(chances >= _LEAST)
        centres = _centres(place.network)[kept]
        boxes, points = rows[kept, :4], rows[kept, 4:].reshape(-1, 6, 2)
        middle = centres + boxes[:, :2]
        corners = np.concatenate([middle - boxes[:, 2:] / 2, middle + boxes[:, 2:] / 2], axis=1)
        best = suppress(corners, chances[kept], np.zeros(len(kept), np.int64), _OVERLAP, 20)
        scale, offset = np.array(place.scale), np.array(place.offset)
        points = (points[best] + centres[best, None] - offset) / scale
        poses.append(
            (
                np.insert(points, 2, 1.0, axis=2),
                chances[kept][best],
                np.zeros(len(best), np.int64),
            )
        )
    return poses


def _centres(network: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Middles (A, 2) of the anchors, x and y in pixels of the network's input."""
    grids = []
    for stride, count in _GRIDS:
        rows, columns = np.indices((network[0] // stride, network[1] // stride))
        cells = np.stack([columns.ravel(), rows.ravel()], axis=1) + 0.5
        grids.append(np.repeat(cells * stride, count, axis=0))
    return np.concatenate(grids)
