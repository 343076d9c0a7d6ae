"""How a process shares its core, and how it stops to."""

from __future__ import annotations

import os

import pytest
from pytest_perfgate.machine.processes import Forked
from pytest_perfgate.machine.scheduling import hand_over_in_order, run_when_due


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="classes of Linux")
def test_who_sends_at_fixed_times_does_not_wait_for_others_slices() -> None:
    """It leaves the batch class, which an arm inherits from its launch, and stays out of it."""
    reads, writes = os.pipe()

    def classes() -> None:
        orderly = hand_over_in_order()
        before = os.sched_getscheduler(0)
        run_when_due()
        os.write(writes, bytes([orderly, before, os.sched_getscheduler(0)]))

    child = Forked(classes, [reads])
    os.close(writes)
    assert child.wait() == 0
    orderly, before, after = os.read(reads, 3)
    os.close(reads)
    assert after == os.SCHED_OTHER
    assert not orderly or before == os.SCHED_BATCH
