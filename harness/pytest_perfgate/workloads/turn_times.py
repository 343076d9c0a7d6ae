"""Times of turns with inputs that a runtime knows, beside those of inputs that it has not seen."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.machine.run_queue import seconds_waited_here
from pytest_perfgate.workloads.varied_images import EVALUATED, REPEATED, ROUNDS

_FEWEST_REPEATED, _FEWEST_FRESH = 2, 4  # turns before their times are compared
_FASTER = 0.5  # of the time of a fresh input: less for one that is known needs no inference
_MOST_WAITED = 0.1
"""Seconds that a turn's threads waited for a core, beside those of its inference, beyond which its
time is not the inference's. How often the core was taken away says less: arms ask for long slices
(`machine.scheduling`), and a neighbour that starts from them takes the core ten times a second."""


class TurnTimes:
    """The turns of a launch, less those in which other programs had the core."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._waited = 0.0
        self._fresh: list[float] = []
        self._repeated: list[float] = []
        self._known: list[float] = []

    def begin(self) -> None:
        """A turn begins."""
        self._waited = seconds_waited_here()

    def note(self, number: int, seconds: float) -> None:
        """The turn of that number is over; its inference took so many `seconds`."""
        repeated, self._last = number == self._last, number
        kind = number % ROUNDS
        if seconds_waited_here() - self._waited > _MOST_WAITED * seconds:
            return  # beside other programs it takes several times as long, whatever is known
        if kind == EVALUATED:
            self._known.append(seconds)
        elif kind != REPEATED:
            self._fresh.append(seconds)
        elif repeated:
            self._repeated.append(seconds)

    def conclude(self) -> None:
        """Looks at all turns.

        Raises:
            RuntimeFault: known inputs are answered without an inference.
        """
        for times, which in (
            (self._repeated, "an input that it has just seen"),
            (self._known, "an input that it was evaluated with"),
        ):
            self._refuse_faster(times, which)

    def _refuse_faster(self, times: Sequence[float], which: str) -> None:
        """Check that a known input takes as long as a fresh one."""
        if len(times) < _FEWEST_REPEATED or len(self._fresh) < _FEWEST_FRESH:
            return
        # Three quarters of the known ones, beside the fastest fresh one: other programs on the core
        # make turns longer, and those at the end of a visit more often, but none shorter.
        slow = sorted(times)[math.ceil(0.75 * (len(times) - 1))]
        if slow < _FASTER * min(self._fresh):
            known, fresh = statistics.median(times), statistics.median(self._fresh)
            raise RuntimeFault(
                f"{which} takes {known * 1e3:.3g} ms, and one that it has not seen "
                f"{fresh * 1e3:.3g} ms: answers are kept by their inputs",
                next_step="remove the cache of answers; users' images come once",
            )
