"""Launches on the scale of logarithms: their spread and mean, and the way back."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from pytest_perfgate.records.launch_values import log_value

_MIDDLE_HALF = 6  # launches from which on quartiles mean something
_NORMAL_HALF = 1.349  # between the quartiles of a normal distribution, in standard deviations


def spread(logs: Sequence[float]) -> float | None:
    """Standard deviation of one launch's log value, None for fewer than two launches; from the
    middle half of them where that says less, so that one launch gone wrong does not make every
    other look hopeless.
    """
    if len(logs) < 2:
        return None
    whole = statistics.stdev(logs)
    if len(logs) < _MIDDLE_HALF:
        return whole
    low, _, high = statistics.quantiles(logs, n=4)
    return min(whole, (high - low) / _NORMAL_HALF)


def mean_log(values: Sequence[float]) -> float:
    """The mean of the values' logarithms."""
    return math.fsum(map(log_value, values)) / len(values)


def exp(log: float) -> float:
    """E to the power of `log`, infinite where it is too large for a float."""
    return math.exp(log) if log < 700 else math.inf


def finite(value: float | None) -> float | None:
    """The value; None for one that is infinite or no number, which JSON does not hold."""
    return None if value is None or not math.isfinite(value) else value
