"""Average precision from matches, and its uncertainty from the images.

Average precision is COCO's: precision made monotone, read at 101 recalls, mean over categories
with objects and over thresholds (Lin et al. 2014). Uncertainty is that of the images: a bootstrap
draws them with replacement, the same draw for both sides of a comparison (Efron & Tibshirani 1993,
chapter 8).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

Array = npt.NDArray[Any]

_RECALLS = np.linspace(0.0, 1.0, 101)
DRAWS = 400


@dataclass(frozen=True)
class Table:
    """Detections and objects.

    Attributes:
        image, category: of each detection (D,).
        score: of each detection (D,).
        hits: uint16 (D,), bit i set when it is a true positive at threshold i.
        truth: objects (images, categories).
        thresholds: how many thresholds there are.
    """

    image: Array
    category: Array
    score: Array
    hits: Array
    truth: Array
    thresholds: int


@dataclass(frozen=True)
class Estimate:
    """A value with the standard error that the bootstrap gave it."""

    value: float
    error: float

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Two-sided bounds, alpha / 2 on each side: normal, with the bootstrap's standard error.

        A gate asks for far smaller alphas than percentiles of some hundred draws resolve.
        """
        wide = self.error * float(stats.norm.isf(alpha / 2))
        return self.value - wide, self.value + wide


class Ranked:
    """One table, sorted once, so that many draws of its images are scored quickly."""

    def __init__(self, table: Table, bits: tuple[int, ...]) -> None:
        self._truth = table.truth.astype(np.float64)
        self._groups: list[tuple[int, Array, Array]] = []
        for category in range(table.truth.shape[1]):
            mine = np.flatnonzero(table.category == category)
            mine = mine[np.argsort(-table.score[mine], kind="stable")]
            hits = np.stack([(table.hits[mine] >> bit) & 1 for bit in bits]).astype(np.float64)
            self._groups.append((category, table.image[mine].astype(np.int64), hits))
        self._bits = len(bits)

    def precision(self, weights: Array | None = None) -> float:
        """Mean average precision, image i counted `weights[i]` times; NaN without any object."""
        objects = self._truth.sum(axis=0) if weights is None else weights @ self._truth
        found = []
        for category, image, hits in self._groups:
            total = float(objects[category])
            if total <= 0:
                continue
            many = np.ones(len(image)) if weights is None else weights[image]
            found.append(_averages(hits, many, total).mean())
        return float(np.mean(found)) if found else math.nan

    def per_category(self) -> Array:
        """Average precision (categories,), NaN for a category without objects."""
        objects = self._truth.sum(axis=0)
        result = np.full(self._truth.shape[1], math.nan)
        for category, image, hits in self._groups:
            if objects[category] > 0:
                many = np.ones(len(image))
                result[category] = _averages(hits, many, float(objects[category])).mean()
        return result


def mean_average_precision(table: Table, bits: tuple[int, ...]) -> float:
    """Mean average precision at the thresholds whose bits are named."""
    return Ranked(table, bits).precision()


def bootstrap(table: Table, bits: tuple[int, ...], draws: int = DRAWS, seed: int = 0) -> Estimate:
    """Mean average precision with its standard error over images; the same every time."""
    ranked = Ranked(table, bits)
    images = table.truth.shape[0]
    values = [ranked.precision(weights) for weights in _draws(images, draws, seed)]
    return Estimate(ranked.precision(), _error(values))


def paired_bootstrap(
    one: Table, other: Table, bits: tuple[int, ...], draws: int = DRAWS, seed: int = 0
) -> Estimate:
    """The difference one - other over the same images, with its standard error.

    Raises:
        ValueError: the tables are not of the same images and categories.
    """
    if one.truth.shape != other.truth.shape or not np.array_equal(one.truth, other.truth):
        raise ValueError("the two tables are not of the same images")
    left, right = Ranked(one, bits), Ranked(other, bits)
    images = one.truth.shape[0]
    values = [
        left.precision(weights) - right.precision(weights)
        for weights in _draws(images, draws, seed)
    ]
    return Estimate(left.precision() - right.precision(), _error(values))


def _draws(images: int, draws: int, seed: int) -> Any:
    random = np.random.default_rng(seed)
    for _ in range(draws):
        yield random.multinomial(images, np.full(images, 1.0 / images)).astype(np.float64)


def _error(values: list[float]) -> float:
    finite = np.array([value for value in values if math.isfinite(value)])
    return float(finite.std(ddof=1)) if len(finite) > 1 else math.inf


def _averages(hits: Array, many: Array, total: float) -> Array:
    """Average precision per threshold: `hits` (T, D) best first, each counted `many` times."""
    if hits.shape[1] == 0:
        return np.zeros(hits.shape[0])
    true = np.cumsum(hits * many, axis=1)
    seen = np.cumsum(many)
    recall = true / total
    # An image that was not drawn adds nothing: its detections repeat the precision before them.
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(seen > 0, true / seen, 0.0)
    monotone = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    result = np.empty(hits.shape[0])
    for row in range(hits.shape[0]):
        at = np.searchsorted(recall[row], _RECALLS, side="left")
        reached = at < recall.shape[1]
        result[row] = monotone[row, at[reached]].sum() / len(_RECALLS)
    return result
