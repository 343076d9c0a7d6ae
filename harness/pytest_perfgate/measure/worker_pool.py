"""The wall: worker processes, seen from the pytest process.

A worker is one exec'd Python process in a process group of its own, with a keeper between: the end
of the worker is the end of all that it started. It reads one job and sends messages
(`worker.protocol`) until it ends. Whatever else it or its frameworks print goes to a log
file, whose end is quoted when the worker dies: its last words.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_perfgate.machine.piped_process import PipedProcess
from pytest_perfgate.machine.pipes import UnknownMessage
from pytest_perfgate.machine.processes import last_words, obituary
from pytest_perfgate.measure.worker_environment import inherited
from pytest_perfgate.worker.protocol import (
    JOBS,
    MESSAGES,
    PLANS,
    LaunchPlan,
    Message,
    Work,
    worker_command,
)

_POLL = 0.5  # seconds between looks at workers that say nothing


@dataclass(frozen=True)
class Job:
    """One piece of work for one worker.

    Attributes:
        name: what it is for, shown to people.
        work: what the worker is sent.
        root: the project's root, the worker's working directory and first import path.
        env: environment variables set beside the inherited ones.
        silence: seconds without a message after which the worker counts as hung.
        python: the interpreter.
        cores: that it keeps busy.
        gpu: whether it needs a GPU.
    """

    name: str
    work: Work
    root: Path
    env: Mapping[str, str] = field(default_factory=dict)
    silence: float = 300.0
    python: str = sys.executable
    cores: int = 1
    gpu: bool = False


@dataclass(frozen=True)
class Ended:
    """How a worker ended: `problem` is "" after a clean end."""

    problem: str = ""
    last_words: str = ""
    next_step: str = ""


class _Worker(PipedProcess):
    def __init__(self, job: Job, log: Path, environ: Mapping[str, str], held: bool = False) -> None:
        self.job = job
        self.log = log
        self.closed = False  # its side of the messages
        self.quiet = 0.0  # seconds since its last message, as far as anybody listened
        super().__init__(
            lambda read, write: worker_command(job.python, read, write),
            job.root,
            inherited(environ) | dict(job.env),
            log,
        )
        self.send(JOBS.encode(job.work))
        if not held:
            self.hang_up()

    def send_plan(self, plan: LaunchPlan) -> None:
        """Sends the plan to a launch that was started ahead; it waits for no more."""
        self.quiet = 0.0
        self.send(PLANS.encode(plan))
        self.hang_up()

    def read(self) -> tuple[list[Message], bool]:
        """The messages that have arrived, and whether the worker has closed its side.

        Raises:
            UnknownMessage: it sent what is none.
        """
        lines, closed = self.messages.receive()
        if lines:
            self.quiet = 0.0
        return [MESSAGES.decode(line) for line in lines if line], closed


Event = tuple[Job, Message | Ended]


class Pool(contextlib.ExitStack):
    """Runs jobs in workers, at most `size` at once, and yields what they say.

    Use as a context manager: on the way out, whatever the reason, every worker and everything
    it started is killed.

    Args:
        size: how many workers run at once, at the most.
        logs: the folder of their logs, made where there is none.
        environ: the environment variables that workers inherit from.
    """

    def __init__(self, size: int, logs: Path, environ: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._size = size
        self._logs = logs
        self._environ = environ
        self._workers: list[_Worker] = []
        self._held: _Worker | None = None
        self._selector = self.enter_context(selectors.DefaultSelector())
        self.callback(self._kill_all)
        self._count = 0

    def __enter__(self) -> Pool:
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    def _kill_all(self) -> None:
        for worker in (*self._workers, *([self._held] if self._held else [])):
            worker.kill()
        self._workers.clear()
        self._held = None

    def run(self, jobs: Iterable[Job], tick: Callable[[], None] = lambda: None) -> Iterator[Event]:
        """Every message of every job, and one `Ended` for each; `tick` is called while waiting."""
        waiting = list(jobs)
        looked = time.monotonic()
        while waiting or self._workers:
            while waiting and len(self._workers) < self._size:
                self._add(self._start(waiting.pop(0)))
            for key, _ in self._selector.select(_POLL):
                yield from self._hear(key.data)
            # Time in which this process was stopped, or busy elsewhere, is no silence of a worker:
            # its messages lie in the pipe and are read next.
            now = time.monotonic()
            passed, looked = min(now - looked, 2 * _POLL), now
            for worker in list(self._workers):
                worker.quiet += passed
                if worker.closed and worker.process.poll() is not None:
                    yield self._ended(worker, worker.process.returncode)
                elif worker.quiet > worker.job.silence:
                    yield self._stop(
                        worker,
                        f"the worker sent no message for {worker.quiet:.0f} s and was stopped",
                        "find what hangs, or give it longer: --perf-timeout SECONDS",
                    )
            tick()

    def hold(self, job: Job) -> None:
        """Starts a launch that will wait for its plan; one at a time."""
        if self._held is None:
            self._held = self._start(job, held=True)

    def release(self, plan: LaunchPlan) -> Iterator[Event]:
        """Sends the launch that is held its plan, at once; yields as `run` does."""
        worker, self._held = self._held, None
        if worker is not None:
            worker.send_plan(plan)
            self._add(worker)
        return self.run(())

    def _start(self, job: Job, held: bool = False) -> _Worker:
        self._count += 1
        kind = type(job.work).__name__
        environ = os.environ if self._environ is None else self._environ
        return _Worker(job, self._logs / f"{self._count:04d}-{kind}.log", environ, held)

    def _add(self, worker: _Worker) -> None:
        self._workers.append(worker)
        self._selector.register(worker.messages.fd, selectors.EVENT_READ, worker)

    def _hear(self, worker: _Worker) -> Iterator[Event]:
        try:
            messages, closed = worker.read()
        except UnknownMessage as error:
            problem = f"the worker sent no valid message: {error.problem}"
            yield self._stop(worker, problem, "use one version of pytest-perfgate on both sides")
            return
        for message in messages:
            yield worker.job, message
        if closed:
            # Its exit comes next, most often at once. It is waited for a moment only: a worker that
            # has closed its pipe and lives on must meet its deadline.
            worker.closed = True
            self._selector.unregister(worker.messages.fd)
            with contextlib.suppress(subprocess.TimeoutExpired):
                yield self._ended(worker, worker.process.wait(_POLL))

    def _ended(self, worker: _Worker, code: int) -> Event:
        if code == 0:
            self._drop(worker)
            return worker.job, Ended()
        problem, next_step = obituary(code)
        return self._stop(worker, f"the worker died: {problem}", next_step)

    def _stop(self, worker: _Worker, problem: str, next_step: str) -> Event:
        ended = Ended(problem, last_words(worker.log), next_step)
        self._drop(worker)
        return worker.job, ended

    def _drop(self, worker: _Worker) -> None:
        if not worker.closed:
            self._selector.unregister(worker.messages.fd)
        self._workers.remove(worker)
        worker.kill()
