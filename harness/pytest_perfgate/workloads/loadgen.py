"""One test of MLPerf LoadGen on a function of this process.

LoadGen calls from threads of its own. An exception that leaves such a call, or a query that is
never completed, ends the whole process or lets it wait for ever: both are caught here. A process
runs one test (`workloads.serving_in_process`).
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from pytest_perfgate.errors import RuntimeFault

SINGLE_STREAM, MULTI_STREAM, SERVER, OFFLINE = "single_stream", "multi_stream", "server", "offline"

_CLASSES = {
    SINGLE_STREAM: "SingleStream",
    MULTI_STREAM: "MultiStream",
    SERVER: "Server",
    OFFLINE: "Offline",
}
_PERCENTILES = {"p50": "50.00", "p90": "90.00", "p99": "99.00", "p999": "99.90"}
SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
"""Percentiles of the latency, by the ends of their metrics' names."""

_MARK = ":::MLLOG "
_FEWEST = 100  # waits of which one lies behind a 99th percentile
_LONGEST = 10.0  # seconds as an expected latency where none was measured


_Queue: TypeAlias = "SimpleQueue[tuple[float, Sequence[tuple[int, int]]] | None]"


@dataclass(frozen=True)
class Settings:
    """What LoadGen is told.

    Attributes:
        scenario: one of the four.
        queries: how many it sends, exactly.
        samples: images of a query, of `multi_stream`.
        rate: queries per second, of `server`.
        limit: seconds that the 99th percentile may take; 0: none is declared.
        expected: seconds of a query, measured before: by it queries are made beforehand, and a
            system that is twice as fast would run out of them.
        seed: of arrivals and of the choice of images.
        batch: images that an inference takes at most.
        images: how many there are to choose from.
        timeout: seconds that a query with an exception counts as.
    """

    scenario: str
    queries: int
    samples: int = 1
    rate: float = 0.0
    limit: float = 0.0
    expected: float = _LONGEST
    seed: int = 0
    batch: int = 1
    images: int = 1
    timeout: float = _LONGEST


@dataclass(frozen=True)
class Tested:
    """What a test showed: seconds, None where too few queries lie behind a percentile.

    An exception ends its query at once. LoadGen would take that for a fast answer, so that with
    exceptions the percentiles and the slow queries are those of this file's own times, in which
    such a query takes the whole timeout, or longer if it did.

    Attributes:
        percentiles: of the latency of a query, by the names in `SHARES`.
        throughput: images per second, without those that raised.
        queue_p99: 99th percentile of the wait for the begin of its inference.
        error_rate: share of the images that raised.
        slow: queries above the limit, those with an exception included.
        queries: how many there were.
        error: the first exception's words.
    """

    percentiles: dict[str, float | None]
    throughput: float
    queue_p99: float | None
    error_rate: float
    slow: int
    queries: int
    error: str = ""


@dataclass(frozen=True)
class _Sample:
    """An image of a query: seconds of `time.perf_counter`, and whether its inference raised."""

    query: int
    issued: float
    begun: float
    ended: float
    failed: bool


@dataclass
class _Served:
    """What the system under test notes."""

    samples: list[_Sample] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def run_test(settings: Settings, infer: Callable[[Sequence[int]], object], logs: Path) -> Tested:
    """Runs LoadGen once.

    Args:
        settings: of the test.
        infer: runs an inference of images, by their indices, and comes back with its outputs there.
        logs: an empty folder, for LoadGen's own files.

    Raises:
        RuntimeFault: LoadGen did not send the queries that it was told to.
    """
    import mlperf_loadgen

    queue: _Queue = SimpleQueue()
    served = _Served()

    def issue(samples: Sequence[Any]) -> None:
        queue.put((time.perf_counter(), [(sample.id, sample.index) for sample in samples]))

    def complete(ids: Sequence[int]) -> None:
        response = mlperf_loadgen.QuerySampleResponse
        mlperf_loadgen.QuerySamplesComplete([response(one, 0, 0) for one in ids])

    worker = threading.Thread(
        target=_serve, args=(queue, infer, complete, settings.batch, served), daemon=True
    )
    worker.start()
    system = mlperf_loadgen.ConstructSUT(issue, lambda: None)
    library = mlperf_loadgen.ConstructQSL(
        settings.images, settings.images, lambda _: None, lambda _: None
    )
    log = mlperf_loadgen.LogSettings()
    log.log_output.outdir = str(logs)
    log.log_output.copy_summary_to_stdout = False
    log.enable_trace = False
    chosen = _test_settings(settings)
    start = time.perf_counter()
    mlperf_loadgen.StartTestWithLogSettings(system, library, chosen, log, "")
    seconds = time.perf_counter() - start
    queue.put(None)
    worker.join()
    mlperf_loadgen.DestroyQSL(library)
    mlperf_loadgen.DestroySUT(system)
    return _result(settings, read_log(logs / "mlperf_log_detail.txt"), served, seconds)


def _test_settings(settings: Settings) -> Any:
    import mlperf_loadgen

    chosen = mlperf_loadgen.TestSettings()
    chosen.scenario = getattr(mlperf_loadgen.TestScenario, _CLASSES[settings.scenario])
    chosen.mode = mlperf_loadgen.TestMode.PerformanceOnly
    chosen.min_duration_ms = 0
    chosen.min_query_count = chosen.max_query_count = settings.queries
    for name in ("qsl_rng_seed", "sample_index_rng_seed", "schedule_rng_seed"):
        setattr(chosen, name, settings.seed)
    expected = max(1, round(settings.expected * 1e9))
    if settings.scenario == SINGLE_STREAM:
        chosen.single_stream_expected_latency_ns = expected
    elif settings.scenario == MULTI_STREAM:
        chosen.multi_stream_samples_per_query = settings.samples
        chosen.multi_stream_expected_latency_ns = expected
    elif settings.scenario == SERVER:
        chosen.server_target_qps = settings.rate
        chosen.server_target_latency_percentile = 0.99
        chosen.server_target_latency_ns = round((settings.limit or _LONGEST) * 1e9)
    else:
        chosen.offline_expected_qps = 1 / settings.expected
    return chosen


def _serve(
    queue: _Queue,
    infer: Callable[[Sequence[int]], object],
    complete: Callable[[Sequence[int]], object],
    batch: int,
    served: _Served,
) -> None:
    """The system under test: takes what waits, up to a batch, and infers it."""
    waiting: list[tuple[int, float, int, int]] = []
    ended, queries = False, itertools.count()
    while waiting or not ended:
        try:
            while not ended and len(waiting) < batch:
                query = queue.get(block=not waiting)
                if query is None:
                    ended = True
                else:
                    which = next(queries)
                    waiting += [(which, query[0], number, index) for number, index in query[1]]
        except Empty:
            pass
        taken, waiting = waiting[:batch], waiting[batch:]
        if not taken:
            continue
        begin = time.perf_counter()
        failed = False
        try:
            infer([index for _, _, _, index in taken])
        except BaseException as error:  # noqa: BLE001 - the process would not survive it
            failed = True
            served.errors += [f"{type(error).__name__}: {error}"] * len(taken)
        end = time.perf_counter()
        complete([number for _, _, number, _ in taken])
        served.samples += [
            _Sample(which, issued, begin, end, failed) for which, issued, _, _ in taken
        ]


def read_log(file: Path) -> dict[str, Any]:
    """The values in LoadGen's detailed log, by their keys; of a key that repeats the last."""
    values = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith(_MARK):
            entry = json.loads(line[len(_MARK) :])
            values[entry["key"]] = entry["value"]
    return values


def _counted(sample: _Sample, until: float, timeout: float) -> float:
    """Seconds from issuing a sample `until` a time; the timeout at least, where it raised."""
    return max(until - sample.issued, timeout if sample.failed else 0.0)


def _latencies(settings: Settings, samples: Sequence[_Sample]) -> list[float]:
    """Seconds of each query: of `multi_stream` those of its last sample."""
    times = [(one.query, _counted(one, one.ended, settings.timeout)) for one in samples]
    if settings.scenario != MULTI_STREAM:
        return [seconds for _, seconds in times]
    queries: dict[int, float] = {}
    for query, seconds in times:
        queries[query] = max(seconds, queries.get(query, 0.0))
    return list(queries.values())


def _result(settings: Settings, log: Mapping[str, Any], served: _Served, seconds: float) -> Tested:
    import numpy as np

    offline, done = settings.scenario == OFFLINE, len(served.samples)
    count = done // settings.samples if settings.scenario == MULTI_STREAM else done
    sent = count if offline else int(log.get("result_query_count", 0))
    if sent != settings.queries or count != settings.queries:
        raise RuntimeFault(
            f"LoadGen sent {sent} of {settings.queries} queries, and {count} were answered",
            next_step="look into its log, mlperf_log_detail.txt: "
            f"{log.get('error_runtime') or log.get('error_invalid_test_settings') or 'no error'}",
        )
    errors, latency = len(served.errors), _latencies(settings, served.samples)
    part = "per_query_latency" if settings.scenario == MULTI_STREAM else "latency"
    percentiles: dict[str, float | None] = {}
    for name, digits in _PERCENTILES.items():
        enough = settings.queries * (1 - SHARES[name]) >= 1 - 1e-9
        logged = log.get(f"result_{digits}_percentile_{part}_ns")
        if not enough:
            percentiles[name] = None
        elif errors:
            percentiles[name] = float(np.quantile(latency, SHARES[name]))
        else:
            percentiles[name] = None if logged is None else logged / 1e9
    slow = int(log.get("result_overlatency_query_count", 0))
    if errors:
        slow = sum(one > settings.limit or one >= settings.timeout for one in latency)
    rate = {
        SINGLE_STREAM: log.get("result_qps_with_loadgen_overhead"),
        SERVER: log.get("result_completed_samples_per_sec"),
        OFFLINE: log.get("result_samples_per_second"),
    }.get(settings.scenario)
    waits = [_counted(one, one.begun, settings.timeout) for one in served.samples]
    good = 1 - errors / max(1, done)
    return Tested(
        percentiles=percentiles,
        throughput=good * (float(rate) if rate is not None else done / seconds),
        queue_p99=float(np.quantile(waits, 0.99)) if len(waits) >= _FEWEST else None,
        error_rate=1 - good,
        slow=slow,
        queries=settings.queries,
        error=served.errors[0] if served.errors else "",
    )
