"""How far two recipes find the same boxes with the same confidence, whatever the truth is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_perfgate.tasks.boxes import overlap
from pytest_perfgate.tasks.detection.data import Prediction
from pytest_perfgate.tasks.pairing import Sums, compare_pairs, paired

Arrays = Mapping[str, npt.NDArray[Any]]


def pack(predictions: Sequence[Prediction]) -> dict[str, npt.NDArray[Any]]:
    """Predictions as four arrays: `counts` (images,), and of all detections in the order of images
    `boxes` (D, 4), `scores` (D,), `categories` (D,).
    """
    return {
        "counts": np.array([len(prediction.scores) for prediction in predictions], dtype=np.int64),
        "boxes": np.concatenate(
            [np.zeros((0, 4), np.float32), *(prediction.boxes for prediction in predictions)]
        ).astype(np.float32),
        "scores": np.concatenate(
            [np.zeros(0, np.float32), *(prediction.scores for prediction in predictions)]
        ).astype(np.float32),
        "categories": np.concatenate(
            [np.zeros(0, np.int64), *(prediction.categories for prediction in predictions)]
        ).astype(np.int64),
    }


def unpack(arrays: Arrays) -> list[Prediction]:
    """What `pack` packed."""
    ends = np.cumsum(arrays["counts"])
    return [
        Prediction(
            boxes=arrays["boxes"][end - count : end],
            scores=arrays["scores"][end - count : end],
            categories=arrays["categories"][end - count : end],
        )
        for count, end in zip(arrays["counts"].tolist(), ends.tolist(), strict=True)
    ]


def compare(ours: Sequence[Prediction], other: Sequence[Prediction]) -> dict[str, Sums]:
    """`agreement` and `score_shift` of two recipes on the same images, by the boxes that overlap:
    see `tasks.pairing.compare_pairs`.

    Raises:
        ValueError: the two are not of the same number of images.
    """
    return compare_pairs(ours, other, pairs)


def pairs(ours: Prediction, other: Prediction) -> list[tuple[int, int]]:
    """Boxes of one category paired one to one, as (index in `ours`, index in `other`)."""
    if not len(ours.scores) or not len(other.scores):
        return []
    near = overlap(ours.boxes.astype(np.float64), other.boxes.astype(np.float64))
    return paired(near, ours, other)
