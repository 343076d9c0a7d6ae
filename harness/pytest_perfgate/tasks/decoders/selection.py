"""From a decoder's boxes to those that count, in pixels of the original picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from pytest_perfgate.tasks.boxes import suppress

if TYPE_CHECKING:
    from pytest_perfgate.tasks.decoders import Units
    from pytest_perfgate.tasks.pixels.geometry import Placed


class Limits(Protocol):
    """The keys of `[suite.output]` that say which boxes count."""

    @property
    def iou_threshold(self) -> float:
        """IoU with a better box from which on a box is suppressed."""

    @property
    def max_detections(self) -> int:
        """Largest number of boxes."""


def selected(
    boxes: npt.NDArray[Any],
    scores: npt.NDArray[Any],
    categories: npt.NDArray[Any],
    placed: Placed,
    limits: Limits,
    *,
    units: Units,
    suppresses: bool,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Of corners (M, 4), scores (M,) and categories (M,) of one image the rows (K,) that count,
    best first, and their corners (K, 4) in pixels of the picture; they may reach out of it.
    """
    if units == "fractions":
        boxes = boxes * np.array([*placed.network[::-1]] * 2, dtype=np.float32)
    if suppresses:
        kept = suppress(boxes, scores, categories, limits.iou_threshold, limits.max_detections)
    else:
        kept = np.argsort(-scores, kind="stable")[: limits.max_detections]
    mapped: Any = boxes[kept]
    if units != "original":
        mapped = mapped - np.array([*placed.offset] * 2, dtype=np.float32)
        mapped /= np.array([*placed.scale] * 2, dtype=np.float32)
    return kept, mapped


def within(boxes: npt.NDArray[Any], placed: Placed) -> npt.NDArray[np.float32]:
    """Corners (M, 4) cut off at the picture's edges."""
    height, width = placed.original
    cut: npt.NDArray[np.float32] = np.clip(
        boxes, 0, np.array([width, height] * 2, dtype=np.float32)
    )
    return cut
