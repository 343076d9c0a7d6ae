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
from typing import Any

_LAST_WORDS = 2000  # characters of the log that are quoted
_POLL = 0.5  # seconds between looks at workers that say nothing


@dataclass(frozen=True)
class Job:
    """One piece of work for one worker.

    Attributes:
        kind: "prepare" or "launch".
        name: what it is for, shown to people.
        work: the job's plain data.
        root: the project's root, the worker's working directory and first import path.
        env: environment variables set beside the inherited ones.
        silence: seconds without a message after which the worker counts as hung.
    """

    kind: str
    name: str
    work: Mapping[str, Any]
    root: Path
    env: Mapping[str, str] = field(default_factory=dict)
    silence: float = 300.0


@dataclass(frozen=True)
class Ended:
    """How a worker ended: `problem` is "" after a clean end."""

    problem: str = ""
    last_words: str = ""
    next_step: str = ""


class _Worker:
    def __init__(self, job: Job, log: Path) -> None:
        self.job = job
        self.log = log
        job_read, job_write = os.pipe()
        self.fd, message_write = os.pipe()
        os.set_blocking(self.fd, False)
        try:
            with log.open("wb") as out:
                self.process = subprocess.Popen(
                    [
                        sys.executable,
                        "-P",
                        "-m",
                        "harness.measure.worker",
                        str(job_read),
                        str(message_write),
                        str(os.getpid()),
                    ],
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
        # A worker that dies before it has read its job is noticed when its messages end.
        with contextlib.suppress(BrokenPipeError), os.fdopen(job_write, "wb") as pipe:
            pipe.write(json.dumps({"kind": job.kind, "work": job.work}).encode())

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
        for worker in self._workers:
            worker.kill()
        self._workers.clear()
        self._selector.close()

    def run(self, jobs: Iterable[Job], tick: Callable[[], None] = lambda: None) -> Iterator[Event]:
        """Every message of every job, and one `Ended` for each; `tick` is called while waiting."""
        waiting = list(jobs)
        while waiting or self._workers:
            while waiting and len(self._workers) < self._size:
                self._start(waiting.pop(0))
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

    def _start(self, job: Job) -> None:
        self._count += 1
        worker = _Worker(job, self._logs / f"{self._count:04d}-{job.kind}.log")
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


def describe_signal(number: int) -> tuple[str, str]:
    """What a signal means for a worker that it ended, and what to do about it."""
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    if number == signal.SIGKILL:
        return (
            f"it was killed ({name}), most often by the kernel for want of memory",
            "free memory, or make the recipe smaller; `dmesg | grep -i oom` tells more",
        )
    if number in {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT}:
        return (
            f"it crashed in native code ({name})",
            "the last words show where; the versions of the frameworks are the first suspect",
        )
    return f"it was ended by {name}", ""


def _obituary(code: int, words: str) -> tuple[str, str, str]:
    if code == 0:
        return "", "", ""
    if code < 0:
        problem, next_step = describe_signal(-code)
        return f"the worker died: {problem}", words, next_step
    return f"the worker ended with exit code {code}", words, ""
