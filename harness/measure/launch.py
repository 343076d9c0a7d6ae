"""The "launch" job: one fresh parent process whose forked arms take turns on the same cores.

The parent imports the frameworks once; the arms share its pages, its allocator settings and its
cores, so that what differs between them is what is measured. It imports nothing of the project:
each arm does so itself, at its own version of the code.

Arms that are compared with each other make a *block*: they take turns at every single inference,
so that what disturbs one disturbs the other. A round is one timed turn of every arm of a block, in
random order. A launch visits its blocks again and again, some rounds at a time; the first turn of a
visit is not timed, because the blocks before it have left the caches to it, and how many they are
must not matter. An arm may be in several blocks.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import random
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.measure.arm import BATCH, FINISH, SAMPLE, TIMES, TURN, serve
from harness.measure.sensors import Sensors
from harness.measure.wall import describe_signal, worker_command
from harness.measure.worker import Send, die_with, failure
from harness.record import Launch

_LAST_WORDS = 2000

ROUNDS = 4
"""Rounds of a visit, after the turn that is not timed."""

_FEW_VISITS = 2  # of every block, however slow its arms are


@dataclass
class _Arm:
    """The parent's hold on one arm."""

    label: str
    kind: str
    pid: int
    turns: int
    answers: int
    log: Path
    load_time: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    rounds: list[int] = field(default_factory=list)
    times: list[tuple[float, ...]] = field(default_factory=list)
    batches: list[float] = field(default_factory=list)
    peak_memory: int | None = None


class _ArmDied(Exception):
    """An arm ended, or did not answer in time; its message says how."""

    def __init__(self, message: dict[str, Any]) -> None:
        super().__init__(message["problem"])
        self.message = message


def launch(work: dict[str, Any], more: Callable[[], dict[str, Any]], send: Send) -> None:
    """Measures arms for some rounds. It is started ahead of its time, while another launch
    measures on other cores: `more` waits for the rest of its work, and until then the frameworks
    are imported and, where `ahead` says so, the arms loaded.

    Sends one "measured" or "arm_failed" per arm, and one "conditions". Keys of `work`: index,
    cores (list), preload, exec, arms, ahead, silence, logs. Of what `more` returns: blocks (lists
    of labels; an arm in none of them leaves), rounds (of a block), batches (labels), seconds,
    started, batch_size. Of an arm: label, kind, root, images (a file), python, and what `serve`
    asks for.
    """
    if work["cores"] and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, work["cores"])
    orderly = _hand_over_in_order()
    if not work["exec"]:  # arms that are programs of their own import for themselves
        preload(work["preload"])
    order = random.Random(work["index"])  # noqa: S311 - an order of turns, nothing secret
    live: list[_Arm] = []
    try:
        if not work["ahead"]:
            work = work | more()
            asked = _labels(work)
            work["arms"] = [arm for arm in work["arms"] if arm["label"] in asked]
        files = {arm["images"] for arm in work["arms"] if arm["images"]}
        images = {file: read_images(file) for file in files}
        # In an order of its own in every launch: whoever comes first may get the better memory.
        for arm in order.sample(work["arms"], len(work["arms"])):
            # One after the other: loading beside a neighbour would be measured with it.
            started = _exec(arm, work) if work["exec"] else _fork(arm, images, work["logs"], live)
            live.append(started)
            with _failing(started, live, send):
                _hear_ready(started, work["silence"])
                send({"type": "progress", "done": 0, "total": 0, "note": f"{arm['label']} loaded"})
        if work["ahead"]:
            work = work | more()
            asked = _labels(work)
            for each in [each for each in live if each.label not in asked]:
                live.remove(each)
                _end(each)
        sensors = Sensors(work["cores"], [each.pid for each in live], orderly=orderly)
        _take_turns(live, work, order, send, sensors)
        seen = sensors.stop(work["index"])
        send({"type": "conditions", "conditions": seen.model_dump(mode="json")})
        for each in list(live):
            with _failing(each, live, send):
                _ask(each, FINISH)
                each.peak_memory = _line(each, work["silence"])["peak_memory"]
        for each in live:
            send(_measured(each, work))
    finally:
        for each in live:
            _end(each)


def _labels(work: dict[str, Any]) -> set[str]:
    return {label for block in work["blocks"] for label in block}


def preload(modules: Sequence[str]) -> None:
    """Imports frameworks; the arm that needs a missing one will say so."""
    for name in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def read_images(file: str) -> list[Any]:
    """Images that a "prepare" job wrote: uint8 (H, W, 3) each."""
    import numpy as np

    with np.load(file, allow_pickle=False) as stored:
        return [stored[name] for name in stored.files]


def _hand_over_in_order() -> bool:
    """Arranges that this process and its arms do not interrupt each other; whether it worked.

    By default the process that is woken by a write takes the core from the writer, which is then
    still to reach its own read: it does so in the middle of the next arm's time. A process of the
    kernel's batch class waits until the writer has gone to sleep (sched(7)).
    """
    if not hasattr(os, "SCHED_BATCH"):
        return False
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    return os.sched_getscheduler(0) == os.SCHED_BATCH


def _take_turns(
    live: list[_Arm], work: dict[str, Any], order: random.Random, send: Send, sensors: Sensors
) -> None:
    start = time.monotonic()
    blocks: list[list[str]] = work["blocks"]
    visits = math.ceil(work["rounds"] / ROUNDS)
    first = 0
    for number in range(visits):
        if number >= _FEW_VISITS and time.monotonic() - start > work["seconds"]:
            break
        for block in order.sample(blocks, len(blocks)):
            _visit([arm for arm in live if arm.label in block], live, first, work, order, send)
            first += ROUNDS
        sensors.look()
        send({"type": "progress", "done": number + 1, "total": visits, "note": "visits"})
    for arm in order.sample(live, len(live)):
        if arm.label in work["batches"]:  # however few the rounds were: what is asked for
            with _failing(arm, live, send):
                arm.batches.append(_turn(arm, BATCH, 0, work["silence"])[0])


def _visit(
    block: list[_Arm],
    live: list[_Arm],
    first: int,
    work: dict[str, Any],
    order: random.Random,
    send: Send,
) -> None:
    """A turn of each arm that is not timed, and then the rounds from number `first` on."""
    for turn in range(ROUNDS + 1):
        number = first + max(0, turn - 1)
        for arm in order.sample(block, len(block)):
            if arm not in live:
                continue
            with _failing(arm, live, send):
                times = _turn(arm, SAMPLE, number, work["silence"])
                if turn:
                    arm.rounds.append(number)
                    arm.times.append(times)


def _ask(arm: _Arm, turn: bytes, number: int = 0) -> None:
    with contextlib.suppress(BrokenPipeError):  # its end is told by what it answers
        os.write(arm.turns, TURN.pack(turn, number))


def _turn(arm: _Arm, turn: bytes, number: int, silence: float) -> tuple[float, ...]:
    _ask(arm, turn, number)
    data = b""
    while len(data) < TIMES.size:
        data += _read(arm, TIMES.size - len(data), silence)
    return TIMES.unpack(data)


def _hear_ready(arm: _Arm, silence: float) -> None:
    message = _line(arm, silence)
    if message["type"] == "failed":
        raise _ArmDied(message)
    arm.load_time, arm.facts = message["load_time"], message["facts"]


def _line(arm: _Arm, silence: float) -> dict[str, Any]:
    data = b""
    while not data.endswith(b"\n"):
        data += _read(arm, 1 << 16, silence)
    message: dict[str, Any] = json.loads(data)
    return message


def _read(arm: _Arm, size: int, silence: float) -> bytes:
    ready, _, _ = select.select([arm.answers], [], [], silence)
    if not ready:
        raise _ArmDied(
            {
                "type": "failed",
                "problem": f"the arm did not answer for {silence:.0f} s and was stopped",
                "last_words": _words(arm),
                "next_step": "find what hangs, or give it longer: --perf-timeout SECONDS",
            }
        )
    chunk = os.read(arm.answers, size)
    if not chunk:
        raise _ArmDied(_obituary(arm))
    if chunk.startswith(b'{"type": "failed"'):  # raised in its turn, where times were awaited
        while not chunk.endswith(b"\n"):
            chunk += os.read(arm.answers, 1 << 16)
        raise _ArmDied(json.loads(chunk))
    return chunk


@contextlib.contextmanager
def _failing(arm: _Arm, live: list[_Arm], send: Send) -> Any:
    """An arm that dies leaves the launch; the others go on."""
    try:
        yield
    except _ArmDied as died:
        if arm in live:
            live.remove(arm)
        _end(arm)
        message = dict(died.message)
        if not message.get("last_words"):
            message["last_words"] = _words(arm)
        send({**message, "type": "arm_failed", "arm": arm.label})


def _fork(
    arm: dict[str, Any], images: dict[str, list[Any]], logs: str, live: Sequence[_Arm]
) -> _Arm:
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
    return _Arm(arm["label"], arm["kind"], pid, turns_write, answers_read, log)


def _exec(arm: dict[str, Any], work: dict[str, Any]) -> _Arm:
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
    return _Arm(arm["label"], arm["kind"], process.pid, turns_write, answers_read, log)


def run_arm(work: dict[str, Any], answers: int) -> None:
    """The "arm" job: what `_exec` started, up to the end of its launch."""
    arm = work["arm"]
    preload(work["preload"])
    images = read_images(arm["images"]) if arm["images"] else []
    serve(arm, images, work["turns"], answers)


def _log_file(logs: str) -> Path:
    return Path(logs) / f"arm-{os.getpid()}-{time.monotonic_ns()}.log"


def _end(arm: _Arm) -> None:
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(arm.pid, signal.SIGKILL)
        os.waitpid(arm.pid, 0)
    for fd in (arm.turns, arm.answers):
        with contextlib.suppress(OSError):
            os.close(fd)


def _obituary(arm: _Arm) -> dict[str, Any]:
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


def _words(arm: _Arm) -> str:
    with contextlib.suppress(OSError):
        text = arm.log.read_text(errors="replace").strip()
        return text if len(text) <= _LAST_WORDS else "… " + text[-_LAST_WORDS:]
    return ""


def _measured(arm: _Arm, work: dict[str, Any]) -> dict[str, Any]:
    def column(index: int) -> tuple[float, ...]:
        return tuple(float(f"{row[index]:.6g}") for row in arm.times)

    measured = Launch(
        index=work["index"],
        core=work["cores"][0] if work["cores"] else -1,
        started=work["started"],
        load_time=float(f"{arm.load_time:.6g}"),
        preprocess=column(0),
        inference=column(1),
        postprocess=column(2),
        batches=tuple(float(f"{seconds:.6g}") for seconds in arm.batches),
        batch_size=work["batch_size"],
        rounds=tuple(arm.rounds),
        peak_memory=arm.peak_memory,
    )
    return {
        "type": "measured",
        "arm": arm.label,
        "launch": measured.model_dump(mode="json"),
        "facts": arm.facts,
    }
