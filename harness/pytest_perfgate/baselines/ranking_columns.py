"""A ranking as columns of small whole numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_perfgate.baselines.columns import planes, whole
from pytest_perfgate.records.accuracy import LARGEST
from pytest_perfgate.records.ranking import Ranking, numbers_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def columns_of(ranking: Ranking) -> dict[str, npt.NDArray[np.uint8]]:
    """The ranking's columns as few and small numbers.

    Images of a category are counted anew, those with an object of it first: most detections lie
    there. Between two hits their numbers rise, so differences are stored.
    """
    import numpy as np

    number = np.zeros_like(ranking.image)
    for category in np.unique(ranking.category).tolist():
        rows = ranking.category == category
        number[rows] = numbers_of(ranking.truth[:, category])[ranking.image[rows]]
    is_hit = ranking.hits != 0
    order = np.lexsort((ranking.ignored, number, is_hit, ranking.run))
    number, ignored = number[order], ranking.ignored[order]
    misses, runs = number[~is_hit], ranking.run[~is_hit]  # hits stay where they are
    steps = misses.copy()
    steps[1:] -= np.where(runs[1:] == runs[:-1], misses[:-1], 0)
    place = np.flatnonzero(is_hit)
    image, category = np.nonzero(ranking.truth)
    cells = category * len(ranking.truth) + image
    by_cell = np.argsort(cells)
    return {
        "shape": planes(np.array(ranking.truth.shape)),
        "categories": planes(np.bincount(ranking.category, minlength=ranking.truth.shape[1])),
        "hit images": planes(number[is_hit]),
        "hits": planes(ranking.hits[is_hit]),
        "misses before": planes(np.diff(place, prepend=-1) - 1),
        "miss images": planes(steps),
        "ignored": planes(ignored),
        "cells": planes(np.diff(cells[by_cell], prepend=0)),
        "objects": planes(ranking.truth[image, category][by_cell]),
    }


def ranking_in(arrays: Mapping[str, Any], many: int) -> Ranking:
    """The ranking of `many` categories that `columns_of` has stored.

    Raises:
        ValueError: an array is not there, or does not fit the others.
    """
    import numpy as np

    images, categories = whole(arrays, "shape").tolist()
    if categories != many or 4 * images * categories > LARGEST:
        raise ValueError(f"it is of {images} images and {categories} categories")
    cells, counts = np.cumsum(whole(arrays, "cells")), whole(arrays, "objects")
    if len(cells) != len(counts) or cells.max(initial=-1) >= images * categories:
        raise ValueError("its objects are not of its images")
    truth = np.zeros((images, categories), np.int32)
    truth[cells % images, cells // images] = counts
    ignored, before = whole(arrays, "ignored"), whole(arrays, "misses before")
    sizes = whole(arrays, "categories")
    if len(sizes) != categories or sizes.sum() != len(ignored):
        raise ValueError("its categories have other detections than its rows")
    category = np.repeat(np.arange(categories), sizes)
    place = np.cumsum(before + 1) - 1
    hit_images, hits = whole(arrays, "hit images"), whole(arrays, "hits")
    steps = whole(arrays, "miss images")
    if not len(place) == len(hits) == len(hit_images) or before.sum() != len(steps):
        raise ValueError("its hits and misses are not those of its rows")
    if len(place) + len(steps) != len(ignored):
        raise ValueError("its hits and misses are not those of its rows")
    total = np.cumsum(steps)
    starts = np.cumsum(before) - before  # of each run among the misses
    some = before > 0
    offsets = np.where(starts[some] > 0, total[starts[some] - 1], 0)
    number, of_row = np.zeros((2, len(ignored)), np.int64)
    is_hit = np.zeros(len(ignored), bool)
    is_hit[place] = True
    number[is_hit], of_row[is_hit] = hit_images, hits
    number[~is_hit] = total - np.repeat(offsets, before[some])
    if number.max(initial=0) >= images:
        raise ValueError("its detections are not of its images")
    image = np.zeros_like(number)
    for index in np.flatnonzero(sizes).tolist():
        rows = category == index
        image[rows] = np.argsort(numbers_of(truth[:, index]))[number[rows]]
    return Ranking(image, category, of_row, ignored, np.cumsum(is_hit) - is_hit, truth).sorted()
