"""An arm's side of a launch: one process that waits for its turn, runs, and says how long.

It is forked from the launch's parent, or, when two interpreters are compared, a program of its own.
Turns arrive as a few bytes on a pipe; what they took leaves as packed doubles. Nothing of this is
inside the timed region. An arm imports the suite's code itself, at its own version: the parent
never does.
"""

from __future__ import annotations

import contextlib
import math
import os
import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pytest_perfgate.building.import_path import enter
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.machine.cache_folders import cache_of_job
from pytest_perfgate.machine.cores import usable_cores
from pytest_perfgate.machine.instrumentation import instruments
from pytest_perfgate.machine.pipes import write_whole
from pytest_perfgate.worker.arm_messages import ARM_MESSAGES, ArmFinished, ArmMessage, ArmReady
from pytest_perfgate.worker.protocol import ArmSpec
from pytest_perfgate.worker.visits import (
    DeviceYardstickVisit,
    MemoryVisit,
    RecipeVisit,
    Visit,
    YardstickVisit,
)

SAMPLE, PAIR, BATCH, ENERGY, FINISH = b"s", b"p", b"b", b"e", b"f"

TURN = struct.Struct("<cI")
"""What an arm is asked for: one of the above, and the number of the image to begin with; for
`ENERGY` how many milliseconds to run. It is shorter than PIPE_BUF: one write, one read.
"""

TIMES = b"="
"""The first byte of an answer with times. A line begins with the name of its type instead: an
error that is raised in a turn arrives where times are awaited."""


def answer(columns: int) -> struct.Struct:
    """The answer of an arm whose samples have so many columns: `TIMES`, then doubles; NaN: not
    measured. A batch fills only the first double; `ENERGY` the first with its seconds, and the
    second with the number of inferences in them.
    """
    return struct.Struct(f"<c{max(2, columns)}d")


def serve(arm: ArmSpec, images: Sequence[Any], turns: int, answers: int) -> None:
    """Opens what the arm measures, says so, and then takes turns until told to finish.

    Sends an `ArmReady`, an `answer` per `TURN`, and an `ArmFinished` at the end.

    Args:
        arm: what it is.
        images: decoded, uint8 (H, W, 3) each.
        turns: descriptor of the pipe that turns arrive by.
        answers: descriptor of the pipe that answers leave by.
    """
    _stay_on(arm.cores)
    if arm.work is not None:
        # The launch's parent imports nothing of the project: modules are those of this arm's root.
        os.chdir(arm.work.root)
        enter(arm.work.suite)
    # In a process that takes no timed turn: a hook inside every open would be timed with them.
    watch = Watch(arm.work.root, cache_of_job()) if arm.memory and arm.work else None
    visit = _visit(arm, images)
    _say(
        answers,
        ArmReady(
            visit.load_time,
            visit.facts,
            tuple(visit.columns),
            tuple(visit.processes),
            visit.pace,
            visit.fixed_batch,
            visit.runs,
            visit.paired,
        ),
    )
    wide = max(len(visit.columns), visit.paired)
    packed, width = answer(wide), max(2, wide)

    def give(values: Sequence[float]) -> None:
        write_whole(answers, packed.pack(TIMES, *values, *[math.nan] * (width - len(values))))

    while True:
        # The arm sleeps here while others have their turns; nothing polls, nothing spins.
        request = os.read(turns, TURN.size)
        if not request:
            return  # the launch has ended
        turn, number = TURN.unpack(request)
        if turn == SAMPLE:
            give(visit.sample(number))
        elif turn == PAIR:
            give(visit.latencies(number))
        elif turn == BATCH:
            give([visit.batch()])
        elif turn == ENERGY:
            give(visit.inferences(number / 1e3))
        else:
            break
    finished = ArmFinished(
        visit.peak_memory(),
        visit.peak_device_memory(),
        instruments(),
        visit.unmeasured(),
        visit.peak_server_memory(),
        visit.repeated(),
        tuple(visit.rates()),
    )
    visit.conclude()
    if watch is not None and not visit.processes:  # what others of its processes read is not known
        finished = replace(finished, read=watch.names())
    _say(answers, finished)


def _visit(arm: ArmSpec, images: Sequence[Any]) -> Visit:
    if arm.work is not None:
        return (MemoryVisit if arm.memory else RecipeVisit)(arm.work, images)
    return DeviceYardstickVisit(arm.gpu) if arm.gpu else YardstickVisit()


def _stay_on(width: int | None) -> None:
    """Keeps to the first cores of the launch: others of its arms may work on more."""
    if width and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, usable_cores()[:width])


def _say(answers: int, message: ArmMessage) -> None:
    with contextlib.suppress(BrokenPipeError):  # the launch has ended: the next read tells it
        write_whole(answers, ARM_MESSAGES.encode(message))
