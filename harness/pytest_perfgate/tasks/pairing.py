"""Detections of two sides paired one to one: two recipes', or objects and what was found of them.

A mean average precision asks only how detections rank: a recipe that halves every score keeps it,
and breaks whoever compares scores with a threshold. What is measured here needs no annotations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

CONFIDENT = 0.3
"""Detections of at least this score are what an application would act on."""

OVERLAP = 0.5
"""Detections of one category that overlap by at least this are of the same thing."""

Sums = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""Numerator and denominator per image (images,); the metric is the ratio of their sums."""


class Scored(Protocol):
    """Detections of one image: `scores` (M,) and `categories` (M,), whatever their shape is."""

    @property
    def scores(self) -> npt.NDArray[np.float32]:
        """From 0 to 1."""

    @property
    def categories(self) -> npt.NDArray[np.int64]:
        """Indices of the data's categories."""


Side = TypeVar("Side", bound=Scored)
Pairs = Callable[[Side, Side], list[tuple[int, int]]]


def paired(near: npt.NDArray[Any], ours: Scored, other: Scored) -> list[tuple[int, int]]:
    """Detections of one category paired one to one, those that overlap most first, from `OVERLAP`
    on: (index in `ours`, index in `other`). `near` (A, B) has the overlaps, and is changed.
    """
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


def compare_pairs(
    ours: Sequence[Side], other: Sequence[Side], pairs: Pairs[Side]
) -> dict[str, Sums]:
    """`agreement` and `score_shift` of two recipes on the same images.

    In each image `pairs` pairs the detections of the two, one to one. A pair counts when one of its
    two detections at least is confident; so does a confident detection that is in no pair.

    - agreement: 2 for each pair of which both are confident, over the confident detections of both
      sides. It is the F1 score of one side held to the other.
    - score_shift: the difference of the two scores, the whole score of a detection in no pair,
      over how many pairs and lone detections count.

    Raises:
        ValueError: the two are not of the same number of images.
    """
    if len(ours) != len(other):
        raise ValueError(f"{len(ours)} and {len(other)} images")
    rows = [
        _image(left, right, pairs(left, right)) for left, right in zip(ours, other, strict=True)
    ]
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), 4).T
    return {"agreement": (columns[0], columns[1]), "score_shift": (columns[2], columns[3])}


def _image(
    ours: Scored, other: Scored, pairs: Sequence[tuple[int, int]]
) -> tuple[float, float, float, float]:
    """Both numerators and denominators of one image."""
    sure_ours, sure_other = ours.scores >= CONFIDENT, other.scores >= CONFIDENT
    agreed, shift, counted = 0, 0.0, 0
    lone_ours, lone_other = sure_ours.copy(), sure_other.copy()
    for left, right in pairs:
        lone_ours[left] = lone_other[right] = False
        if not (sure_ours[left] or sure_other[right]):
            continue
        agreed += 2 * int(sure_ours[left] and sure_other[right])
        shift += abs(float(ours.scores[left]) - float(other.scores[right]))
        counted += 1
    for side, lone in ((ours, lone_ours), (other, lone_other)):
        shift += float(side.scores[lone].astype(np.float64).sum())
        counted += int(lone.sum())
    return agreed, int(sure_ours.sum() + sure_other.sum()), shift, counted
