"""A launch's hold on its arms: it starts them, asks them for turns, hears them, and ends them.

An arm is forked from the launch's parent, or, when two interpreters are compared, a program of its
own. The parent never opens a device, and forks no arm once it has: each opens it for itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_perfgate.machine.cuda_context import refuse_opened
from pytest_perfgate.machine.parent_death import die_with
from pytest_perfgate.runtimes import on_device
from pytest_perfgate.worker.arm import STAGES, TURN, answer, serve
from pytest_perfgate.worker.protocol import Send, describe_signal, failure, worker_command

_LAST_WORDS = 2000


@dataclass
class HeldArm:
    """The parent's hold on one arm."""

    label: str
    kind: str
    pid: int
    turns: int
    answers: int
    log: Path
    load_time: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    columns: tuple[str, ...] = STAGES
    processes: tuple[int, ...] = ()
    rounds: list[int] = field(default_factory=list)
    times: list[tuple[float, ...]] = field(default_factory=list)
    batches: list[float] = field(default_factory=list)
    energies: list[float] = field(default_factory=list)
    peak_memory: int | None = None
    device_memory_allocator: int | None = None
    device_memory_process: int | None = None

    @property
    def pids(self) -> tuple[int, ...]:
        """Its process, and those that it works in besides."""
        return (self.pid, *self.processes)

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
    """An arm ended, or did not answer in time; its message says how."""

    def __init__(self, message: dict[str, Any]) -> None:
        super().__init__(message["problem"])
        self.message = message


def ask(arm: HeldArm, turn: bytes, number: int = 0) -> None:
    """Asks for a turn; the arm's end, if it has ended, is told by what it answers."""
    with contextlib.suppress(BrokenPipeError):
        os.write(arm.turns, TURN.pack(turn, number))


def take_turn(arm: HeldArm, turn: bytes, number: int, silence: float) -> tuple[float, ...]:
    """What a turn gave, see `pytest_perfgate.worker.arm.answer`.

    Raises:
        ArmDied: it ended, or did not answer within `silence` seconds.
    """
    ask(arm, turn, number)
    packed, data = answer(len(arm.columns)), b""
    while len(data) < packed.size:
        data += _read(arm, packed.size - len(data), silence)
    return packed.unpack(data)


def hear_ready(arm: HeldArm, silence: float) -> None:
    """Waits until the arm has loaded what it measures.

    Raises:
        ArmDied: it ended, or did not answer within `silence` seconds.
    """
    message = hear_line(arm, silence)
    if message["type"] == "failed":
        raise ArmDied(message)
    arm.load_time, arm.facts = message["load_time"], message["facts"]
    arm.columns = tuple(message.get("columns", STAGES))  # an older program's arm has but those
    arm.processes = tuple(message.get("processes", ()))


def hear_line(arm: HeldArm, silence: float) -> dict[str, Any]:
    """The arm's next line.

    Raises:
        ArmDied: it ended, or did not answer within `silence` seconds.
    """
    data = b""
    while not data.endswith(b"\n"):
        data += _read(arm, 1 << 16, silence)
    message: dict[str, Any] = json.loads(data)
    return message


def _read(arm: HeldArm, size: int, silence: float) -> bytes:
    ready, _, _ = select.select([arm.answers], [], [], silence)
    if not ready:
        raise ArmDied(
            {
                "type": "failed",
                "problem": f"the arm did not answer for {silence:.0f} s and was stopped",
                "last_words": _words(arm),
                "next_step": "find what hangs, or give it longer: --perf-timeout SECONDS",
            }
        )
    chunk = os.read(arm.answers, size)
    if not chunk:
        raise ArmDied(_obituary(arm))
    if chunk.startswith(b'{"type": "failed"'):  # raised in its turn, where times were awaited
        while not chunk.endswith(b"\n"):
            chunk += os.read(arm.answers, 1 << 16)
        raise ArmDied(json.loads(chunk))
    return chunk


@contextlib.contextmanager
def failing(arm: HeldArm, live: list[HeldArm], send: Send) -> Iterator[None]:
    """An arm that dies leaves the launch; the others go on."""
    try:
        yield
    except ArmDied as died:
        if arm in live:
            live.remove(arm)
        end_arm(arm)
        message = dict(died.message)
        if not message.get("last_words"):
            message["last_words"] = _words(arm)
        send({**message, "type": "arm_failed", "arm": arm.label})


def fork_arm(
    arm: dict[str, Any], images: dict[str, list[Any]], logs: str, live: Sequence[HeldArm]
) -> HeldArm:
    """An arm forked from this process; `live` are those that were before.

    Raises:
        RuntimeFault: this process has opened a device.
    """
    refuse_opened()
    turns_read, turns_write = os.pipe()
    answers_read, answers_write = os.pipe()
    log = _log_file(logs)
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            die_with(parent)
            os.close(turns_write)
            os.close(answers_read)
            for other in live:  # else an arm would not notice that the launch has ended
                os.close(other.turns)
                os.close(other.answers)
            out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(out, 1)
            os.dup2(out, 2)
            try:
                serve(arm, images.get(arm["images"], []), turns_read, answers_write)
                status = 0
            except Exception as error:  # noqa: BLE001 - whatever an arm raises ends this arm only
                traceback.print_exc()
                os.write(answers_write, json.dumps(failure(error)).encode() + b"\n")
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)
    os.close(turns_read)
    os.close(answers_write)
    return HeldArm(arm["label"], arm["kind"], pid, turns_write, answers_read, log)


def exec_arm(arm: dict[str, Any], work: dict[str, Any]) -> HeldArm:
    """An arm as a program of its own, run by the interpreter of its version of the code."""
    turns_read, turns_write = os.pipe()
    answers_read, answers_write = os.pipe()
    job_read, job_write = os.pipe()
    log = _log_file(work["logs"])
    job = {"arm": arm, "turns": turns_read, "preload": work["preload"]}
    with log.open("wb") as out:
        process = subprocess.Popen(
            worker_command(arm["python"], job_read, answers_write),
            cwd=arm["root"] or None,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            pass_fds=(job_read, turns_read, answers_write),
        )
    for fd in (job_read, turns_read, answers_write):
        os.close(fd)
    with contextlib.suppress(BrokenPipeError), os.fdopen(job_write, "wb") as pipe:
        pipe.write(json.dumps({"kind": "arm", "work": job}).encode() + b"\n")
    return HeldArm(arm["label"], arm["kind"], process.pid, turns_write, answers_read, log)


def _log_file(logs: str) -> Path:
    return Path(logs) / f"arm-{os.getpid()}-{time.monotonic_ns()}.log"


def end_arm(arm: HeldArm) -> None:
    """Kills an arm and closes its pipes."""
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(arm.pid, signal.SIGKILL)
        os.waitpid(arm.pid, 0)
    for fd in (arm.turns, arm.answers):
        with contextlib.suppress(OSError):
            os.close(fd)


def _obituary(arm: HeldArm) -> dict[str, Any]:
    problem, next_step = "it ended without a word", ""
    with contextlib.suppress(ChildProcessError):
        _, status = os.waitpid(arm.pid, 0)
        if os.WIFSIGNALED(status):
            problem, next_step = describe_signal(os.WTERMSIG(status))
        else:
            problem = f"it ended with exit code {os.waitstatus_to_exitcode(status)}"
    return {
        "type": "failed",
        "problem": f"the arm died while it was measured: {problem}",
        "last_words": _words(arm),
        "next_step": next_step,
    }


def _words(arm: HeldArm) -> str:
    with contextlib.suppress(OSError):
        text = arm.log.read_text(errors="replace").strip()
        return text if len(text) <= _LAST_WORDS else "… " + text[-_LAST_WORDS:]
    return ""
