"""Rectangles around the regions of a map of text, as differentiable binarization reads it (Liao et
al. 2020, "Real-time Scene Text Detection with Differentiable Binarization").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pytest_perfgate.tasks.pixels.geometry import Placed

_PIXEL, _REGION = 0.3, 0.5
"""Least score of a pixel of text, and of a region."""

_GROWTH = 1.6
"""How far a side is moved outwards, in areas over perimeters: regions are learned shrunk."""

_LEAST = 3.0  # pixels of a region's shorter side

Rectangles = tuple[Any, Any, Any]


def read(outputs: tuple[Any, ...], places: Sequence[Placed]) -> list[Rectangles]:
    """Corners (M, 4, 2), scores (M,) and categories (M,) of each picture."""
    return [_read(page, place) for page, place in zip(outputs[0][:, 0], places, strict=True)]


def _read(page: Any, place: Placed) -> Rectangles:
    import cv2

    # Regions that a diagonal pixel parts are one.
    mask = cv2.dilate((page > _PIXEL).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    corners, scores = [], []
    for contour in contours:
        middle, (width, height), angle = cv2.minAreaRect(contour)
        if min(width, height) < _LEAST:
            continue
        inside = np.zeros_like(mask)
        box = cv2.boxPoints((middle, (width, height), angle))
        cv2.fillPoly(inside, [box.astype(np.int32)], 1)
        score = cv2.mean(page, inside)[0]
        if score < _REGION:
            continue
        grown = width * height * _GROWTH / (width + height)  # of both sides
        large = cv2.boxPoints((middle, (width + grown, height + grown), angle))
        corners.append((large - np.array(place.offset)) / np.array(place.scale))
        scores.append(score)
    return (
        np.array(corners, np.float32).reshape(-1, 4, 2),
        np.array(scores, np.float32),
        np.zeros(len(scores), np.int64),
    )
