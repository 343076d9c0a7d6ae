"""The wall: worker processes, seen from the pytest process.

A worker is one exec'd Python process in a process group of its own. It reads one job (JSON) and
sends messages (a line of JSON each) until it ends. Whatever else it or its frameworks print goes
to a log file, whose end is quoted when the worker dies: its last words.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from pytest_perfgate.worker.protocol import describe_signal, worker_command

_LAST_WORDS = 2000  # characters of the log that are quoted
_POLL = 0.5  # seconds between looks at workers that say nothing


@dataclass(frozen=True)
class Job:
    """One piece of work for one worker.

    Attributes:
        kind: "prepare", "compare", "parity", "growth", "launch" or "profile".
        name: what it is for, shown to people.
        work: the job's plain data.
        root: the project's root, the worker's working directory and first import path.
        env: environment variables set beside the inherited ones.
        silence: seconds without a message after which the worker counts as hung.
        python: the interpreter.
    """

    kind: str
    name: str
    work: Mapping[str, Any]
    root: Path
    env: Mapping[str, str] = field(default_factory=dict)
    silence: float = 300.0
    python: str = sys.executable


@dataclass(frozen=True)
class Ended:
    """How a worker ended: `problem` is "" after a clean end."""

    problem: str = ""
    last_words: str = ""
    next_step: str = ""


class _Worker:
    def __init__(self, job: Job, log: Path, held: bool = False) -> None:
        self.job = job
        self.log = log
        self._pipe: BinaryIO | None = None
        job_read, job_write = os.pipe()
        self.fd, message_write = os.pipe()
        os.set_blocking(self.fd, False)
        try:
            with log.open("wb") as out:
                self.process = subprocess.Popen(
                    worker_command(job.python, job_read, message_write),
                    cwd=job.root,
                    env={**os.environ, **job.env},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    pass_fds=(job_read, message_write),
                    start_new_session=True,
                )
        except BaseException:
            os.close(job_write)
            os.close(self.fd)
            raise
        finally:
            os.close(job_read)
            os.close(message_write)
        self.heard = time.monotonic()
        self._rest = b""
        self._pipe = os.fdopen(job_write, "wb")
        self.tell({"kind": job.kind, "work": job.work}, last=not held)

    def tell(self, data: Mapping[str, Any], last: bool = True) -> None:
        """Sends a line; after the last one the worker waits for no more."""
        if self._pipe is None:
            return
        self.heard = time.monotonic()
        # A worker that dies before it has read its job is noticed when its messages end.
        with contextlib.suppress(BrokenPipeError):
            self._pipe.write(json.dumps(data).encode() + b"\n")
            self._pipe.flush()
        if last:
            self._close()

    def _close(self) -> None:
        if self._pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                self._pipe.close()
            self._pipe = None

    def read(self) -> tuple[list[dict[str, Any]], bool]:
        """The messages that have arrived, and whether the worker has closed its side."""
        closed = False
        while True:
            try:
                chunk = os.read(self.fd, 1 << 16)
            except BlockingIOError:
                break
            if not chunk:
                closed = True
                break
            self._rest += chunk
        *lines, self._rest = self._rest.split(b"\n")
        if lines:
            self.heard = time.monotonic()
        return [json.loads(line) for line in lines if line], closed

    def kill(self) -> None:
        """Ends the worker and everything it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._close()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def last_words(self) -> str:
        with contextlib.suppress(OSError):
            text = self.log.read_text(errors="replace").strip()
            return text if len(text) <= _LAST_WORDS else "… " + text[-_LAST_WORDS:]
        return ""


Event = tuple[Job, dict[str, Any] | Ended]


class Pool:
    """Runs jobs in workers, at most `size` at once, and yields what they say.

    Use as a context manager: on the way out, whatever the reason, every worker and everything
    it started is killed.
    """

    def __init__(self, size: int, logs: Path) -> None:
        self._size = size
        self._logs = logs
        self._workers: list[_Worker] = []
        self._held: _Worker | None = None
        self._selector = selectors.DefaultSelector()
        self._count = 0

    def __enter__(self) -> Pool:
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in (*self._workers, *([self._held] if self._held else [])):
            worker.kill()
        self._workers.clear()
        self._held = None
        self._selector.close()

    def run(self, jobs: Iterable[Job], tick: Callable[[], None] = lambda: None) -> Iterator[Event]:
        """Every message of every job, and one `Ended` for each; `tick` is called while waiting."""
        waiting = list(jobs)
        while waiting or self._workers:
            while waiting and len(self._workers) < self._size:
                self._add(self._start(waiting.pop(0)))
            for key, _ in self._selector.select(_POLL):
                yield from self._hear(key.data)
            for worker in list(self._workers):
                quiet = time.monotonic() - worker.heard
                if quiet > worker.job.silence:
                    words = worker.last_words()
                    self._drop(worker)
                    yield (
                        worker.job,
                        Ended(
                            f"the worker said nothing for {quiet:.0f} s and was stopped",
                            words,
                            "find what hangs, or give it longer: --perf-timeout SECONDS",
                        ),
                    )
            tick()

    def hold(self, job: Job) -> None:
        """Starts a job that will wait for the rest of its work; one at a time."""
        if self._held is None:
            self._held = self._start(job, held=True)

    def release(self, rest: Mapping[str, Any]) -> Iterator[Event]:
        """Gives the job that is held the rest of its work, at once; yields as `run` does."""
        worker, self._held = self._held, None
        if worker is not None:
            worker.tell(rest)
            self._add(worker)
        return self.run(())

    def _start(self, job: Job, held: bool = False) -> _Worker:
        self._count += 1
        return _Worker(job, self._logs / f"{self._count:04d}-{job.kind}.log", held)

    def _add(self, worker: _Worker) -> None:
        self._workers.append(worker)
        self._selector.register(worker.fd, selectors.EVENT_READ, worker)

    def _hear(self, worker: _Worker) -> Iterator[Event]:
        messages, closed = worker.read()
        for message in messages:
            yield worker.job, message
        if closed:
            code = worker.process.wait()
            words = worker.last_words()
            self._drop(worker)
            yield worker.job, Ended(*_obituary(code, words))

    def _drop(self, worker: _Worker) -> None:
        self._selector.unregister(worker.fd)
        self._workers.remove(worker)
        worker.kill()


def _obituary(code: int, words: str) -> tuple[str, str, str]:
    if code == 0:
        return "", "", ""
    if code < 0:
        problem, next_step = describe_signal(-code)
        return f"the worker died: {problem}", words, next_step
    return f"the worker ended with exit code {code}", words, ""
