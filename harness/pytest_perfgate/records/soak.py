"""What a long run of requests to a server showed, window by window."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pydantic import Field

from pytest_perfgate.frozen import Frozen

SOAK_MEMORY, SOAK_ERRORS, SOAK_DRIFT = "soak_memory_growth", "soak_errors", "soak_latency_drift"
SOAK_METRICS = frozenset({SOAK_MEMORY, SOAK_ERRORS, SOAK_DRIFT})

WARM_UP = 4
"""The first windows: caches fill in them, so that they count for errors alone."""

FEWEST = 24
"""Windows of a run at least, the warm-up included."""

_PAGE = 4096
_LEAST_DRIFT = 0.005  # standard deviation of a ratio of two windows that agree better


class SoakWindow(Frozen):
    """A part of the run.

    Attributes:
        begin: seconds since the run's begin.
        requests, errors: sent and failed.
        p50, p99: latency in seconds; None: the load generator was late, or the window has too few
            requests for the percentile.
        memory: bytes that the server held at its end; None: unknown.
    """

    begin: float
    requests: int
    errors: int
    p50: float | None = None
    p99: float | None = None
    memory: int | None = None


class Soak(Frozen):
    """A long run.

    Attributes:
        seconds: its length.
        windows: equally long parts of it, in order.
        words: of the first request that failed; "": none did.
    """

    seconds: float
    windows: tuple[SoakWindow, ...] = Field(min_length=WARM_UP + 4)
    words: str = ""

    @property
    def errors(self) -> int:
        """Requests that failed, in all windows."""
        return sum(window.errors for window in self.windows)

    @property
    def late(self) -> int:
        """Windows in which the load generator was late."""
        return sum(window.p50 is None for window in self.windows)

    @property
    def growths(self) -> tuple[float, ...] | None:
        """Bytes per 1,000 requests that each window behind the warm-up added; None: unknown."""
        kept = self.windows[WARM_UP - 1 :]
        sizes = [window.memory for window in kept]
        if None in sizes:
            return None
        return tuple(
            1000.0 * ((after.memory or 0) - (before.memory or 0)) / after.requests
            for before, after in itertools.pairwise(kept)
        )

    @property
    def drifts(self) -> tuple[float, ...] | None:
        """Median latency of each window of the second half over that of the one that lies half the
        run before it, the warm-up left out; None: half of these were not measured, or more.
        """
        kept = self.windows[WARM_UP:]
        half = len(kept) // 2
        ratios = [
            after.p50 / before.p50
            for before, after in zip(kept[:half], kept[-half:], strict=True)
            if before.p50 and after.p50
        ]
        return tuple(ratios) if len(ratios) > max(1, half // 2) else None

    def why_not(self, metric: str) -> str:
        """Why a metric of the run has no value; what to do behind "; ". "": nothing is known."""
        if metric == SOAK_DRIFT and self.drifts is None:
            return (
                f"{self.late} of {len(self.windows)} windows have no latency, since the load "
                "generator was late itself; give it a core of its own, lower the rate, or find "
                "what else runs: pytest-perfgate doctor"
            )
        if metric == SOAK_MEMORY and self.growths is None:
            return (
                "the size of the server is not known in every window; let the session start the "
                "server: runtime.start"
            )
        return ""

    def sample(self, metric: str) -> tuple[Sequence[float], float] | None:
        """The windows' values of a metric and the least standard deviation that they are taken to
        have; None: not measured.
        """
        if metric == SOAK_DRIFT:
            return None if self.drifts is None else (self.drifts, _LEAST_DRIFT)
        # The last window's size, a page more or less, is all that one of them may add by chance.
        fewest = min(window.requests for window in self.windows)
        return None if self.growths is None else (self.growths, _PAGE * 1000.0 / fewest)
