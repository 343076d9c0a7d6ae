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
_MOST_WAITED = 0.5
"""Of a fresh input's time in which threads waited for a core, beyond which it says nothing. How
often the core was taken away says less: arms ask for long slices (`machine.scheduling`), and a
neighbour that starts from them takes the core ten times a second."""


class TurnTimes:
    """The turns of a launch, and how long other programs had the core in them.

    Known inputs are accused by their whole time, which waiting makes longer, and fresh ones are
    compared without the time that their threads waited, so that no neighbour looks like a cache.
    """

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
        waited = max(0.0, seconds_waited_here() - self._waited)  # a thread that ended took its own
        if kind == EVALUATED:
            self._known.append(seconds)
        elif kind == REPEATED:
            if repeated:
                self._repeated.append(seconds)
        elif waited <= _MOST_WAITED * seconds:
            self._fresh.append(seconds - waited)

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
