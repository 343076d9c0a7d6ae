"""How much each group of images moves a score: what an interval of any function of scores rests on.

A score is linearised about its value (the infinitesimal jackknife: Jaeckel 1972; Efron 1982, "The
Jackknife, the Bootstrap and Other Resampling Plans", chapter 6). Average precision has no
derivative: it is read at 101 recalls, and one image more or less moves it in steps. Half of the
images are counted twice in place of it, by a design in which each group's share of the difference
can be told (balanced half-samples: McCarthy 1969, "Pseudo-Replication: Half Samples").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_perfgate.stats.average_precision import Ranked, Table

Floats = npt.NDArray[np.float64]

_MOST_GROUPS = 200
_BLOCK = 50


@dataclass(frozen=True)
class Influence:
    """A score, and how far it moves per group of images.

    Attributes:
        value: from all images.
        moves: float64 (G,), of each group's images; their mean, weighted by `counts`, is 0.
        counts: float64 (G,), images of each group.
    """

    value: float
    moves: Floats
    counts: Floats


def of_ratio(top: npt.NDArray[np.number], bottom: npt.NDArray[np.number]) -> Influence:
    """Of a ratio of sums over images (images,).

    Raises:
        ValueError: there is nothing to divide by.
    """
    total = float(bottom.sum())
    if total <= 0:
        raise ValueError("there is nothing to divide by")
    value = float(top.sum()) / total
    member, counts = _groups(len(top))
    sums = np.bincount(member, weights=(top - value * bottom).astype(np.float64))
    return Influence(value, len(top) * sums / (counts * total), counts)


def of_precision(table: Table, bits: tuple[int, ...]) -> Influence:
    """Of a mean average precision over thresholds.

    Raises:
        ValueError: there is no object to find.
    """
    ranked = Ranked(table, bits)
    images = len(table.truth)
    member, counts = _groups(images)
    value = float(ranked.means(np.ones((images, 1), dtype=np.int64))[0])
    if not np.isfinite(value):
        raise ValueError("there is no object to find, so there is no precision")
    from scipy.linalg import hadamard  # not in every worker that imports this module

    # As many rows as columns, a power of two; the column of ones is no group.
    signs = hadamard(1 << len(counts).bit_length())[:, 1 : len(counts) + 1]
    moves = np.zeros(len(counts))
    for start in range(0, len(signs), _BLOCK):
        block = signs[start : start + _BLOCK]
        # A half-sample and the other half: what is not linear moves both alike.
        one, other = (ranked.means(1 + side.T[member]) for side in (block, -block))
        apart = np.where(np.isfinite(one - other), one - other, 0.0) / 2
        moves += apart @ block
    moves *= images / (counts * len(signs))
    return Influence(value, moves - float(moves @ counts) / images, counts)


def _groups(images: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """The group of each image (images,), and how many images each group has."""
    member = np.arange(images) % min(images, _MOST_GROUPS)
    return member, np.bincount(member).astype(np.float64)
