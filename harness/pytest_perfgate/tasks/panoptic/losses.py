"""Finds the images that a recipe segments worse than its reference, by the segments it lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pytest_perfgate.records.image_losses import SeenBox, WorseImage
from pytest_perfgate.tasks.panoptic.scores import Matched, match, unpack
from pytest_perfgate.tasks.segmentation.losses import NOTICEABLE, around, overlay

if TYPE_CHECKING:
    from pytest_perfgate.tasks.panoptic.data import Panoptic, PanopticData

_BOXES = 40  # of one side that are handed over, at most


def worse_images(
    data: PanopticData, ours: Mapping[str, Any], other: Mapping[str, Any], most: int
) -> list[WorseImage] | None:
    """The images of `data` in which the packed prediction `ours` lost most beside `other`, its
    reference's; worst first, at most `most`. None without segments.

    A true segment's score is the intersection over union with the segment that matches it, 0
    without one. An image's loss is the sum of what the reference's scores are higher by.
    """
    if not data.labelled:
        return None
    left, right = unpack(ours), unpack(other)
    lost = []
    for index in range(len(data.images)):
        after, before = (_scores(data, index, side[index]) for side in (left, right))
        loss = float(np.clip(before - after, 0.0, None).sum())
        if loss >= NOTICEABLE:
            lost.append((loss, index))
    lost.sort(key=lambda image: (-image[0], image[1]))
    return [
        WorseImage(
            image=index,
            loss=round(loss, 4),
            reference=_boxes(data, index, right[index]),
            recipe=_boxes(data, index, left[index]),
            reference_overlay=_overlay(data, index, right[index]),
            recipe_overlay=_overlay(data, index, left[index]),
        )
        for loss, index in lost[:most]
    ]


def segment_boxes(data: PanopticData, index: int) -> tuple[SeenBox, ...]:
    """The box around each true segment of an image."""
    true = data.numbers(index)
    return tuple(
        SeenBox(box=around(true == row + 1), category=str(data.classes[segment.category]))
        for row, segment in enumerate(data.segments[index])
    )


def _matched(data: PanopticData, index: int, side: Panoptic) -> Matched:
    return match(data.numbers(index), data.segments[index], side.map(), side.categories)


def _scores(data: PanopticData, index: int, side: Panoptic) -> npt.NDArray[np.float64]:
    scores = np.zeros(len(data.segments[index]))
    matched = _matched(data, index, side)
    for (row, _), overlap in zip(matched.pairs, matched.overlaps, strict=True):
        scores[row] = overlap
    return scores


def _boxes(data: PanopticData, index: int, side: Panoptic) -> tuple[SeenBox, ...]:
    matched = _matched(data, index, side)
    owners = {
        column: (row, overlap)
        for (row, column), overlap in zip(matched.pairs, matched.overlaps, strict=True)
    }
    numbers = side.map()
    boxes = []
    for column, category in enumerate(side.categories.tolist()):
        row, overlap = owners.get(column, (None, 0.0))
        boxes.append(
            SeenBox(
                box=around(numbers == column + 1),
                category=str(data.classes[category]),
                score=round(overlap, 4),
                object=row,
            )
        )
    return tuple(sorted(boxes, key=lambda box: -(box.score or 0.0))[:_BOXES])


def _overlay(data: PanopticData, index: int, side: Panoptic) -> str:
    """The pixels that are not of the segment that matches theirs."""
    true = data.numbers(index)
    owners = np.full(len(side.categories) + 1, -1, dtype=np.int64)
    for row, column in _matched(data, index, side).pairs:
        owners[column + 1] = row + 1
    return overlay(true, owners[side.map()], 0)
