"""Finds the frames that a recipe does worse than its reference, by the objects that it lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pytest_perfgate.records.image_losses import SeenBox, WorseImage
from pytest_perfgate.tasks.boxes import overlap
from pytest_perfgate.tasks.tracking.data import Objects, TrackingData, Tracks

_IOU = 0.5
_BOXES = 40  # of one side that are handed over, at most


def worse_frames(
    data: TrackingData, ours: Sequence[Tracks], other: Sequence[Tracks], most: int
) -> list[WorseImage]:
    """The frames in which `ours` lost most objects beside `other`, the reference's; worst first,
    one frame of each run of frames that lost as many.

    An object is held while the track that stands for it in its sequence (identity's assignment)
    overlaps it by 0.5 or more. A frame's loss is the number of its objects that the reference holds
    and the recipe does not.
    """
    lost: list[tuple[int, int]] = []
    begin = 0
    for length in data.sequences:
        part = slice(begin, begin + length)
        objects = data.objects[part]
        held = [_held(objects, side[part]) for side in (ours, other)]
        before = 0
        for frame, (here, there) in enumerate(zip(*held, strict=True)):
            loss = len(there - here)
            if loss and loss != before:
                lost.append((loss, begin + frame))
            before = loss
        begin += length
    lost.sort(key=lambda one: (-one[0], one[1]))
    return [
        WorseImage(
            image=index,
            loss=float(loss),
            reference=_shown(data, other[index], index),
            recipe=_shown(data, ours[index], index),
        )
        for loss, index in lost[:most]
    ]


def object_boxes(data: TrackingData, index: int) -> tuple[SeenBox, ...]:
    """The counted objects of a frame, with their numbers."""
    if not data.annotated:
        return ()
    objects = data.objects[index]
    return tuple(
        SeenBox(
            box=_rounded(objects.boxes[row]),
            category=f"{data.classes[objects.categories[row]]} #{objects.ids[row]}",
        )
        for row in np.flatnonzero(objects.categories >= 0)
    )


def _held(objects: Sequence[Objects], tracks: Sequence[Tracks]) -> list[set[int]]:
    """The ids of the objects that are held in each frame of a sequence."""
    from scipy.optimize import linear_sum_assignment

    near = [_pairs(truth, track) for truth, track in zip(objects, tracks, strict=True)]
    together: dict[tuple[int, int], int] = {}
    for pairs in near:
        for pair in pairs:
            together[pair] = together.get(pair, 0) + 1
    truths, owns = (sorted({pair[side] for pair in together}) for side in (0, 1))
    table = np.zeros((len(truths), len(owns)), np.int64)
    for (truth, own), times in together.items():
        table[truths.index(truth), owns.index(own)] = times
    rows, columns = linear_sum_assignment(table, maximize=True)
    stands = {(truths[row], owns[column]) for row, column in zip(rows, columns, strict=True)}
    return [{truth for truth, own in pairs if (truth, own) in stands} for pairs in near]


def _pairs(objects: Objects, tracks: Tracks) -> list[tuple[int, int]]:
    """Ids of counted objects and tracks of one category that overlap enough, in a frame."""
    near = overlap(objects.boxes, tracks.boxes.astype(np.float64))
    same = objects.categories[:, None] == tracks.categories[None, :]
    rows, columns = np.nonzero((near >= _IOU) & same)
    return list(zip(objects.ids[rows].tolist(), tracks.ids[columns].tolist(), strict=True))


def _shown(data: TrackingData, tracks: Tracks, index: int) -> tuple[SeenBox, ...]:
    counted = np.flatnonzero(data.objects[index].categories >= 0).tolist()
    ids = data.objects[index].ids[counted].tolist()
    owners = {own: ids.index(truth) for truth, own in _pairs(data.objects[index], tracks)}
    return tuple(
        SeenBox(
            box=_rounded(tracks.boxes[row]),
            category=f"{data.classes[tracks.categories[row]]} #{tracks.ids[row]}",
            score=round(float(tracks.scores[row]), 4),
            object=owners.get(int(tracks.ids[row])),
        )
        for row in range(min(_BOXES, len(tracks.ids)))
    )


def _rounded(box: Any) -> tuple[float, float, float, float]:
    left, top, right, bottom = (round(float(side), 1) for side in box)
    return left, top, right, bottom
