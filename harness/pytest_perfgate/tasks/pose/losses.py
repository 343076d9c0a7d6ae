"""What a pose network loses: how near the keypoints of its objects are."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from pytest_perfgate.records.image_losses import SeenBox
from pytest_perfgate.tasks.losses import Losses, rounded
from pytest_perfgate.tasks.pairing import CONFIDENT, paired
from pytest_perfgate.tasks.pose.data import Poses
from pytest_perfgate.tasks.pose.scores import ignored_objects
from pytest_perfgate.tasks.pose.similarity import Objects, objects_of, similarity

if TYPE_CHECKING:
    from pytest_perfgate.tasks.pose.data import PoseData


def truth(data: PoseData) -> list[Objects]:
    """The objects of every image that are to be found, in the order of images."""
    rows: list[list[int]] = [[] for _ in data.instances.files]
    if data.annotated:
        for row in np.flatnonzero(~ignored_objects(data)).tolist():
            rows[data.instances.image[row]].append(row)
        return [objects_of(data, np.array(own, dtype=np.int64)) for own in rows]
    return []


def losses(data: PoseData) -> Losses[Poses]:
    """The value of an object is its OKS with the confident detection that it is paired with: those
    with the largest OKS first, from 0.5 on.
    """
    keypoints = data.keypoints

    def near(objects: Poses, poses: Poses) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        return similarity(poses.points, cast("Objects", objects), keypoints.sigmas).T

    def pairs(objects: Poses, poses: Poses) -> list[tuple[int, int]]:
        overlaps = near(objects, poses)
        overlaps[:, poses.scores < CONFIDENT] = 0.0
        return paired(overlaps, objects, poses)

    def value(objects: Poses, poses: Poses, row: int, column: int) -> float:
        return float(near(objects, poses)[row, column])

    def drawn(side: Poses, index: int, category: str) -> SeenBox:
        x, y, sure = side.points[index].astype(float).round(1).T
        shown = (sure > 0) | (not isinstance(side, Objects))
        return SeenBox(
            box=rounded(side.boxes[index].tolist()),
            category=category,
            points=tuple(zip(x[shown].tolist(), y[shown].tolist(), strict=True)),
            bones=tuple(
                (x[one], y[one], x[two], y[two])
                for one, two in keypoints.bones
                if shown[one] and shown[two]
            ),
        )

    return Losses(pairs, value, drawn)
