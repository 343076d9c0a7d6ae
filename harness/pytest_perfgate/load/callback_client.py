"""Requests through a library that calls back from threads of its own, as gRPC does."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any

from pytest_perfgate.load import Client, Completion

_WORDS = 300  # characters of an error that are quoted


class CallbackClient(Client):
    """Starts calls, and hears from them.

    Args:
        start: begins the call of a number, and comes back at once; it calls its second argument
            with the result and the error, one of which is None, when the call has ended.
        decode: the outputs of a result; a request's number comes first.
        close: closes the connection.
    """

    def __init__(
        self,
        start: Callable[[int, Callable[[Any, Any], None]], None],
        decode: Callable[[int, Any], tuple[Any, ...]],
        close: Callable[[], object],
    ) -> None:
        self._start = start
        self._decode = decode
        self._close = close
        self._ended: SimpleQueue[Completion] = SimpleQueue()

    def now(self) -> float:
        """See `Client.now`."""
        return time.perf_counter()

    def send(self, number: int) -> bool:
        """See `Client.send`."""

        def done(result: Any, error: Any) -> None:
            at = time.perf_counter()
            words = "" if error is None else str(error)[:_WORDS] or type(error).__name__
            self._ended.put(Completion(number, at, words, result))

        try:
            self._start(number, done)
        except Exception as error:  # noqa: BLE001 - whatever the library raises
            done(None, error)
        return True

    def poll(self, until: float) -> Sequence[Completion]:
        """See `Client.poll`."""
        ended = []
        left = until - self.now()
        try:
            ended.append(self._ended.get(timeout=left) if left > 0 else self._ended.get_nowait())
            while True:
                ended.append(self._ended.get_nowait())
        except Empty:
            return ended

    def abandon(self, number: int) -> None:  # noqa: ARG002 - its own timeout ends it
        """See `Client.abandon`."""
        return

    def outputs(self, number: int, answer: Any) -> tuple[Any, ...]:
        """See `Client.outputs`."""
        return self._decode(number, answer)

    def close(self) -> None:
        """See `Client.close`."""
        self._close()
