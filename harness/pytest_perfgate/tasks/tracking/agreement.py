"""How far two recipes track the same things with the same confidence, whatever the truth is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pytest_perfgate.tasks.boxes import overlap
from pytest_perfgate.tasks.detection import agreement as detection
from pytest_perfgate.tasks.detection.data import Prediction
from pytest_perfgate.tasks.tracking.data import Tracks
from pytest_perfgate.tasks.tracking.matching import Frame, count
from pytest_perfgate.tasks.tracking.scores import numbered


def pack(predictions: Sequence[Tracks]) -> dict[str, Any]:
    """Tracks as arrays: those of detections (`detection.agreement.pack`), `ids` (D,), and `frame`
    (frames,), the number of each frame in its sequence.
    """
    ids = [np.zeros(0, np.int64), *(tracks.ids for tracks in predictions)]
    return {
        **detection.pack([as_detections(tracks) for tracks in predictions]),
        "ids": np.concatenate(ids).astype(np.int64),
        "frame": np.array([tracks.frame for tracks in predictions], np.int64),
    }


def unpack(arrays: Mapping[str, Any]) -> list[Tracks]:
    """What `pack` packed."""
    ids = np.split(arrays["ids"], np.cumsum(arrays["counts"])[:-1])
    return [
        Tracks(boxes.boxes, boxes.scores, boxes.categories, own, int(frame))
        for boxes, own, frame in zip(detection.unpack(arrays), ids, arrays["frame"], strict=True)
    ]


def as_detections(tracks: Tracks) -> Prediction:
    """The boxes without their numbers."""
    return Prediction(tracks.boxes, tracks.scores, tracks.categories)


def compare(ours: Sequence[Tracks], other: Sequence[Tracks]) -> dict[str, Any]:
    """`agreement` and `score_shift` of two recipes on the same sequences: numerator and denominator
    per sequence.

    - agreement: twice the boxes that belong to one track on both sides (identity's assignment, by
      category), over the boxes of both.
    - score_shift: that of detection, its sums over frames added up by sequence.

    Raises:
        ValueError: the two are not of the same frames.
    """
    if [one.frame for one in ours] != [one.frame for one in other]:
        raise ValueError("tracks of other frames")
    starts = [index for index, tracks in enumerate(other) if not tracks.frame]
    pairs = [
        (ours[begin:end], other[begin:end])
        for begin, end in zip(starts, [*starts[1:], len(other)], strict=True)
    ]
    same = np.array([2.0 * _same(left, right) for left, right in pairs])
    boxes = np.array([float(sum(len(one.ids) for side in pair for one in side)) for pair in pairs])
    shifts = detection.compare(
        [as_detections(one) for one in ours], [as_detections(one) for one in other]
    )["score_shift"]
    return {
        "agreement": (same, boxes),
        "score_shift": tuple(np.add.reduceat(part, starts) for part in shifts),
    }


def _same(ours: Sequence[Tracks], other: Sequence[Tracks]) -> int:
    """Boxes that belong to one track on both sides, of one sequence."""
    every = (tracks.categories for side in (ours, other) for tracks in side)
    categories = np.unique(np.concatenate([np.zeros(0, np.int64), *every]))
    total = 0
    for category in categories:
        left = [one.categories == category for one in ours]
        right = [one.categories == category for one in other]
        truths = numbered([one.ids[own] for one, own in zip(other, right, strict=True)])
        tracks = numbered([one.ids[own] for one, own in zip(ours, left, strict=True)])
        rows = zip(ours, other, left, right, truths, tracks, strict=True)
        frames = [
            Frame(
                truth,
                track,
                overlap(
                    right_frame.boxes[there].astype(float), left_frame.boxes[here].astype(float)
                ),
            )
            for left_frame, right_frame, here, there, truth, track in rows
        ]
        total += count(frames).same
    return total
