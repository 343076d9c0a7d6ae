"""How many requests a service needs until its times are those that it keeps."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

ABOVE = 0.25  # of the steady level: times within it are steady
_IN_A_ROW = 3


def requests_until_steady(seconds: Sequence[float]) -> int | None:
    """The number of requests before the first three in a row that take at most a quarter longer
    than the steady level, the median of the second half; None: there are no such three in the
    first half, so that the times may still be falling.

    Args:
        seconds: of requests that were sent one after the other.

    Raises:
        ValueError: fewer than six requests.
    """
    if len(seconds) < 2 * _IN_A_ROW:
        raise ValueError(f"{len(seconds)} requests show no steady level: six at least")
    level = statistics.median(seconds[len(seconds) // 2 :])
    for first in range(len(seconds) // 2):
        if max(seconds[first : first + _IN_A_ROW]) <= (1 + ABOVE) * level:
            return first
    return None
