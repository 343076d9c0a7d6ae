"""Known inputs beside fresh ones: a neighbour on the core is not taken for a cache of answers."""

from __future__ import annotations

import multiprocessing
import os
import time

import pytest
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.workloads import turn_times
from pytest_perfgate.workloads.turn_times import TurnTimes, involuntary_switches
from pytest_perfgate.workloads.varied_images import EVALUATED, REPEATED, ROUNDS

TURNS = range(4 * ROUNDS)


def concluded(monkeypatch: pytest.MonkeyPatch, away: int) -> None:
    """A launch whose known inputs take 4 ms and fresh ones 20 ms, in each of which the kernel took
    the core away so often.
    """
    switches = iter(range(0, 10**6, away)) if away else iter([0] * 1000)
    monkeypatch.setattr(turn_times, "involuntary_switches", lambda: next(switches))
    times = TurnTimes()
    for number in TURNS:
        kind = number % ROUNDS
        for again in range(2 if kind == REPEATED else 1):
            times.begin()
            known = kind == EVALUATED or again
            times.note(number, 0.004 if known else 0.02)
    times.conclude()


def test_known_inputs_that_are_faster_are_answers_that_were_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing else had the core."""
    with pytest.raises(RuntimeFault, match="answers are kept by their inputs"):
        concluded(monkeypatch, away=0)


def test_turns_in_which_others_had_the_core_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their times are of the neighbours, whichever turns these hit."""
    concluded(monkeypatch, away=1)


def _busy(core: int, stop: float) -> None:
    os.sched_setaffinity(0, {core})
    while time.monotonic() < stop:
        pass


def _switches(seconds: float) -> int:
    first, end = involuntary_switches(), time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return involuntary_switches() - first


def test_the_kernel_counts_what_a_neighbour_takes() -> None:
    """Two programs on one core change places more often than the limit says."""
    core = min(os.sched_getaffinity(0))
    before = os.sched_getaffinity(0)
    neighbour = multiprocessing.get_context("spawn").Process(
        target=_busy, args=(core, time.monotonic() + 20)
    )
    neighbour.start()
    try:
        os.sched_setaffinity(0, {core})
        # The neighbour takes a while to start: the first half second that it shares decides.
        assert any(_switches(0.5) > 12 for _ in range(30))
    finally:
        os.sched_setaffinity(0, before)
        neighbour.kill()
        neighbour.join()
