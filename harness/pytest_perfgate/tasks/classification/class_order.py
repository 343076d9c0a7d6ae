"""Finds out whether classes stand in another order than the network's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_CERTAIN = 1e-3  # the chance that the held-out pairs fall so by luck
_LEAST_SHARE = 0.5  # of held-out pairs that the other order must get right
_LEAST_GAIN = 0.2


def other_order(
    truth: Sequence[int] | npt.NDArray[Any], called: Sequence[int] | npt.NDArray[Any], classes: int
) -> tuple[int, ...] | None:
    """For each true class the index under which it is called, when another order of the classes
    explains the pairs far better than theirs; None otherwise.

    `truth` and `called` are class indices (N,) of the same things. The best assignment (Hungarian
    method: Kuhn 1955) to the pairs of one half is tried on those of the other half, so that an
    order which only fits noise explains nothing there. A sign test on the pairs that the two orders
    tell apart decides.
    """
    true, seen_as = np.asarray(truth, dtype=np.int64), np.asarray(called, dtype=np.int64)
    if len(true) < 2 or classes < 2:
        return None
    plain = seen_as == true
    least = max(_LEAST_SHARE, plain.mean() + _LEAST_GAIN)
    if least > 1.0:  # no order can gain so much, and most models end here
        return None
    # Only now: loading them takes longer than many an evaluation.
    from scipy.optimize import linear_sum_assignment
    from scipy.special import bdtrc

    def assigned(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Called class to the true class that it is assigned to."""
        counts = np.zeros((classes, classes), dtype=np.int64)
        np.add.at(counts, (seen_as[rows], true[rows]), 1)
        # Of equally good assignments the one that moves fewer classes.
        weights = counts + 1e-6 * np.eye(classes)
        columns: npt.NDArray[Any] = linear_sum_assignment(weights, maximize=True)[1]
        return columns

    half = np.random.default_rng(0).permutation(len(true)) % 2
    right = np.zeros(len(true), dtype=bool)
    for side in (0, 1):
        right[half == side] = (assigned(half != side)[seen_as] == true)[half == side]
    better, worse = int((right & ~plain).sum()), int((plain & ~right).sum())
    if not better or right.mean() < least:
        return None
    # One-sided: the chance of at least so many of them in favour, at even odds.
    if bdtrc(better - 1, better + worse, 0.5) > _CERTAIN:
        return None
    order = np.empty(classes, dtype=np.int64)
    order[assigned(np.ones(len(true), dtype=bool))] = np.arange(classes)
    return tuple(int(index) for index in order)


def as_option(order: Sequence[int], declared: Sequence[int]) -> str:
    """The option `classes` that brings the network's classes into the data's order; `declared` is
    the one that was in force, empty for none.
    """
    return str([declared[index] if declared else index for index in order])
