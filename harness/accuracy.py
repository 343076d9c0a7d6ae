"""Accuracy compared: differences and intervals from a paired bootstrap over images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from harness.record import Accuracy, Matches

if TYPE_CHECKING:
    from harness.stats.precision import Estimate, Table

_BITS = {"map": tuple(range(10)), "map50": (0,), "map75": (5,)}
"""Which thresholds of the matches a metric is over."""


@dataclass(frozen=True)
class Interval:
    """An estimate and its two-sided interval. `identical`: both sides predicted the same."""

    estimate: float
    low: float
    high: float
    identical: bool = False


def accuracy_interval(accuracy: Accuracy, metric: str, alpha: float) -> Interval:
    """The value of one metric with alpha / 2 on each side.

    Raises:
        ValueError: the record holds no matches for it.
    """
    if accuracy.matches is None or metric not in _BITS:
        raise ValueError(f"no matches are recorded for {metric}")
    estimate = _one(accuracy.matches.model_dump_json(), metric)
    low, high = estimate.bounds(alpha)
    return Interval(accuracy.values[metric], max(0.0, low), min(1.0, high))


def accuracy_difference(
    one: Accuracy, other: Accuracy, metric: str, alpha: float
) -> Interval | None:
    """One - other with alpha / 2 on each side; None when they cannot be compared: other images,
    or no matches. Identical predictions differ by exactly nothing.
    """
    if one.data_digest != other.data_digest:
        return None
    difference = one.values[metric] - other.values[metric]
    if one.predictions_digest == other.predictions_digest:
        return Interval(0.0, 0.0, 0.0, identical=True)
    if one.matches is None or other.matches is None or metric not in _BITS:
        return None
    if _same_ranking(one.matches, other.matches):
        return Interval(0.0, 0.0, 0.0, identical=True)
    estimate = _pair(one.matches.model_dump_json(), other.matches.model_dump_json(), metric)
    low, high = estimate.bounds(alpha)
    return Interval(difference, low, high)


def _same_ranking(one: Matches, other: Matches) -> bool:
    """Whether both rank the same hits and misses of the same images alike, whatever the scores.

    Then every draw of images scores the same. Runtimes differ in the last bits of a score.
    """
    import numpy as np

    sides = []
    for matches in (one, other):
        category, score = matches.category.array(), matches.score.array()
        order = np.lexsort((matches.image.array(), -score.astype(np.float64), category))
        columns = (matches.image, matches.category, matches.hits, matches.ignored)
        sides.append([column.array()[order] for column in columns] + [matches.truth.array()])
    return all(np.array_equal(left, right) for left, right in zip(*sides, strict=True))


def _table(matches: Matches) -> Table:
    from harness.stats.precision import Table

    ignored = matches.ignored.array()
    return Table(
        image=matches.image.array(),
        category=matches.category.array(),
        score=matches.score.array(),
        hits=matches.hits.array(),
        truth=matches.truth.array(),
        thresholds=len(matches.thresholds),
        ignored=ignored if ignored.any() else None,
    )


# The same comparison is asked for at several levels, and once more after every launch.
@lru_cache(maxsize=256)
def _one(matches: str, metric: str) -> Estimate:
    from harness.stats.precision import bootstrap

    return bootstrap(_table(Matches.model_validate_json(matches)), _BITS[metric])


@lru_cache(maxsize=256)
def _pair(one: str, other: str, metric: str) -> Estimate:
    from harness.stats.precision import paired_bootstrap

    return paired_bootstrap(
        _table(Matches.model_validate_json(one)),
        _table(Matches.model_validate_json(other)),
        _BITS[metric],
    )
