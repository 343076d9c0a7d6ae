"""The pages of the text detector with a mask of each line's kernel.

The kernels are those of `suites.text_kernels.data`: PP-OCR's map keeps neighbouring lines apart by
leaving out their edges, so that each connected region of it is one line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from suites.text.data import pages
from suites.text_kernels.data import kernel

if TYPE_CHECKING:
    from pytest_perfgate.tasks.instances.data import InstanceData


def calibration() -> InstanceData:
    """16 pages for calibrating quantizers."""
    return outlined(16, seed=11)


def validation() -> InstanceData:
    """80 pages for measuring accuracy."""
    return outlined(80, seed=12)


def outlined(count: int, seed: int) -> InstanceData:
    """`count` pages, uint8 (HEIGHT, WIDTH, 3) RGB, and the outline of each line's kernel."""
    from pytest_perfgate.tasks.instances.data import InstanceData

    lines = pages(count, seed)
    annotations = []
    for line in lines.coco["annotations"]:
        rows, columns = kernel(line["bbox"])
        left, top, right, bottom = columns.start, rows.start, columns.stop, rows.stop
        outline = [left, top, right, top, right, bottom, left, bottom]
        kept = {key: line[key] for key in ("id", "image_id", "category_id")}
        annotations.append({**kept, "segmentation": [outline]})
    return InstanceData(lines.images, {**lines.coco, "annotations": annotations})
