"""Requests through a library that calls back from threads of its own, as gRPC does."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any

from pytest_perfgate.load import WORDS, Client, Completion


class CallbackClient(Client):
    """Starts calls, and hears from them.

    Args:
        start: begins the call of a number, and comes back at once with what cancels it; it calls
            its second argument with the result and the error, one of which is None, when the call
            has ended.
        decode: the outputs of a result; a request's number comes first.
        close: closes the connection.
        hide: an error's words without credentials, applied before they are cut.
    """

    def __init__(
        self,
        start: Callable[[int, Callable[[Any, Any], None]], Callable[[], object]],
        decode: Callable[[int, Any], tuple[Any, ...]],
        close: Callable[[], object],
        hide: Callable[[str], str] = str,
    ) -> None:
        self._start = start
        self._decode = decode
        self._close = close
        self._hide = hide
        # Numbers begin at 0 in each run, and a call of one run may end in the next: a call is
        # known by a token, and the current one of its number alone is heard.
        self._ended: SimpleQueue[tuple[object, Completion]] = SimpleQueue()
        self._tokens: dict[int, object] = {}
        self._cancels: dict[int, Callable[[], object]] = {}

    def now(self) -> float:
        """See `Client.now`."""
        return time.perf_counter()

    def send(self, number: int) -> bool:
        """See `Client.send`."""
        self.abandon(number)
        token = self._tokens[number] = object()

        def done(result: Any, error: Any) -> None:
            at = time.perf_counter()
            words = ""
            if error is not None:
                words = self._hide(str(error))[:WORDS] or type(error).__name__
            self._ended.put((token, Completion(number, at, words, result)))

        try:
            self._cancels[number] = self._start(number, done)
        except Exception as error:  # noqa: BLE001 - whatever the library raises
            done(None, error)
        return True

    def poll(self, until: float) -> Sequence[Completion]:
        """See `Client.poll`."""
        ended: list[Completion] = []
        try:
            while True:
                left = 0.0 if ended else until - self.now()
                token, completion = self._ended.get(block=left > 0, timeout=max(left, 0.0))
                number = completion.number
                if self._tokens.get(number) is token:
                    del self._tokens[number]
                    self._cancels.pop(number, None)
                    ended.append(completion)
        except Empty:
            return ended

    def abandon(self, number: int) -> None:
        """See `Client.abandon`: its call is cancelled."""
        self._tokens.pop(number, None)
        cancel = self._cancels.pop(number, None)
        if cancel is not None:
            cancel()

    def outputs(self, number: int, answer: Any) -> tuple[Any, ...]:
        """See `Client.outputs`."""
        return self._decode(number, answer)

    def close(self) -> None:
        """See `Client.close`."""
        self._close()
