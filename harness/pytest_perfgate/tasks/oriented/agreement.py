"""How far two recipes find the same oriented boxes with the same confidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_perfgate.tasks.oriented.data import Oriented
from pytest_perfgate.tasks.pairing import Sums, compare_pairs, paired
from pytest_perfgate.tasks.polygons import overlap


def pack(predictions: Sequence[Oriented]) -> dict[str, npt.NDArray[Any]]:
    """Predictions as arrays: `counts` (images,), and of all detections in the order of images
    `corners` (D, 4, 2), `scores` (D,), `categories` (D,).
    """
    return {
        "counts": np.array([len(one.scores) for one in predictions], dtype=np.int64),
        "corners": np.concatenate(
            [np.zeros((0, 4, 2), np.float32), *(one.corners for one in predictions)]
        ).astype(np.float32),
        "scores": np.concatenate([np.zeros(0, np.float32), *(one.scores for one in predictions)]),
        "categories": np.concatenate(
            [np.zeros(0, np.int64), *(one.categories for one in predictions)]
        ),
    }


def unpack(arrays: Mapping[str, npt.NDArray[Any]]) -> list[Oriented]:
    """What `pack` packed."""
    ends = np.cumsum(arrays["counts"]).tolist()
    cuts = [slice(begin, end) for begin, end in zip([0, *ends], ends, strict=False)]
    return [
        Oriented(*(arrays[name][cut] for name in ("corners", "scores", "categories")))
        for cut in cuts
    ]


def pairs(ours: Oriented, other: Oriented) -> list[tuple[int, int]]:
    """Boxes of one category that overlap, paired one to one."""
    if not len(ours.scores) or not len(other.scores):
        return []
    return paired(overlap(ours.corners, other.corners), ours, other)


def compare(ours: Sequence[Oriented], other: Sequence[Oriented]) -> dict[str, Sums]:
    """`agreement` and `score_shift` of two recipes on the same images: see
    `tasks.pairing.compare_pairs`.

    Raises:
        ValueError: the two are not of the same number of images.
    """
    return compare_pairs(ours, other, pairs)
