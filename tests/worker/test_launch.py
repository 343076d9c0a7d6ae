"""A launch on this machine, without a suite: identical arms, and what it says of the machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.machine.conditions import Conditions
from pytest_perfgate.machine.cores import usable_cores
from pytest_perfgate.measure.worker_environment import worker_env
from pytest_perfgate.measure.worker_pool import Ended, Job, Pool
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.worker import protocol


def messages(
    folder: Path,
    arms: list[dict[str, str]],
    rounds: int = 12,
    blocks: list[list[str]] | None = None,
    *,
    ahead: bool = True,
) -> list[dict[str, Any]]:
    """All that a launch of these arms says, its clean end not counted; one block if none given."""
    work = {
        "index": 4,
        "cores": usable_cores()[:1],
        "preload": ["numpy"],
        "exec": False,
        "arms": [{**arm, "root": "", "images": "", "python": sys.executable} for arm in arms],
        "ahead": ahead,
        "silence": 60.0,
        "logs": str(folder),
    }
    rest = {
        "blocks": blocks or [[arm["label"] for arm in arms]],
        "rounds": rounds,
        "batches": [],
        "seconds": 20.0,
        "started": 0.0,
        "batch_size": 0,
    }
    said = []
    with Pool(1, folder) as pool:
        # Started ahead of its arms, as a session does.
        pool.hold(Job("launch", "test", work, folder, worker_env(1), 60.0))
        for _, event in pool.release(rest):
            if isinstance(event, Ended):
                assert event.problem == "", event
            else:
                said.append(event)
    return said


def test_arms_of_the_yardstick_may_have_any_name_and_need_no_suite(tmp_path: Path) -> None:
    """Two of them are measured, and one message tells the conditions of their rounds."""
    said = messages(
        tmp_path, [{"label": name, "kind": protocol.YARDSTICK_KIND} for name in ("a0", "b0")]
    )
    measured = {
        event["arm"]: Launch.model_validate(event["launch"])
        for event in said
        if event["type"] == "measured"
    }
    assert sorted(measured) == ["a0", "b0"]
    assert all(each.rounds == tuple(range(12)) for each in measured.values())
    assert all(len(each.inference) == 12 for each in measured.values())
    assert all(each.device == () for each in measured.values())  # there is none
    told = [event["conditions"] for event in said if event["type"] == "conditions"]
    found = Conditions.model_validate(told[0])
    assert len(told) == 1
    assert (found.index, found.cores) == (4, tuple(usable_cores()[:1]))
    assert found.seconds


def test_an_arm_of_two_blocks_shares_rounds_with_the_arms_of_each(tmp_path: Path) -> None:
    """`b` takes turns beside `a` and beside `c`, which never meet."""
    arms = [{"label": name, "kind": protocol.YARDSTICK_KIND} for name in "abc"]
    said = messages(tmp_path, arms, 8, [["a", "b"], ["b", "c"]])
    rounds = {
        event["arm"]: event["launch"]["rounds"] for event in said if event["type"] == "measured"
    }
    a, b, c = (set(rounds[name]) for name in "abc")
    assert (len(a), len(b), len(c)) == (8, 16, 8)
    assert a | c == b
    assert not a & c
    assert rounds["b"] == sorted(rounds["b"])


@pytest.mark.parametrize("ahead", [True, False])
def test_an_arm_that_is_not_asked_for_any_more_leaves(tmp_path: Path, ahead: bool) -> None:
    """It may have been loaded ahead, when it was still undecided."""
    arms = [{"label": name, "kind": protocol.YARDSTICK_KIND} for name in "abc"]
    said = messages(tmp_path, arms, 4, [["a", "c"]], ahead=ahead)
    assert sorted(event["arm"] for event in said if event["type"] == "measured") == ["a", "c"]
    assert not [event for event in said if event["type"] == "arm_failed"]


@pytest.mark.alone
@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="the kernel has no batch class")
def test_arms_do_not_wait_for_each_other_in_the_middle_of_their_time(tmp_path: Path) -> None:
    """Handing over takes little: two arms that preempt each other wait for half of the time, and
    the best of up to eight launches stays far below that.

    What else runs on the core makes arms wait too: such a launch says nothing of the arms.
    """
    waits = []
    for _ in range(8):
        said = messages(
            tmp_path, [{"label": each, "kind": protocol.YARDSTICK_KIND} for each in "ab"], 20
        )
        (told,) = [event["conditions"] for event in said if event["type"] == "conditions"]
        if told["waited"] is None:
            pytest.skip("the kernel keeps no schedstat")
        if (told["others"] or 0.0) < 0.1:
            waits.append(told["waited"])
        if waits and min(waits) < 0.3:
            return
    if not waits:
        pytest.skip("other programs used more than a tenth of the core in every launch")
    pytest.fail(f"the arms waited for {min(waits):.0%} of their time")
