"""Rows on their way to Parquet files: a bounded number of them, written every so often."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_perfgate.live import log_rows
from pytest_perfgate.live.open_metrics import OpenMetrics
from pytest_perfgate.plain_text import encodable, without_secrets
from pytest_perfgate.stats.image_statistics import NAMES, statistics

NAME_LENGTH = 200
"""Characters of an image's name, at most."""
_WAKES = 0.5  # seconds between two looks at the sampled requests


@dataclass
class Sample:
    """One sampled request: what its row is made of.

    Attributes:
        pixels: of the image, on a grid; None: there is no picture.
        size: its height and width.
        scores: class to score; None: they were not read.
        requests, errors: of all requests since the sample before, this one included.
    """

    pixels: Any = None
    size: tuple[int, int] = (0, 0)
    image: str = ""
    time: float = 0.0
    latency: float | None = None
    error: str = ""
    scores: dict[str, float] | None = None
    requests: int = 0
    errors: int = 0


class RowLog:
    """Takes samples from any thread, and writes them as rows from a thread of its own.

    `most` samples and as many rows wait at the most; the oldest is dropped for a new one, and what
    it counted goes to the next. An error is counted and raised nowhere.
    """

    def __init__(
        self, folder: Path, identity: dict[str, str], metrics: OpenMetrics, every: float, most: int
    ) -> None:
        from pytest_perfgate.history.engine import connect

        # Here, and not in the thread: imports hold the interpreter for as long as 50 ms.
        self._connect: Callable[[], Any] = lambda: connect("the monitor", "live", threads=1)
        self._connect().close()
        self._folder, self._metrics = folder, metrics
        self._identity, self._every, self._most = identity, every, most
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._samples: deque[Sample] = deque()
        self._rows: deque[dict[str, Any]] = deque()
        self._requests = self._errors = 0
        self._monitor = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._written = time.monotonic()

    def after_fork(self) -> None:
        """In a child process: rows that the parent has are the parent's to write."""
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._begin()

    def count(self, *, error: bool) -> None:
        """Counts a request."""
        with self._lock:
            self._requests += 1
            self._errors += error

    def add(self, sample: Sample) -> None:
        """Takes a sample of a request that was counted."""
        with self._lock:
            sample.requests, self._requests = self._requests, 0
            sample.errors, self._errors = self._errors, 0
            self._samples.append(sample)
            if len(self._samples) > self._most:
                oldest = self._samples.popleft()
                self._samples[0].requests += oldest.requests
                self._samples[0].errors += oldest.errors
                self._metrics.rows("dropped", 1)
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._run, name="perfgate-live", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        stop = self._stop
        while not stop.wait(_WAKES):
            self.flush(due=True)

    def flush(self, *, due: bool = False, last: bool = False) -> None:
        """Makes rows of the samples, and writes them; with `due` only when it is time to, with
        `last` the requests that no sample stands for too.
        """
        with self._writing:
            try:
                self._take(last)
                if self._rows and (not due or self._is_due()):
                    self._write()
            except Exception:  # noqa: BLE001 - a monitor ends no program; it counts
                self._metrics.own_error("rows")

    def _is_due(self) -> bool:
        late = time.monotonic() - self._written >= self._every
        return late or len(self._rows) >= self._most // 2

    def _take(self, last: bool) -> None:
        with self._lock:
            samples, self._samples = self._samples, deque()
            if last and self._requests:
                rest = Sample(time=time.time(), requests=self._requests, errors=self._errors)
                self._requests = self._errors = 0
                samples.append(rest)
        for sample in samples:
            try:
                self._rows.append(self._row(sample))
            except Exception:  # noqa: BLE001 - one odd sample loses no other
                self._metrics.own_error("rows")
                with self._lock:
                    self._requests += sample.requests
                    self._errors += sample.errors
        while len(self._rows) > self._most:
            oldest = self._rows.popleft()
            self._metrics.rows("dropped", 1)
            self._rows[0]["requests"] += oldest["requests"]
            self._rows[0]["errors"] += oldest["errors"]

    def _row(self, sample: Sample) -> dict[str, Any]:
        row: dict[str, Any] = dict(self._identity)
        if sample.pixels is not None:
            for name, value in zip(NAMES, statistics(sample.pixels, sample.size), strict=True):
                row[name] = float(value)
                self._metrics.input(name, float(value))
        scores = sample.scores
        for name, score in (scores or {}).items():
            self._metrics.score(name, score)
        return row | {
            "time": datetime.fromtimestamp(sample.time, UTC).replace(tzinfo=None).isoformat(),
            "monitor": self._monitor,
            "image": without_secrets(encodable(sample.image))[:NAME_LENGTH] or None,
            "requests": sample.requests,
            "errors": sample.errors,
            "latency": sample.latency,
            "error": sample.error or None,
            "classes": None if scores is None else [encodable(name) for name in scores],
            "scores": None if scores is None else list(scores.values()),
        }

    def _write(self) -> None:
        """Writes all rows; they stay for the next time where that fails."""
        self._written = time.monotonic()
        self._folder.mkdir(parents=True, exist_ok=True)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        file = self._folder / f"{stamp}-{self._monitor}-{secrets.token_hex(4)}.parquet"
        with contextlib.closing(self._connect()) as engine:
            log_rows.write(engine, list(self._rows), file)
        self._metrics.rows("written", len(self._rows))
        self._rows.clear()

    def close(self) -> None:
        """Ends the thread and writes what is left; may be called again."""
        with self._lock:
            self._stop.set()
            thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=10)
        self.flush(last=True)
