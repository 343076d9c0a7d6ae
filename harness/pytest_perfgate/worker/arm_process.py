"""A launch's hold on its arms: it starts them, asks them for turns, hears them, and ends them.

An arm is forked from the launch's parent, or, when two interpreters are compared, a program of its
own. The parent never opens a device, and forks no arm once it has: each opens it for itself.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import traceback
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_perfgate.machine.cuda_context import refuse_opened
from pytest_perfgate.machine.pipes import PipeClosed, PipeReader, PipeSilent, write_whole
from pytest_perfgate.machine.processes import Forked, last_words, obituary
from pytest_perfgate.records.launch import RateRun
from pytest_perfgate.runtimes import on_device
from pytest_perfgate.worker.arm import TIMES, TURN, answer, serve
from pytest_perfgate.worker.arm_messages import ARM_MESSAGES, ArmFinished, ArmMessage, ArmReady
from pytest_perfgate.worker.failures import failure
from pytest_perfgate.worker.protocol import (
    JOBS,
    ArmFailed,
    ArmJob,
    ArmSpec,
    Failed,
    LaunchJob,
    Send,
    worker_command,
)
from pytest_perfgate.worker.visits import STAGES


@dataclass
class HeldArm:
    """The parent's hold on one arm.

    Attributes:
        turns: descriptor of the pipe that turns leave by.
        answers: the pipe that its answers arrive by.
        batch_size: images in one of its batches.
        fixed_batch: the only batch that its artifact takes; 0: any.
        pace: seconds of its fastest turn before the rounds.
        runs: timed turns of a launch, see `Workload.runs`.
        cores_yardstick: whether it is that of the cores.
        rounds, times: number and values of each timed turn.
        paired, pairs: requests of a turn that is compared, and the times of each such turn; empty
            where it was not measured.
    """

    label: str
    process: Forked | subprocess.Popen[bytes]
    turns: int
    answers: PipeReader
    log: Path
    batch_size: int = 0
    fixed_batch: int = 0
    cores_yardstick: bool = False
    pace: float = 0.0
    runs: int = 0
    load_time: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    columns: tuple[str, ...] = STAGES
    processes: tuple[int, ...] = ()
    rounds: list[int] = field(default_factory=list)
    times: list[tuple[float, ...]] = field(default_factory=list)
    paired: int = 0
    pairs: list[tuple[float, ...]] = field(default_factory=list)
    batches: list[float] = field(default_factory=list)
    energies: list[float] = field(default_factory=list)
    resident: int | None = None
    device_memory_allocator: int | None = None
    device_memory_process: int | None = None
    instruments: tuple[str, ...] = ()
    unmeasured: dict[str, str] = field(default_factory=dict)
    repeated: tuple[int, str] = (0, "")
    rates: tuple[RateRun, ...] = ()

    @property
    def pids(self) -> tuple[int, ...]:
        """Its process, and those that it works in besides."""
        return (self.process.pid, *self.processes)

    @property
    def on_device(self) -> bool:
        """Whether its runtime says that it used a device that NVML knows."""
        return on_device(self.facts)

    def leave_out(self, rounds: Collection[int]) -> None:
        """Forgets these rounds."""
        kept = [at for at, number in enumerate(self.rounds) if number not in rounds]
        self.rounds = [self.rounds[at] for at in kept]
        self.times = [self.times[at] for at in kept]


class ArmDied(Exception):
    """An arm ended, or did not answer in time."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.problem)
        self.failed = failed


def ask(arm: HeldArm, turn: bytes, number: int = 0) -> None:
    """Asks for a turn; an arm that has ended is noticed when its answer is read."""
    with contextlib.suppress(BrokenPipeError):
        write_whole(arm.turns, TURN.pack(turn, number))


def take_turn(arm: HeldArm, turn: bytes, number: int, silence: float) -> tuple[float, ...]:
    """The values of a turn, see `pytest_perfgate.worker.arm.answer`.

    Raises:
        ArmDied: it ended, failed, or did not answer within `silence` seconds.
    """
    ask(arm, turn, number)
    packed = answer(max(len(arm.columns), arm.paired))
    with _heard(arm, silence):
        data = arm.answers.frame(packed.size, TIMES, silence)
        if data is not None:
            _, *values = packed.unpack(data)
            return tuple(values)
        raise ArmDied(_failed(ARM_MESSAGES.decode(arm.answers.line(silence))))


def hear_ready(arm: HeldArm, silence: float) -> None:
    """Waits until the arm has loaded what it measures.

    Raises:
        ArmDied: it ended, failed, or did not answer within `silence` seconds.
    """
    message = _message(arm, silence)
    if not isinstance(message, ArmReady):
        raise ArmDied(_failed(message))
    arm.load_time, arm.facts = message.load_time, message.facts
    arm.columns, arm.processes, arm.pace = message.columns, message.processes, message.pace
    arm.fixed_batch, arm.runs, arm.paired = message.fixed_batch, message.runs, message.paired


def finish(arm: HeldArm, turn: bytes, silence: float) -> ArmFinished:
    """Asks the arm to finish, and waits for its last line.

    Raises:
        ArmDied: it ended, failed, or did not answer within `silence` seconds.
    """
    ask(arm, turn)
    message = _message(arm, silence)
    if not isinstance(message, ArmFinished):
        raise ArmDied(_failed(message))
    return message


def _message(arm: HeldArm, silence: float) -> ArmMessage:
    with _heard(arm, silence):
        return ARM_MESSAGES.decode(arm.answers.line(silence))


def _failed(message: ArmMessage) -> Failed:
    if isinstance(message, Failed):
        return message
    return Failed(f"the arm sent {type(message).__name__} out of turn")


@contextlib.contextmanager
def _heard(arm: HeldArm, silence: float) -> Iterator[None]:
    """Turns the end and the silence of a pipe into those of its arm."""
    try:
        yield
    except PipeSilent:
        raise ArmDied(
            Failed(
                f"the arm did not answer for {silence:.0f} s and was stopped",
                "find what hangs, or give it longer: --perf-timeout SECONDS",
            )
        ) from None
    except PipeClosed:
        problem, next_step = obituary(arm.process.wait())
        raise ArmDied(Failed(f"the arm died while it was measured: {problem}", next_step)) from None


@contextlib.contextmanager
def failing(arm: HeldArm, live: list[HeldArm], send: Send) -> Iterator[None]:
    """An arm that dies leaves the launch; the others go on."""
    try:
        yield
    except ArmDied as died:
        if arm in live:
            live.remove(arm)
        end_arm(arm)
        failed = died.failed
        if not failed.last_words:
            failed = replace(failed, last_words=last_words(arm.log))
        send(ArmFailed(arm.label, failed))


def fork_arm(arm: ArmSpec, images: list[Any], logs: Path, live: Sequence[HeldArm]) -> HeldArm:
    """An arm forked from this process, with the images that it infers; `live` are those that were
    before.

    Raises:
        RuntimeFault: this process has opened a device.
    """
    # A CUDA context does not survive a fork: the child's first call fails, or hangs.
    refuse_opened()
    turns_read, turns_write = os.pipe()
    answers_read, answers_write = os.pipe()
    log = _log_file(logs)

    def body() -> None:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        try:
            serve(arm, images, turns_read, answers_write)
        except Exception as error:
            failed = failure(error)
            if failed.last_words:
                traceback.print_exc()
            write_whole(answers_write, ARM_MESSAGES.encode(failed))
            raise

    # An arm that held its elders' ends would keep them waiting for turns after the launch has died.
    elders = [fd for other in live for fd in (other.turns, other.answers.fd)]
    process = Forked(body, [turns_write, answers_read, *elders])
    os.close(turns_read)
    os.close(answers_write)
    return _held(arm, process, turns_write, answers_read, log)


def exec_arm(arm: ArmSpec, launch: LaunchJob) -> HeldArm:
    """An arm as a program of its own, run by the interpreter of its version of the code."""
    turns_read, turns_write = os.pipe()
    answers_read, answers_write = os.pipe()
    job_read, job_write = os.pipe()
    log = _log_file(launch.logs)
    with log.open("wb") as out:
        process = subprocess.Popen(
            worker_command(arm.python, job_read, answers_write, keeper=False),
            cwd=arm.work.root if arm.work else None,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            pass_fds=(job_read, turns_read, answers_write),
        )
    # With a copy of its own left open here, the end of the arm would never show in the pipe.
    for fd in (job_read, turns_read, answers_write):
        os.close(fd)
    with contextlib.suppress(BrokenPipeError):
        write_whole(job_write, JOBS.encode(ArmJob(arm, turns_read, launch.preload)))
    os.close(job_write)
    return _held(arm, process, turns_write, answers_read, log)


def _held(
    arm: ArmSpec, process: Forked | subprocess.Popen[bytes], turns: int, answers: int, log: Path
) -> HeldArm:
    of_cores = arm.work is None and not arm.gpu
    batch = arm.work.suite.batch if arm.work else 0  # at its own version of the suite
    return HeldArm(
        arm.label,
        process,
        turns,
        PipeReader(answers),
        log,
        batch_size=batch,
        cores_yardstick=of_cores,
    )


def _log_file(logs: Path) -> Path:
    return logs / f"arm-{os.getpid()}-{time.monotonic_ns()}.log"


def end_arm(arm: HeldArm) -> None:
    """Kills an arm and closes its pipes."""
    arm.process.kill()
    arm.process.wait()
    if arm.turns >= 0:
        os.close(arm.turns)
        arm.turns = -1
    arm.answers.close()
