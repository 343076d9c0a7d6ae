"""The pages of the text detector with a mask of their lines' kernels.

PP-OCR's network gives a map of kernels: text regions without their edges, so that neighbouring
lines stay apart (Liao et al. 2020, "Real-time Scene Text Detection with Differentiable
Binarization"). A kernel here is the box of a line without a quarter of its height on each side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from suites.text.data import HEIGHT, WIDTH, pages

if TYPE_CHECKING:
    from pytest_perfgate.tasks.segmentation.data import SegmentationData

CLASSES = ("page", "text")
_EDGE = 0.25  # of a line's height


def calibration() -> SegmentationData:
    """16 pages for calibrating quantizers."""
    return masked(16, seed=11)


def validation() -> SegmentationData:
    """80 pages for measuring accuracy."""
    return masked(80, seed=12)


def masked(count: int, seed: int) -> SegmentationData:
    """`count` pages, uint8 (HEIGHT, WIDTH, 3) RGB, and the mask of each."""
    from pytest_perfgate.tasks.segmentation.data import SegmentationData

    lines = pages(count, seed)
    masks = np.zeros((count, HEIGHT, WIDTH), dtype=np.uint8)
    for line in lines.coco["annotations"]:
        masks[line["image_id"] - 1, *kernel(line["bbox"])] = 1
    return SegmentationData(lines.images, list(masks), CLASSES)


def kernel(box: Sequence[float]) -> tuple[slice, slice]:
    """Rows and columns of the kernel of a line with this box (x, y, width, height)."""
    left, top, width, height = box
    edge = _EDGE * height
    return (
        slice(round(top + edge), round(top + height - edge)),
        slice(round(left + edge), round(left + width - edge)),
    )
