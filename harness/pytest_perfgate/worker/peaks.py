"""Peak memory of a launch's arms, each in a process of its own that takes no timed turn.

The timed arms' memory is laid out for speed: huge pages, and blocks that are never given back.
What is resident of it depends on where blocks happened to lie. Here the kernel gives small pages
and takes back what is freed, and the turns are the same in every launch.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_perfgate.records.input_messages import FilesRead
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.worker.arm import BATCH, FINISH
from pytest_perfgate.worker.arm_process import (
    HeldArm,
    end_arm,
    exec_arm,
    failing,
    finish,
    fork_arm,
    hear_ready,
    take_turn,
)
from pytest_perfgate.worker.loading import read_images
from pytest_perfgate.worker.protocol import ArmSpec, LaunchJob, Send, WorkProgress


class Images(dict[Path, list[Any]]):
    """File to the decoded images in it, read when they are first asked for."""

    def __missing__(self, file: Path) -> list[Any]:
        self[file] = read_images(file)
        return self[file]


def started(spec: ArmSpec, job: LaunchJob, images: Images, live: Sequence[HeldArm]) -> HeldArm:
    """An arm of the launch, forked or as a program of its own; `live` are those before it."""
    if job.separate:
        return exec_arm(spec, job)
    # Read before the fork, once for all arms; what an arm reads for itself counts as its memory.
    shown = images[spec.work.images] if spec.work else []
    return fork_arm(spec, shown, job.logs, live)


@dataclass
class Peaks:
    """What was measured of the arms of a launch.

    Attributes:
        sizes: label to bytes.
        batched: labels of the arms that ran a batch.
        ended: labels of the arms that failed.
    """

    sizes: dict[str, int | None] = field(default_factory=dict)
    batched: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)

    def left(self, arms: Sequence[ArmSpec]) -> list[ArmSpec]:
        """The arms that have not failed."""
        return [arm for arm in arms if arm.label not in self.ended]

    def beside(self, launch: Launch, arm: HeldArm) -> Launch:
        """What a launch measured of an arm, with its peak."""
        if arm.label not in self.sizes:
            return launch
        batch = arm.batch_size if arm.label in self.batched else 0
        return launch.model_copy(update={"peak_memory": self.sizes[arm.label], "peak_batch": batch})


def measured_peaks(
    job: LaunchJob, arms: Sequence[ArmSpec], images: Images, live: list[HeldArm], send: Send
) -> Peaks:
    """The peaks that a job asks for, of these arms, one after the other. An arm that dies meanwhile
    leaves the launch.
    """
    peaks = Peaks()
    # In an order of its own in every launch: the kernel still has the pages that an elder read.
    order = random.Random(f"peaks {job.index}")  # noqa: S311 - an order of arms, nothing secret
    for spec in order.sample(arms, len(arms)):
        if spec.label not in job.peaks or spec.work is None:
            continue
        arm = started(replace(spec, memory=True), job, images, live)
        live.append(arm)
        peaks.ended.add(spec.label)
        with failing(arm, live, send):
            hear_ready(arm, job.silence)
            if arm.fixed_batch in {0, arm.batch_size}:
                seconds, *_ = take_turn(arm, BATCH, 0, job.silence)
                if not math.isnan(seconds):
                    peaks.batched.add(spec.label)
            last = finish(arm, FINISH, job.silence)
            peaks.sizes[spec.label] = last.peak_memory
            if last.read is not None:
                send(FilesRead(last.read, spec.label))
            peaks.ended.discard(spec.label)
            live.remove(arm)
            end_arm(arm)
            send(WorkProgress(0, 0, f"{spec.label}: memory measured"))
    return peaks
