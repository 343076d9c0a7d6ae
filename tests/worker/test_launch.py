"""A launch on this machine, without a suite: identical arms, and what it says of the machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from pytest_perfgate.machine.conditions import Conditions
from pytest_perfgate.machine.cores import usable_cores
from pytest_perfgate.measure.worker_environment import worker_env
from pytest_perfgate.measure.worker_pool import Ended, Job, Pool
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.worker.protocol import (
    ArmFailed,
    ArmMeasured,
    ArmSpec,
    LaunchConditions,
    LaunchJob,
    LaunchPlan,
    Message,
)


def messages(
    folder: Path,
    labels: Sequence[str],
    rounds: int = 12,
    blocks: tuple[tuple[str, ...], ...] = (),
    *,
    ahead: bool = True,
    longest: int = 1,
) -> list[Message]:
    """All messages of a launch whose arms do the yardstick's work; one block if none given."""
    work = LaunchJob(
        index=4,
        cores=tuple(usable_cores()[:1]),
        preload=("numpy",),
        separate=False,
        arms=tuple(ArmSpec(label, sys.executable) for label in labels),
        ahead=ahead,
        silence=60.0,
        logs=folder,
    )
    plan = LaunchPlan(
        blocks=blocks or (tuple(labels),),
        rounds=rounds,
        batches=(),
        seconds=20.0,
        started=0.0,
        longest=longest,
    )
    received: list[Message] = []
    with Pool(1, folder) as pool:
        # Started ahead of its arms, as a session does.
        pool.hold(Job("test", work, folder, worker_env(1), 60.0))
        for _, event in pool.release(plan):
            if isinstance(event, Ended):
                assert event.problem == "", event
            else:
                received.append(event)
    return received


def launches(received: Sequence[Message]) -> dict[str, Launch]:
    """What was measured, by arm."""
    return {event.label: event.launch for event in received if isinstance(event, ArmMeasured)}


def conditions(received: Sequence[Message]) -> Conditions:
    """Those of the one launch."""
    (message,) = [event for event in received if isinstance(event, LaunchConditions)]
    return message.conditions


def test_arms_of_the_yardstick_may_have_any_name_and_need_no_suite(tmp_path: Path) -> None:
    """Two of them are measured, up to the longest that the plan names, and one message has the
    conditions of their rounds.
    """
    received = messages(tmp_path, ("a0", "b0"), longest=4)
    measured = launches(received)
    assert sorted(measured) == ["a0", "b0"]
    # The fifth launch goes on with the images where the fourth ended.
    assert all(launch.rounds == tuple(range(48, 60)) for launch in measured.values())
    assert all(len(launch.inference) == 12 for launch in measured.values())
    assert all(launch.device == () for launch in measured.values())  # there is none
    assert all(launch.values.keys() == {"pieces_4"} for launch in measured.values())
    assert all(len(launch.values["pieces_4"]) == 12 for launch in measured.values())
    found = conditions(received)
    assert (found.index, found.cores) == (4, tuple(usable_cores()[:1]))
    assert found.seconds


def test_an_arm_tells_what_traces_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `sitecustomize` that sets a profiler, as instrumenting programs bring one by PYTHONPATH:
    the launch says whose it is, in every arm. Without it there is nothing to say.
    """
    for site, expected in (("", ()), (str(tmp_path), ("sitecustomize (sys.setprofile)",))):
        if site:
            (tmp_path / "sitecustomize.py").write_text(
                "import sys\ndef profiler(*_): pass\nsys.setprofile(profiler)\n"
            )
            monkeypatch.setenv("PYTHONPATH", site)
        received = messages(tmp_path, ("a0",), 4)
        assert [event.instruments for event in received if isinstance(event, ArmMeasured)] == [
            expected
        ]


def test_an_arm_of_two_blocks_shares_rounds_with_the_arms_of_each(tmp_path: Path) -> None:
    """`b` takes turns beside `a` and beside `c`, which never meet."""
    measured = launches(messages(tmp_path, "abc", 8, (("a", "b"), ("b", "c"))))
    a, b, c = (set(measured[name].rounds) for name in "abc")
    assert (len(a), len(b), len(c)) == (8, 16, 8)
    assert a | c == b
    assert not a & c
    assert measured["b"].rounds == tuple(sorted(measured["b"].rounds))


@pytest.mark.parametrize("ahead", [True, False])
def test_an_arm_that_is_not_asked_for_any_more_leaves(tmp_path: Path, ahead: bool) -> None:
    """It may have been loaded ahead, when it was still undecided."""
    received = messages(tmp_path, "abc", 4, (("a", "c"),), ahead=ahead)
    assert sorted(launches(received)) == ["a", "c"]
    assert not [event for event in received if isinstance(event, ArmFailed)]


@pytest.mark.alone
@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="the kernel has no batch class")
def test_arms_do_not_wait_for_each_other_in_the_middle_of_their_time(tmp_path: Path) -> None:
    """Handing over takes little: two arms that preempt each other wait for half of the time, and
    the best of up to eight launches stays far below that.

    What else runs on the core makes arms wait too, and never less: a launch beside it can only
    show that arms do not wait. Rounds last longer than half a second, below which the share of
    others is not measured.
    """
    waits = []
    for _ in range(8):
        observed = conditions(messages(tmp_path, "ab", 200))
        if observed.waited is None:
            pytest.skip("the kernel keeps no schedstat")
        if observed.waited < 0.3:
            return
        assert observed.others is not None
        if observed.others < 0.1:
            waits.append(observed.waited)
    if not waits:
        pytest.skip("other programs used more than a tenth of the core in every launch")
    pytest.fail(f"the arms waited for {min(waits):.0%} of their time")
