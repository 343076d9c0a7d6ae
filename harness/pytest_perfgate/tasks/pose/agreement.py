"""How far two recipes place the same keypoints with the same confidence, whatever the truth is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_perfgate.tasks.boxes import areas, overlap
from pytest_perfgate.tasks.pairing import CONFIDENT, Sums, compare_pairs, paired
from pytest_perfgate.tasks.pose.data import Poses

NEAR = 0.05
"""Keypoints agree within this of the square root of the area of their boxes."""


def pack(predictions: Sequence[Poses]) -> dict[str, npt.NDArray[Any]]:
    """Predictions as arrays: `counts` (images,), and of all detections in the order of images
    `points` (D, K, 3), `scores` (D,), `categories` (D,), `boxes` (D, 4).
    """
    keypoints = max((one.points.shape[1] for one in predictions), default=0)
    parts = [one for one in predictions if len(one.scores)]
    return {
        "counts": np.array([len(one.scores) for one in predictions], dtype=np.int64),
        "points": np.concatenate(
            [np.zeros((0, keypoints, 3), np.float32), *(one.points for one in parts)]
        ),
        "scores": np.concatenate([np.zeros(0, np.float32), *(one.scores for one in parts)]),
        "categories": np.concatenate([np.zeros(0, np.int64), *(one.categories for one in parts)]),
        "boxes": np.concatenate([np.zeros((0, 4), np.float32), *(one.boxes for one in parts)]),
    }


def unpack(arrays: Mapping[str, npt.NDArray[Any]]) -> list[Poses]:
    """What `pack` packed."""
    ends = np.cumsum(arrays["counts"]).tolist()
    cuts = [slice(begin, end) for begin, end in zip([0, *ends], ends, strict=False)]
    return [
        Poses(*(arrays[name][cut] for name in ("points", "scores", "categories", "boxes")))
        for cut in cuts
    ]


def pairs(ours: Poses, other: Poses) -> list[tuple[int, int]]:
    """Detections of one category whose boxes overlap, paired one to one."""
    if not len(ours.scores) or not len(other.scores):
        return []
    near = overlap(ours.boxes.astype(np.float64), other.boxes.astype(np.float64))
    return paired(near, ours, other)


def compare(ours: Sequence[Poses], other: Sequence[Poses]) -> dict[str, Sums]:
    """`agreement` and `score_shift` of two recipes on the same images.

    - agreement: twice the keypoints that lie within `NEAR` of each other, in pairs of which both
      detections are confident, over all keypoints of the confident detections of both sides.
    - score_shift: see `tasks.pairing.compare_pairs`.

    Raises:
        ValueError: the two are not of the same number of images, or of other keypoints.
    """
    shift = compare_pairs(ours, other, pairs)["score_shift"]
    rows = [_keypoints(left, right) for left, right in zip(ours, other, strict=True)]
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), 2).T
    return {"agreement": (columns[0], columns[1]), "score_shift": shift}


def _keypoints(ours: Poses, other: Poses) -> tuple[float, float]:
    """Twice the keypoints that agree, and all of confident detections."""
    sure_ours, sure_other = ours.scores >= CONFIDENT, other.scores >= CONFIDENT
    total = ours.points.shape[1] * int(sure_ours.sum()) + other.points.shape[1] * int(
        sure_other.sum()
    )
    agreed = 0
    for left, right in pairs(ours, other):
        if not (sure_ours[left] and sure_other[right]):
            continue
        one, two = ours.points[left, :, :2], other.points[right, :, :2]
        if one.shape != two.shape:
            raise ValueError(f"{len(one)} and {len(two)} keypoints")
        area = (areas(ours.boxes[[left]]) + areas(other.boxes[[right]])).item() / 2
        apart = np.linalg.norm(one.astype(np.float64) - two, axis=1)
        agreed += 2 * int((apart <= NEAR * np.sqrt(area)).sum())
    return agreed, total
