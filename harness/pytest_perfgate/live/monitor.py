"""Watches a predictor in production, at a bounded cost and without ever getting in its way."""

from __future__ import annotations

import atexit
import contextlib
import functools
import inspect
import math
import os
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.live.gate_record import GateRecord
from pytest_perfgate.live.open_metrics import OpenMetrics
from pytest_perfgate.live.row_log import RowLog, Sample
from pytest_perfgate.live.sampling import Sampler
from pytest_perfgate.live.scores import scores_of
from pytest_perfgate.stats.image_statistics import grid

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_clock = time.perf_counter
_OF_THE_PROGRAM = (KeyboardInterrupt, SystemExit)
"""These end the program, and say nothing of the predictor. A request that was cancelled, by asyncio
or by closing a generator, has no answer: it failed."""


class Monitor:
    """Watches one predictor: latency, scores, inputs and errors of its requests.

    All requests are counted and timed. Of at most `rows_per_second` of them the image and the
    result are looked at, drawn from all with the same chance; each becomes a row of a Parquet file.
    An error of the monitor is counted in `perfgate_live_monitor_errors` and never
    raised. Pixels are in no log. Any number of threads may use it. In a forked process it starts
    anew, with files of its own.

    Args:
        record: what the gate measured of the recipe, from `read_record`.
        folder: where the Parquet files are written; created when the first one is.
        rows_per_second: rows in any second of the clock, at most.
        flush_seconds: time between two files.
        registry: of prometheus_client, where its families go; None: one of its own.
        scores: result to classes and their scores; None: `pytest_perfgate.live.scores.scores_of`
            reads it.

    Raises:
        MissingPackage: prometheus_client or DuckDB is not installed.
        PerfgateError: a number is out of range, or the registry has a monitor already.
    """

    def __init__(
        self,
        record: GateRecord,
        folder: str | Path,
        *,
        rows_per_second: float = 10.0,
        flush_seconds: float = 60.0,
        registry: CollectorRegistry | None = None,
        scores: Callable[[Any], Mapping[str, float]] | None = None,
    ) -> None:
        for name, value, most in (
            ("rows_per_second", rows_per_second, 1e6),
            ("flush_seconds", flush_seconds, 86_400.0),
        ):
            if not 0 < value <= most:
                raise PerfgateError(f"{name} is {value!r}", valid=f"above 0, up to {most:g}")
        classes = record.classes
        self._scores = scores or (lambda result: scores_of(result, classes))
        self._scored = scores is not None or bool(classes)
        self._sampler = Sampler(rows_per_second)
        labels = {"suite": record.suite, "recipe": record.recipe.name}
        self._metrics = OpenMetrics(labels, classes, registry)
        self._log = RowLog(
            Path(folder),
            labels | {"artifact": record.artifact},
            self._metrics,
            flush_seconds,
            most=max(100, min(50_000, math.ceil(4 * rows_per_second * min(flush_seconds, 60)))),
        )
        atexit.register(self.close)
        os.register_at_fork(after_in_child=functools.partial(_call, weakref.WeakMethod(self._fork)))

    def wrap(
        self,
        predictor: Callable[_Arguments, _Result],
        *,
        image: Callable[_Arguments, Any] | None = None,
        name: Callable[_Arguments, str] | None = None,
    ) -> Callable[_Arguments, _Result]:
        """The predictor with every call watched. `image` and `name` take the arguments of a call
        and give its decoded image, uint8 (H, W, 3) RGB, and the image's name; without them the
        image is the first argument, and has no name.

        Raises:
            PerfgateError: the predictor is a coroutine function, whose call is no request yet.
        """
        if inspect.iscoroutinefunction(predictor):
            raise PerfgateError(
                "the predictor is a coroutine function: its call ends before its work begins",
                next_step="await it inside `with monitor.request(image) as request:`",
            )

        @functools.wraps(predictor)
        def watched(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
            sample = self._sample()
            if sample is not None:
                try:
                    picture = image(*args, **kwargs) if image else args[0] if args else None
                    text = name(*args, **kwargs) if name else ""
                    self._look(sample, picture, text)
                except Exception:  # noqa: BLE001 - the caller's request goes on
                    self._own_error("input")
            start = _clock()
            try:
                result = predictor(*args, **kwargs)
            except BaseException as error:
                if not isinstance(error, _OF_THE_PROGRAM):
                    self._end(sample, _clock() - start, None, error)
                raise
            self._end(sample, _clock() - start, result, None)
            return result

        return watched

    def request(self, image: Any = None, name: str = "") -> Request:
        """One request as a `with` block; what is assigned to its `result` is looked at.

        with monitor.request(image, name="7.jpg") as request:
            request.result = predict(image)
        """
        return Request(self, image, name)

    def openmetrics(self) -> str:
        """All figures as a page of OpenMetrics, for a scraper."""
        return self._metrics.text()

    def flush(self) -> None:
        """Writes the rows that wait, at once."""
        self._log.flush()

    def close(self) -> None:
        """Writes the rows that wait and ends the monitor's thread; may be called again. A program's
        end calls it.
        """
        self._log.close()
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _sample(self) -> Sample | None:
        """A new sample where this request is drawn."""
        return Sample() if self._sampler.draw() else None

    def _look(self, sample: Sample, image: Any, name: str) -> None:
        """Before the request: the predictor may write into its image."""
        sample.image = str(name)
        if image is not None:
            sample.pixels, sample.size = grid(image), image.shape[:2]

    def _end(
        self, sample: Sample | None, seconds: float, result: Any, error: BaseException | None
    ) -> None:
        try:
            self._metrics.latency.observe(seconds)
            self._log.count(error=error is not None)
            if error is not None:
                self._metrics.failed(type(error).__name__)
            if sample is None:
                return
            sample.time, sample.latency = time.time(), seconds
            if error is not None:
                sample.error = type(error).__name__
            elif result is not None and self._scored:
                sample.scores = self._read(result)
            self._log.add(sample)
        except Exception:  # noqa: BLE001 - the caller's request goes on
            self._own_error("request")

    def _read(self, result: Any) -> dict[str, float] | None:
        try:
            scores = {str(name): float(score) for name, score in self._scores(result).items()}
            if not all(map(math.isfinite, scores.values())):
                raise ValueError("a score is not finite")
        except Exception:  # noqa: BLE001 - the row has its latency all the same
            self._own_error("scores")
            return None
        return scores

    def _own_error(self, stage: str) -> None:
        with contextlib.suppress(Exception):  # of the counter itself: there is nowhere to tell it
            self._metrics.own_error(stage)

    def _fork(self) -> None:
        self._sampler.reset()
        self._log.after_fork()


def _call(method: weakref.WeakMethod[Callable[[], None]]) -> None:
    """Calls a method of an object that is still there."""
    bound = method()
    if bound is not None:
        bound()


class Request:
    """One request that a monitor watches, as a `with` block.

    Attributes:
        result: what the predictor gave; None: no scores are read.
    """

    __slots__ = ("_image", "_monitor", "_name", "_sample", "_start", "result")

    def __init__(self, monitor: Monitor, image: Any, name: str) -> None:
        self._monitor, self._image, self._name = monitor, image, name
        self.result: Any = None

    def __enter__(self) -> Self:
        monitor = self._monitor
        self._sample = monitor._sample()
        if self._sample is not None:
            try:
                monitor._look(self._sample, self._image, self._name)
            except Exception:  # noqa: BLE001 - the caller's request goes on
                monitor._own_error("input")
        self._start = _clock()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not isinstance(error, _OF_THE_PROGRAM):
            self._monitor._end(self._sample, _clock() - self._start, self.result, error)
