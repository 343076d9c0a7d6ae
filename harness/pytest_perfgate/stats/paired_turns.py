"""Latencies of two sides in turns that have the same requests at the same times."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def log_ratio(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """The median over the requests of the log of second / first, each request with that of the
    same number: images and arrivals that take longer do so on both sides.

    Args:
        first: (n,), seconds, of one side.
        second: (n,), seconds, of the other.
    """
    return float(np.median(np.log(np.asarray(second) / np.asarray(first))))


def middle_log_ratio(
    first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]
) -> float | None:
    """The mean of the middle half of the turns' `log_ratio` (midmean); None: no turn was measured
    on both sides.

    Args:
        first: of one side, the latencies of each turn in seconds; empty: not measured.
        second: of the other.
    """
    logs = sorted(
        log_ratio(one, other) for one, other in zip(first, second, strict=False) if one and other
    )
    cut = len(logs) // 4
    middle = logs[cut : len(logs) - cut]
    return math.fsum(middle) / len(middle) if middle else None
