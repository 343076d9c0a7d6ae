"""Known inputs beside fresh ones: a neighbour on the core is not taken for a cache of answers."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor

import pytest
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.machine.run_queue import seconds_waited_here
from pytest_perfgate.machine.scheduling import hand_over_in_order
from pytest_perfgate.workloads import turn_times
from pytest_perfgate.workloads.turn_times import TurnTimes
from pytest_perfgate.workloads.varied_images import EVALUATED, REPEATED, ROUNDS

TURNS = range(4 * ROUNDS)


def concluded(monkeypatch: pytest.MonkeyPatch, fresh: float, waited: float) -> None:
    """A launch whose known inputs take 4 ms, in each turn of which the threads waited so many
    seconds for a core.
    """
    clock = itertools.count()
    monkeypatch.setattr(turn_times, "seconds_waited_here", lambda: next(clock) * waited)
    times = TurnTimes()
    for number in TURNS:
        kind = number % ROUNDS
        for again in range(2 if kind == REPEATED else 1):
            times.begin()
            known = kind == EVALUATED or again
            times.note(number, 0.004 if known else fresh)
    times.conclude()


@pytest.mark.parametrize(("fresh", "waited"), [(0.02, 0.0), (0.02, 0.009), (0.009, 0.0)])
def test_known_inputs_that_are_faster_are_answers_that_were_kept(
    monkeypatch: pytest.MonkeyPatch, fresh: float, waited: float
) -> None:
    """Beside another program too: fresh inputs take longer without what they waited for."""
    with pytest.raises(RuntimeFault, match="answers are kept by their inputs"):
        concluded(monkeypatch, fresh, waited)


@pytest.mark.parametrize(("fresh", "waited"), [(0.02, 0.013), (0.009, 0.002), (0.007, 0.0)])
def test_fresh_inputs_that_wait_for_a_core_accuse_nobody(
    monkeypatch: pytest.MonkeyPatch, fresh: float, waited: float
) -> None:
    """Their time is their neighbours', whichever turns these hit."""
    concluded(monkeypatch, fresh, waited)


def _busy(core: int, stop: float) -> None:
    os.sched_setaffinity(0, {core})
    while time.monotonic() < stop:
        pass


def _beside_a_neighbour(core: int, orderly: bool, seconds: float) -> float:
    """The largest share of half a second that this process waited for the core that it shares."""
    if orderly:
        hand_over_in_order()  # its neighbour inherits the class and the slice
    neighbour = multiprocessing.get_context("spawn").Process(
        target=_busy, args=(core, time.monotonic() + seconds)
    )
    neighbour.start()
    os.sched_setaffinity(0, {core})
    most = 0.0
    try:
        # The neighbour takes a while to start: the first half second that it shares decides.
        while neighbour.is_alive() and most < 0.2:
            began, before = time.monotonic(), seconds_waited_here()
            while time.monotonic() < began + 0.5:
                pass
            most = max(most, (seconds_waited_here() - before) / (time.monotonic() - began))
    finally:
        neighbour.kill()
        neighbour.join()
    return most


@pytest.mark.parametrize("orderly", [False, True])
def test_the_kernel_counts_what_a_neighbour_takes(orderly: bool) -> None:
    """Two programs on one core wait for each other, also with the long slices of arms."""
    core = min(os.sched_getaffinity(0))
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        share = pool.submit(_beside_a_neighbour, core, orderly, 20.0).result()
    assert share >= 0.2
