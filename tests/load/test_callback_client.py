"""The client of a library that calls back: whose answer a late one is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pytest_perfgate.load.callback_client import CallbackClient


class Calls:
    """A library whose calls end when a test says so."""

    def __init__(self) -> None:
        self.done: list[Callable[[Any, Any], None]] = []
        self.cancelled: list[int] = []
        self.client = CallbackClient(self.start, lambda _, result: (result,), lambda: None)

    def start(self, number: int, done: Callable[[Any, Any], None]) -> Callable[[], object]:
        """Keeps what is to be called."""
        self.done.append(done)
        return lambda: self.cancelled.append(number)

    def answers(self) -> list[Any]:
        """Numbers and answers of what `poll` shows by now."""
        return [(one.number, one.answer) for one in self.client.poll(time.perf_counter())]


def test_a_late_answer_is_not_that_of_the_next_run() -> None:
    """Numbers begin at 0 again: an abandoned call is cancelled, and never heard."""
    calls = Calls()
    calls.client.send(0)
    calls.client.abandon(0)
    assert calls.cancelled == [0]
    calls.client.send(0)
    calls.done[0]("of the first run", None)
    assert calls.answers() == []
    calls.done[1]("of the second run", None)
    assert calls.answers() == [(0, "of the second run")]
    calls.done[1]("twice", None)
    assert calls.answers() == []


def test_a_number_that_is_sent_again_waits_for_its_own_answer() -> None:
    """Also where the run before it gave no number up, and where an answer waits to be heard."""
    calls = Calls()
    calls.client.send(0)
    calls.done[0]("of the first run", None)
    calls.client.send(0)
    assert calls.answers() == []
    start = time.perf_counter()
    assert calls.client.poll(start + 0.02) == []
    assert time.perf_counter() >= start + 0.02
    assert calls.cancelled == [0]


def test_a_call_that_cannot_be_started_has_an_error() -> None:
    """In the library's words."""

    def refuses(*_: Any) -> Any:
        raise ValueError("no channel")

    client = CallbackClient(refuses, lambda *_: (), lambda: None)
    client.send(3)
    (ended,) = client.poll(time.perf_counter())
    assert (ended.number, ended.error) == (3, "no channel")
