"""The pages of the text detector with a segment for each pixel: a line's kernel, or the page.

The kernels are those of `suites.text_kernels.data`: PP-OCR's map keeps neighbouring lines apart by
leaving out their edges, so that each connected region of it is one line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from suites.text.data import HEIGHT, WIDTH, pages
from suites.text_kernels.data import CLASSES, kernel

if TYPE_CHECKING:
    from pytest_perfgate.tasks.panoptic.data import PanopticData

_PAGE, _TEXT = range(2)


def calibration() -> PanopticData:
    """16 pages for calibrating quantizers."""
    return divided(16, seed=11)


def validation() -> PanopticData:
    """80 pages for measuring accuracy."""
    return divided(80, seed=12)


def divided(count: int, seed: int) -> PanopticData:
    """`count` pages, uint8 (HEIGHT, WIDTH, 3) RGB, and the segments of each."""
    from pytest_perfgate.tasks.panoptic.data import PanopticData, Segment

    lines = pages(count, seed)
    maps = np.ones((count, HEIGHT, WIDTH), dtype=np.uint8)
    segments = [[Segment(1, _PAGE)] for _ in range(count)]
    for line in lines.coco["annotations"]:
        page = line["image_id"] - 1
        segments[page].append(Segment(len(segments[page]) + 1, _TEXT))
        maps[page, *kernel(line["bbox"])] = len(segments[page])
    return PanopticData(lines.images, list(maps), segments, CLASSES, (False, True))
