"""Average precision from matches.

Average precision is COCO's (Lin et al. 2014, "Microsoft COCO", and its `cocoeval.accumulate`):
detections of a category by falling score, precision made monotone, read at 101 recalls, and the
mean over categories with objects and over thresholds. Oriented boxes have the area under the curve
in place of the 101 recalls (Everingham et al. 2010, "The PASCAL Visual Object Classes Challenge").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy import sparse

Array = npt.NDArray[Any]

_RECALLS = np.linspace(0.0, 1.0, 101)
_CACHED = 100_000  # hits times draws that are scored at once: their arrays stay in the cache
_BITS = {"map50": (0,), "map75": (5,)}

Metric = str | tuple[int, ...]
""""map", "map50" or "map75" over COCO's ten thresholds, or the bits of the thresholds."""


@dataclass(frozen=True)
class Table:
    """Detections and objects of one evaluation.

    Attributes:
        image, category: index of each detection's image and category (D,), in any order.
        score: of each detection (D,). Equal scores rank by image, then as they stand here, which
            is COCO's order.
        hits: uint16 (D,), bit i set when the detection is a true positive at threshold i.
        truth: objects to find (images, categories).
        thresholds: how many thresholds there are.
        ignored: uint16 (D,), bit i set when the detection does not count at threshold i, because
            it lies on an object that is to be ignored; None when all count.
        recalls: where precision is read: "coco", at its 101 recalls, or "all", the area under the
            curve, as the PASCAL VOC development kit has it since 2010.

    Raises:
        ValueError: no images or categories, lengths that differ, an index or bit out of range, a
            score that is not finite, or more hits in an image than objects.
    """

    image: Array
    category: Array
    score: Array
    hits: Array
    truth: Array
    thresholds: int
    ignored: Array | None = None
    recalls: Literal["coco", "all"] = "coco"

    def __post_init__(self) -> None:
        if self.truth.ndim != 2 or not self.truth.size:
            raise ValueError("truth must be (images, categories), and there must be some")
        if self.truth.min() < 0:
            raise ValueError("there cannot be fewer than no objects")
        shapes = {column.shape for column in (self.image, self.category, self.score, self.hits)}
        if shapes != {(self.image.size,)}:
            raise ValueError("image, category, score and hits must be of one length")
        if self.ignored is not None and (
            self.ignored.shape != self.hits.shape or (self.ignored & self.hits).any()
        ):
            raise ValueError("what is ignored must be said of each detection, and of no hit")
        if not 1 <= self.thresholds <= 16:
            raise ValueError("there must be 1 to 16 thresholds")
        if not self.image.size:
            return
        if not np.isfinite(self.score).all():
            raise ValueError("scores must be finite")
        for name, indices, count in (
            ("image", self.image, self.truth.shape[0]),
            ("category", self.category, self.truth.shape[1]),
            ("hits", self.hits, 1 << self.thresholds),
        ):
            if indices.min() < 0 or indices.max() >= count:
                raise ValueError(f"{name} must be in 0..{count - 1}")
        for bit in range(self.thresholds):
            hits = np.zeros(self.truth.shape, dtype=np.int64)
            np.add.at(hits, (self.image, self.category), (self.hits.astype(np.int64) >> bit) & 1)
            if (hits > self.truth).any():
                raise ValueError("more hits than objects in an image")

    def equals(self, other: Table) -> bool:
        """Whether both hold the same rows in the same order."""
        pairs = (
            (self.image, other.image),
            (self.category, other.category),
            (self.score, other.score),
            (self.hits, other.hits),
            (self.truth, other.truth),
            (self._ignored(), other._ignored()),
        )
        alike = (self.thresholds, self.recalls) == (other.thresholds, other.recalls)
        return alike and all(np.array_equal(one, two) for one, two in pairs)

    def _ignored(self) -> Array:
        return np.zeros_like(self.hits) if self.ignored is None else self.ignored


def mean_average_precision(table: Table, metric: Metric = "map") -> float:
    """The mean over categories with objects and over the metric's thresholds.

    Raises:
        ValueError: unknown metric, or there is no object to find.
    """
    ranked = Ranked(table, bits_of(metric, table.thresholds))
    value = float(ranked.means(np.ones((table.truth.shape[0], 1), dtype=np.int64))[0])
    if math.isnan(value):
        raise ValueError("there is no object to find, so there is no precision")
    return value


class Ranked:
    """One table, sorted once, so that many draws of its images are scored quickly.

    Attributes:
        detections: those that a score can depend on: none behind a category's last hit.
    """

    def __init__(self, table: Table, bits: tuple[int, ...]) -> None:
        self.truth = table.truth.astype(np.int64)
        self._recalls = table.recalls
        self._bits = len(bits)
        self._groups = [_Group(table, category, bits) for category in range(table.truth.shape[1])]
        self.detections = sum(group.detections for group in self._groups)

    def score(self, weights: Array) -> Array:
        """Average precision (categories, bits, draws) under `weights` int (images, draws): how
        often each image counts. NaN for a category without objects.
        """
        weights = np.ascontiguousarray(weights, dtype=np.int32)
        # Whole numbers that doubles hold: their product has a fast library.
        objects = (self.truth.T.astype(np.float64) @ weights).astype(np.int64)
        result = np.zeros((len(self._groups), self._bits, weights.shape[1]))
        for row, group in enumerate(self._groups):
            totals, which = np.unique(objects[row], return_inverse=True)
            reached = _reached(totals) if self._recalls == "coco" else _shares(totals)
            start = (which * reached.shape[1]).astype(np.int32)
            width = max(1, _CACHED // max(1, group.hits))
            for begin in range(0, weights.shape[1], width):
                part = slice(begin, begin + width)
                group.score(weights[:, part], reached.ravel(), start[part], result[row, :, part])
            result[row, :, objects[row] == 0] = math.nan
        return result

    def means(self, weights: Array) -> Array:
        """Mean average precision (draws,); NaN for a draw without objects."""
        return mean_over_categories(self.score(weights).mean(axis=1))


class _Group:
    """The detections of one category, best first, as what its hits need to be scored.

    A score depends on how many detections count up to each hit, and not on the order of those
    between two hits. So they are summed before they are put in a row: by a matrix (hits, images)
    of how many detections of an image stand behind the hit before, the hit itself included.
    """

    def __init__(self, table: Table, category: int, bits: tuple[int, ...]) -> None:
        rows = np.flatnonzero(table.category == category)
        rows = rows[np.lexsort((table.image[rows], -table.score[rows].astype(np.float64)))]
        hits = table.hits[rows].astype(np.int64)
        wanted = sum(1 << bit for bit in bits)
        at = np.flatnonzero(hits & wanted)
        rows = rows[: at[-1] + 1] if at.size else rows[:0]
        image = table.image[rows].astype(np.int64)
        self.hits, self.detections = len(at), len(rows)
        self._image = image[at]
        self._at = [np.flatnonzero((hits[at] >> bit) & 1) for bit in bits]
        behind = np.searchsorted(at, np.arange(len(rows)))
        shape = len(at), len(table.truth)
        every = _counting(behind, image, shape)
        self._counts = [every] * len(bits)
        if table.ignored is not None and table.ignored[rows].any():
            ignored = table.ignored[rows].astype(np.int64)
            counted = [((ignored >> bit) & 1) == 0 for bit in bits]
            self._counts = [_counting(behind[kept], image[kept], shape) for kept in counted]

    def score(self, weights: Array, reached: Array, start: Array, result: Array) -> None:
        """Writes average precision (bits, draws) into `result`."""
        counted, last, ranked = weights[self._image], None, weights[:0]
        for bit, (hits, counts) in enumerate(zip(self._at, self._counts, strict=True)):
            if not len(hits):
                continue
            if counts is not last:
                last, ranked = counts, (counts @ weights).cumsum(axis=0, dtype=np.int32)
            true = counted[hits].cumsum(axis=0, dtype=np.int32)
            result[bit] = _area(true, ranked[hits], reached, start)


def _counting(rows: Array, columns: Array, shape: tuple[int, int]) -> sparse.csr_array:
    """How many pairs there are of each row and column."""
    from scipy import sparse  # every worker imports this module, few call this

    return sparse.csr_array((np.ones(len(rows), np.int32), (rows, columns)), shape=shape)


def mean_over_categories(scores: Array) -> Array:
    """Of (categories, ...), without those that are NaN; NaN where all of them are."""
    known = ~np.isnan(scores)
    many = known.sum(axis=0)
    total = np.where(known, scores, 0.0).sum(axis=0)
    result: Array = np.where(many > 0, total / np.maximum(many, 1), math.nan)
    return result


def _area(true: Array, ranked: Array, reached: Array, start: Array) -> Array:
    """Average precision (draws,) from the counts at each hit, (hits, draws), best score first.

    Only hits matter: elsewhere precision is no higher and recall is the same. A detection that was
    not drawn repeats what stands before it, and moves nothing.
    """
    # The spacing is COCO's; it only keeps 0 / 0 from the hits before the first that was drawn.
    precision = true / (ranked + np.spacing(1.0))
    np.maximum.accumulate(precision[::-1], axis=0, out=precision[::-1])
    points = reached.take(true + start)
    steps = points.copy()  # numpy.diff with a first row to put before it takes twice the time
    steps[1:] -= points[:-1]
    result: Array = np.einsum("hd,hd->d", precision, steps) / len(_RECALLS)
    return result


def _reached(totals: Array) -> Array:
    """How many of the 101 recalls are reached with 0, 1, 2 … objects found, for each total.

    It compares the very numbers that COCO compares: 35 of 100 found do not reach the recall
    written 0.35, whose float in that list is a little above 35 / 100.
    """
    counts = np.arange(int(totals.max()) + 1)
    recall = counts[None, :] / np.maximum(totals, 1)[:, None]
    many = np.searchsorted(_RECALLS, recall, side="right").astype(np.float64)
    many[:, 0] = 0.0  # nothing found: the precision there is 0 or that of the first hit
    return many


def _shares(totals: Array) -> Array:
    """As `_reached` for the area under the curve: 0, 1, 2 … objects found reach so large a part of
    all recalls.
    """
    counts = np.arange(int(totals.max()) + 1)
    shares: Array = len(_RECALLS) * counts[None, :] / np.maximum(totals, 1)[:, None]
    return shares


def bits_of(metric: Metric, thresholds: int) -> tuple[int, ...]:
    """The bits of a metric's thresholds, of so many.

    Raises:
        ValueError: unknown metric, or one that needs more thresholds.
    """
    if metric == "map":
        return tuple(range(thresholds))
    bits = _BITS.get(metric) if isinstance(metric, str) else tuple(metric)
    if not bits:
        raise ValueError(f"{metric!r} is not a metric: map, map50, map75, or bits of thresholds")
    if min(bits) < 0 or max(bits) >= thresholds:
        raise ValueError(f"{metric!r} needs more than {thresholds} thresholds")
    return bits
