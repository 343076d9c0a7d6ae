"""Progress of a worker, as the pytest process shows it."""

from __future__ import annotations

import time

from pytest_perfgate.worker.protocol import Send, WorkProgress

_EVERY = 0.5  # seconds between messages


class SparseProgress:
    """Progress messages, not more often than a person can read."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._last = 0.0
        self._note = ""

    def __call__(self, done: int, total: int, note: str) -> None:
        """Sends it, where the last one was sent long enough ago or was of other work."""
        now = time.monotonic()
        if now - self._last < _EVERY and note == self._note:
            return
        self._last, self._note = now, note
        self._send(WorkProgress(done, total, note))
