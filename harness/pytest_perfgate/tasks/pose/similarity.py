"""Object keypoint similarity (OKS), as COCO defines it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pytest_perfgate.tasks.pose.data import Poses

if TYPE_CHECKING:
    from pytest_perfgate.tasks.pose.data import PoseData


@dataclass(frozen=True)
class Objects(Poses):
    """Objects of the ground truth as poses: all scores are 1, that of a keypoint is 1 where it is
    labelled.

    Attributes:
        areas: float64 (M,), in square pixels.
    """

    areas: npt.NDArray[np.float64]


def objects_of(data: PoseData, rows: Sequence[int] | npt.NDArray[np.int64]) -> Objects:
    """The objects of these rows of the data's instances."""
    instances, keypoints = data.instances, data.keypoints
    corners = instances.boxes[rows].reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    labelled = keypoints.labelled[rows].astype(np.float64)
    return Objects(
        points=np.concatenate([keypoints.points[rows], labelled[..., None]], axis=2),
        scores=np.ones(len(corners), np.float32),
        categories=instances.category[rows],
        boxes=corners,
        areas=instances.areas[rows],
    )


def similarity(
    points: npt.NDArray[np.float32], objects: Objects, sigmas: Sequence[float]
) -> npt.NDArray[np.float64]:
    """OKS (M, O) of predicted keypoints (M, K, 2 or more) with objects.

    It is the mean, over the object's labelled keypoints, of exp(-d² / (2 a (2s)²)): d is the
    distance, a the object's area, s the keypoint's sigma. Of an object without any it is that of
    the distances by which keypoints lie outside of the object's box, which is first enlarged to
    three times its size (cocoeval's `computeOks`).
    """
    own = points[..., :2].astype(np.float64)
    variances = (2 * np.array(sigmas, dtype=np.float64)) ** 2
    result = np.zeros((len(points), len(objects.scores)))
    for column, truth in enumerate(objects.points):
        labelled = truth[:, 2] > 0
        if labelled.any():
            apart, spread = own[:, labelled] - truth[labelled, :2], variances[labelled]
        else:
            place, end = objects.boxes[column, :2], objects.boxes[column, 2:]
            low, high = 2 * place - end, 2 * end - place
            apart = np.maximum(0.0, low - own) + np.maximum(0.0, own - high)
            spread = variances
        area = objects.areas[column] + np.spacing(1.0)
        result[:, column] = np.exp(-(apart**2).sum(axis=2) / spread / area / 2).mean(axis=1)
    return result
