"""What came of the requests of a run: latencies, lag, errors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LAG_SHARE, MOST_LAG = 0.02, 1e-3
"""Of the latency limit, and seconds: a 99th percentile of the lag above either is too much."""


def allowed_lag(latency_limit: float | None) -> float:
    """Seconds that the 99th percentile of the generator's lag may be.

    Args:
        latency_limit: seconds; None: there is none.
    """
    return MOST_LAG if latency_limit is None else min(MOST_LAG, LAG_SHARE * latency_limit)


@dataclass(frozen=True, eq=False)
class LoadRun:
    """A run of requests: times in seconds from its begin, an entry for each request.

    Attributes:
        scheduled, sent, done: (n,) each; NaN: no answer.
        timeout: seconds after which a request without an answer failed.
        errors: what went wrong, by the number of the request.
        answers: what came back, by the number of the request.
    """

    scheduled: Floats
    sent: Floats
    done: Floats
    timeout: float
    errors: Mapping[int, str] = field(default_factory=dict)
    answers: Mapping[int, Any] = field(default_factory=dict)

    @property
    def latency(self) -> Floats:
        """(n,), seconds from the scheduled arrival to the end of the answer. A request that failed
        counts as one that took the whole timeout, or longer if it did.
        """
        times: Floats = self.done - self.scheduled
        times[np.isnan(times)] = self.timeout
        for number in self.errors:
            times[number] = max(times[number], self.timeout)
        return times

    @property
    def lag(self) -> Floats:
        """(n,), seconds from the scheduled arrival to sending: the generator's own delay."""
        late: Floats = self.sent - self.scheduled
        return late

    def slow(self, limit: float) -> int:
        """Requests that took longer than `limit` seconds, with all that failed: none of them was
        answered within it, however short the timeout.
        """
        late = self.latency > limit
        late[list(self.errors)] = True
        return int(late.sum())

    @property
    def error_rate(self) -> float:
        """Share of the requests that failed, 0 to 1."""
        return len(self.errors) / len(self.scheduled)

    @property
    def throughput(self) -> float:
        """Answers per second, from the begin to the end of the last of them; 0 without any."""
        good = np.delete(self.done, list(self.errors))
        good = good[np.isfinite(good)]
        return len(good) / float(good.max()) if len(good) else 0.0

    def percentile(self, share: float) -> float:
        """The quantile of the latency, in seconds; NaN where fewer requests than `1 / (1 - share)`
        lie behind it, so that it would be the largest of them by another name.
        """
        if len(self.scheduled) * (1 - share) < 1 - 1e-9:
            return math.nan
        return float(np.quantile(self.latency, share))

    def too_late(self, latency_limit: float | None = None) -> str:
        """Why the run measured the generator and not the endpoint; "": it did not.

        Args:
            latency_limit: seconds, `LAG_SHARE` of which the lag may be; None: `MOST_LAG` alone.
        """
        allowed = allowed_lag(latency_limit)
        # Requests that an early end kept from being sent have none.
        late = float(np.nanquantile(self.lag, 0.99))
        if late <= allowed:
            return ""
        return (
            f"the load generator was late itself: the 99th percentile of its lag is "
            f"{late * 1e3:.3g} ms, allowed are {allowed * 1e3:.3g} ms"
        )
