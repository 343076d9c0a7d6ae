"""The open loop: requests leave at their scheduled times, whatever has come back by then."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_perfgate.load import Client, Completion
from pytest_perfgate.load.load_run import Floats, LoadRun

_AHEAD = 0.002  # seconds from the call to time 0, for the loop to be there before the first arrival
_BURST = 8  # requests that are sent before answers are heard
_MOST_KEPT = 64 * 2**20  # bytes of answers that are kept to be decoded after the run


@dataclass
class Watch:
    """What ends a run early, since nothing that follows could change what it shows.

    Args:
        limit: seconds of latency above which a request is slow; so is one that failed.
        enough_slow: slow requests that end the run.
        lag: seconds of lag above which a request was sent late.
        enough_late: late requests that end the run.

    Attributes:
        slow: slow requests up to now.
        late: late requests up to now.
    """

    limit: float
    enough_slow: int
    lag: float
    enough_late: int
    slow: int = 0
    late: int = 0

    @property
    def is_slow(self) -> bool:
        """Whether enough requests were slow."""
        return self.slow >= self.enough_slow

    @property
    def is_late(self) -> bool:
        """Whether enough requests were late."""
        return self.late >= self.enough_late


def run_open_loop(
    schedule: Floats, client: Client, timeout: float, watch: Watch | None = None
) -> LoadRun:
    """Sends a request at each scheduled time, and waits for all answers. It ends at the latest
    `timeout` after the last request was sent.

    Args:
        schedule: (n,), seconds, ascending.
        client: sends the requests by their numbers, 0 to n - 1.
        timeout: seconds after which a request without an answer failed.
        watch: ends it early: requests that were not sent by then have no times, and those without
            an answer are abandoned.

    Raises:
        ValueError: there is no request, or times do not ascend.
    """
    count = len(schedule)
    if not count or np.any(np.diff(schedule) < 0) or not np.isfinite(schedule).all():
        raise ValueError("a schedule needs a time at least, and they must ascend")
    record = _Record(client, count, timeout)
    arrivals = (schedule + record.start).tolist()
    following = 0
    while following < count or record.waiting:
        if watch is not None and record.is_over(watch, arrivals):
            break
        # Those that are due by now, a few at a time: answers free the connections for the next.
        for _ in range(_BURST):
            if following == count or arrivals[following] > client.now():
                break
            if not record.send(following):
                break
            following += 1
        until = record.deadline()
        if following < count:
            until = min(until, arrivals[following])
        record.note(client.poll(until))
        record.give_up()
    if watch is not None:
        record.is_over(watch, arrivals)  # counts the last ones
    return record.result(np.asarray(schedule, dtype=np.float64))


def run_closed_loop(count: int, client: Client, timeout: float) -> LoadRun:
    """Sends each request when the one before it has ended, as single-stream and multi-stream do: a
    request is scheduled when the one before it ends.

    Raises:
        ValueError: there is no request.
    """
    if count < 1:
        raise ValueError("a run needs a request at least")
    record = _Record(client, count, timeout)
    due = record.start
    scheduled = np.empty(count)
    while client.now() < due:
        client.poll(due)
    for number in range(count):
        scheduled[number] = due - record.start
        while not record.send(number):
            record.note(client.poll(client.now()))
        while record.waiting:
            record.note(client.poll(record.deadline()))
            record.give_up()
        due = client.now()
    return record.result(scheduled)


class _Record:
    """What happens in a run: times by `Client.now`, until the result counts them from `start`."""

    def __init__(self, client: Client, count: int, timeout: float) -> None:
        self.start = client.now() + _AHEAD
        self.waiting: dict[int, float] = {}  # deadlines by number, in the order of sending
        self._client = client
        self._timeout = timeout
        self._sent = [float("nan")] * count
        self._done = [float("nan")] * count
        self._errors: dict[int, str] = {}
        self._answers: dict[int, Any] = {}
        self._kept = 0
        self._order: deque[int] = deque()
        self._ended: list[int] = []  # requests that ended since they were counted
        self._watched_sent = 0

    def send(self, number: int) -> bool:
        """Sends a request, and notes when; False: the client cannot send it yet."""
        at = self._client.now()
        if not self._client.send(number):
            return False
        self._sent[number] = at
        self.waiting[number] = at + self._timeout
        self._order.append(number)
        return True

    def deadline(self) -> float:
        """When the oldest request without an answer has failed; inf without any."""
        while self._order and self._order[0] not in self.waiting:
            self._order.popleft()
        return self.waiting[self._order[0]] if self._order else float("inf")

    def note(self, completions: Any) -> None:
        """Notes the end of requests; of one that was given up nothing is noted."""
        for completion in completions:
            self._note(completion)

    def _note(self, completion: Completion) -> None:
        number = completion.number
        if self.waiting.pop(number, None) is None:
            return
        self._done[number] = completion.at
        self._ended.append(number)
        if completion.error:
            self._errors[number] = completion.error
        elif self._kept < _MOST_KEPT:
            self._answers[number] = completion.answer
            self._kept += _size(completion.answer)

    def give_up(self) -> None:
        """Fails the requests whose time is over."""
        now = self._client.now()
        while (oldest := self.deadline()) <= now:
            number = self._order.popleft()
            del self.waiting[number]
            self._client.abandon(number)
            self._ended.append(number)
            self._errors[number] = f"no answer within {oldest - self._sent[number]:.3g} s"

    def is_over(self, watch: Watch, arrivals: list[float]) -> bool:
        """Counts what happened since the last call; whether it is enough. Then nothing is waited
        for any more.
        """
        while self._watched_sent < len(arrivals):
            number = self._watched_sent
            if math.isnan(self._sent[number]):
                break
            watch.late += self._sent[number] - arrivals[number] > watch.lag
            self._watched_sent += 1
        for number in self._ended:
            failed = number in self._errors
            watch.slow += failed or self._done[number] - arrivals[number] > watch.limit
        self._ended.clear()
        if not (watch.is_slow or watch.is_late):
            return False
        for number in self.waiting:
            self._client.abandon(number)
        self.waiting.clear()
        return True

    def result(self, scheduled: Floats) -> LoadRun:
        """The run, in seconds from its begin."""
        return LoadRun(
            scheduled=scheduled,
            sent=np.array(self._sent) - self.start,
            done=np.array(self._done) - self.start,
            timeout=self._timeout,
            errors=self._errors,
            answers=self._answers,
        )


def _size(answer: Any) -> int:
    try:
        return len(answer)
    except TypeError:
        return 0
