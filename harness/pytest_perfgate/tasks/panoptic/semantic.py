"""Segments out of a class for each pixel: connected regions of things, and all pixels of stuff."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from pytest_perfgate.tasks.panoptic.data import Panoptic, panoptic

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def from_labels(
    labels: npt.NDArray[Any],
    class_of: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.int64]],
    stuff: Collection[int],
    min_area: int,
) -> Panoptic:
    """The segments of a map of the network's labels, whole numbers (H, W).

    Args:
        labels: of each pixel of the original image.
        class_of: from labels (S,) to the data's classes, negative for those that it has not: their
            pixels are of no segment.
        stuff: the data's classes whose pixels are one segment. Of others each region is one; pixels
            that touch by a side or a corner are of one region.
        min_area: fewest pixels of a region; those of smaller ones are of no segment.
    """
    import numpy as np
    from scipy import ndimage

    present = np.unique(labels).astype(np.int64)
    numbers = np.zeros(labels.shape, dtype=np.int64)
    categories: list[int] = []
    for label, kind in zip(present.tolist(), class_of(present).tolist(), strict=True):
        if kind < 0:
            continue
        mask = labels == label
        if kind in stuff:
            numbers[mask] = len(categories) + 1
            categories.append(kind)
            continue
        regions, count = ndimage.label(mask, np.ones((3, 3)))
        large = np.bincount(regions.reshape(-1), minlength=count + 1) >= min_area
        large[0] = False  # what is around the regions
        place = np.where(large, len(categories) + np.cumsum(large), 0)
        numbers[mask] = place[regions[mask]]
        categories += [kind] * int(large.sum())
    return panoptic(numbers, np.array(categories, dtype=np.int64))
