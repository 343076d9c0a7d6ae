"""Which requests of many are looked at: so many a second, each with the same chance.

The first one of each tenth of a second would be the first of its burst, which waits for no other:
a service that answers one after the other would look as fast as one that answers all at once. So
each request is drawn, with a chance that follows from how many there were in the time before.
"""

from __future__ import annotations

import math
import random
import threading
import time


class Sampler:
    """Draws requests, from any thread.

    Args:
        rate: requests a second that are drawn at most; below 1, one in 1 / `rate` seconds.
    """

    def __init__(self, rate: float) -> None:
        self._span = max(1.0, 1.0 / rate)
        self._most = max(1, math.floor(rate * self._span + 1e-9))
        self.reset()

    def reset(self) -> None:
        """Begins anew; in a forked process, whose parent draws others."""
        self._random = random.Random()  # noqa: S311 - no secret
        self._lock = threading.Lock()
        self._begin = time.monotonic()
        self._seen = self._drawn = 0
        self._share = 1.0

    def draw(self) -> bool:
        """Whether the request that begins now is one of them."""
        now = time.monotonic()
        if now - self._begin >= self._span:
            with self._lock:
                self._turn(now)
        self._seen += 1  # of two threads at once, one may count for both
        if self._drawn >= self._most:
            return False
        if self._share < 1.0 and self._random.random() >= self._share:
            return False
        with self._lock:
            if self._drawn >= self._most:
                return False
            self._drawn += 1
        return True

    def _turn(self, now: float) -> None:
        """The next span begins: its requests are taken to be as many as those of the one before."""
        passed = now - self._begin
        if passed < self._span:  # another thread was here first
            return
        # Fewer than may be: where these are all drawn, the last ones of a burst have no chance.
        wanted = max(0.5 * self._most, self._most - math.sqrt(self._most))
        self._share = min(1.0, wanted / max(1, self._seen))
        self._begin, self._seen, self._drawn = now, 0, 0
