"""How far two recipes find the same things with the same confidence, whatever the truth is.

A mean average precision asks only how detections rank: a recipe that halves every score keeps it,
and breaks whoever compares scores with a threshold. What is measured here needs no annotations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_perfgate.tasks.boxes import overlap
from pytest_perfgate.tasks.detection.data import Prediction

CONFIDENT = 0.3
"""Detections of at least this score are what an application would act on."""

OVERLAP = 0.5
"""Boxes of one category that overlap by at least this are of the same thing."""

Arrays = Mapping[str, npt.NDArray[Any]]
Ratio = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""Numerator and denominator per image (images,); the metric is the ratio of their sums."""


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


def compare(ours: Sequence[Prediction], other: Sequence[Prediction]) -> dict[str, Ratio]:
    """`agreement` and `score_shift` of two recipes on the same images.

    In each image the detections of one category are paired one to one, the pairs that overlap
    most first, from `OVERLAP` on. A pair counts when one of its two detections at least is
    confident; so does a confident detection that is in no pair.

    - agreement: 2 for each pair of which both are confident, over the confident detections of both
      sides. It is the F1 score of one side held to the other.
    - score_shift: the difference of the two scores, the whole score of a detection in no pair,
      over how many pairs and lone detections count.

    Raises:
        ValueError: the two are not of the same number of images.
    """
    if len(ours) != len(other):
        raise ValueError(f"{len(ours)} and {len(other)} images")
    rows = [_image(left, right) for left, right in zip(ours, other, strict=True)]
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), 4).T
    return {"agreement": (columns[0], columns[1]), "score_shift": (columns[2], columns[3])}


def _image(ours: Prediction, other: Prediction) -> tuple[float, float, float, float]:
    """Both numerators and denominators of one image."""
    sure_mine, sure_other = ours.scores >= CONFIDENT, other.scores >= CONFIDENT
    agreed, shift, counted = 0, 0.0, 0
    lone_mine, lone_other = sure_mine.copy(), sure_other.copy()
    for left, right in pairs(ours, other):
        lone_mine[left] = lone_other[right] = False
        if not (sure_mine[left] or sure_other[right]):
            continue
        agreed += 2 * int(sure_mine[left] and sure_other[right])
        shift += abs(float(ours.scores[left]) - float(other.scores[right]))
        counted += 1
    for side, lone in ((ours, lone_mine), (other, lone_other)):
        shift += float(side.scores[lone].astype(np.float64).sum())
        counted += int(lone.sum())
    return agreed, int(sure_mine.sum() + sure_other.sum()), shift, counted


def pairs(ours: Prediction, other: Prediction) -> list[tuple[int, int]]:
    """Detections of one category paired one to one, as (index in `mine`, index in `other`)."""
    if not len(ours.scores) or not len(other.scores):
        return []
    near = overlap(ours.boxes.astype(np.float64), other.boxes.astype(np.float64))
    near[ours.categories[:, None] != other.categories[None, :]] = 0.0
    rows, columns = np.nonzero(near >= OVERLAP)
    # Of equal overlaps the nearer scores, so that the order of detections does not matter.
    apart = np.abs(ours.scores[rows] - other.scores[columns])
    order = np.lexsort((-ours.scores[rows], apart, -near[rows, columns]))
    used_rows, used_columns, matched = set(), set(), []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in used_rows and column not in used_columns:
            used_rows.add(row)
            used_columns.add(column)
            matched.append((row, column))
    return matched
