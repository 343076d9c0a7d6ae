"""Requests to an endpoint: sent at times that are fixed beforehand, and timed from these times.

A generator that waits for an answer before it sends the next request leaves out the requests that
would have arrived meanwhile, and with them the worst times (coordinated omission: Tene 2013, "How
NOT to Measure Latency"). Here the time of a request begins when it was scheduled, whenever it was
sent; the difference, the generator's own lag, is recorded.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LAG_SHARE, MOST_LAG = 0.02, 1e-3
"""Of the latency limit, and seconds: a 99th percentile of the lag above either is too much."""


@dataclass(frozen=True)
class Completion:
    """The end of a request.

    Attributes:
        number: of the request in its schedule.
        at: when its answer was complete, in seconds of `Client.now`.
        error: what went wrong, in the endpoint's own words; "": nothing.
        answer: what came back, for `Client.outputs`.
    """

    number: int
    at: float
    error: str = ""
    answer: Any = None


class Client(ABC):
    """Sends requests without waiting for answers."""

    @abstractmethod
    def now(self) -> float:
        """Seconds of the clock that arrivals and completions are timed by."""

    @abstractmethod
    def send(self, number: int) -> bool:
        """Sends the request of that number; False: not now, all connections wait for answers. A
        problem is a `Completion` of the next `poll`.
        """

    @abstractmethod
    def poll(self, until: float) -> Sequence[Completion]:
        """The requests that ended since the last call. With none it waits, at most until `now`
        is `until`.
        """

    @abstractmethod
    def abandon(self, number: int) -> None:
        """Waits for a request no longer: its answer, if it comes, is dropped."""

    @abstractmethod
    def outputs(self, number: int, answer: Any) -> tuple[Any, ...]:
        """The network's outputs, decoded from the answer to a request.

        Raises:
            RuntimeFault: the answer is no answer of this protocol.
        """

    def close(self) -> None:
        """Closes its connections. Default: nothing."""
        return


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
        allowed = MOST_LAG if latency_limit is None else min(MOST_LAG, LAG_SHARE * latency_limit)
        late = float(np.quantile(self.lag, 0.99))
        if late <= allowed:
            return ""
        return (
            f"the load generator was late itself: the 99th percentile of its lag is "
            f"{late * 1e3:.3g} ms, allowed are {allowed * 1e3:.3g} ms"
        )
