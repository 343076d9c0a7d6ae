"""Requests to an endpoint: sent at times that are fixed beforehand, and timed from these times.

A generator that waits for an answer before it sends the next request leaves out the requests that
would have arrived meanwhile, and with them the worst times (coordinated omission: Tene 2013, "How
NOT to Measure Latency"). Here the time of a request begins when it was scheduled, whenever it was
sent; the difference, the generator's own lag, is recorded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

WORDS = 300
"""Characters of an endpoint's own words that are quoted."""


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
