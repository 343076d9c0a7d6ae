"""A service in simulated time: its clock moves when somebody waits for it."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

from pytest_perfgate.load import Client, Completion


class SimulatedServer(Client):
    """One server that takes requests in the order in which they were sent.

    Args:
        service: seconds of each request.
        stall: begin and end of a time in which it begins nothing, in seconds of its clock.
        loop: seconds that the sender is kept away at each call of `poll`.
    """

    def __init__(
        self, service: float, stall: tuple[float, float] = (0.0, 0.0), loop: float = 0.0
    ) -> None:
        self._time = 0.0
        self._service, self._stall, self._loop = service, stall, loop
        self._free = 0.0
        self._ends: list[tuple[float, int]] = []
        self.abandoned: list[int] = []

    def now(self) -> float:
        """Seconds of the simulation."""
        return self._time

    def send(self, number: int) -> bool:
        """Takes its place in the queue."""
        begin = max(self._time, self._free)
        if self._stall[0] <= begin < self._stall[1]:
            begin = self._stall[1]
        self._free = begin + self._service
        heapq.heappush(self._ends, (self._free, number))
        return True

    def poll(self, until: float) -> Sequence[Completion]:
        """Lets the time pass to the next end, or to `until`."""
        self._time = max(self._time, min(until, self._ends[0][0] if self._ends else until))
        self._time += self._loop
        ended = []
        while self._ends and self._ends[0][0] <= self._time:
            at, number = heapq.heappop(self._ends)
            ended.append(Completion(number, at, answer=b""))
        return ended

    def abandon(self, number: int) -> None:
        """Notes that nobody waits for it."""
        self.abandoned.append(number)

    def outputs(self, number: int, answer: Any) -> tuple[Any, ...]:  # noqa: ARG002 - none
        """There are none."""
        return ()
