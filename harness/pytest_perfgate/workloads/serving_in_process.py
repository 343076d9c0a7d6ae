"""The recipe as the system under test of MLPerf LoadGen: each test in a process of its own."""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from typing_extensions import override

from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs, joined
from pytest_perfgate.records.launch import RateRun
from pytest_perfgate.stats.max_rate import RateInterval, find_max_rate
from pytest_perfgate.stats.steady import requests_until_steady
from pytest_perfgate.workloads import Work, WorkContext
from pytest_perfgate.workloads.child_processes import Dialogue, Forks
from pytest_perfgate.workloads.kept_answers import refuse_kept_answers
from pytest_perfgate.workloads.loadgen import OFFLINE, Settings, Tested, run_test
from pytest_perfgate.workloads.serving_options import (
    ServingOptions,
    refuse_errors,
    unmeasured_of,
    values_of,
)
from pytest_perfgate.workloads.varied_images import WARM_UP

FIRST_REQUESTS = 30
"""Requests behind a cold start whose times are looked at."""

_FEW = 20  # queries of a run that is not timed
_CHECKED = 4  # images whose outputs are compared with the evaluated ones after a test
_FASTER = 0.4  # of the measured latency: a system that is faster still has queries enough


@dataclass(frozen=True)
class _Ready:
    """The answer of a process whose session is open.

    Attributes:
        first: seconds from the begin of opening to the first outputs.
        warm_up: requests until its times were steady; None: they were not.
        alone: seconds of a request, once they are steady.
    """

    facts: dict[str, Any]
    first: float
    warm_up: int | None
    alone: float


@dataclass(frozen=True)
class _Result:
    """What a test showed, and the peak growth of its process in bytes; None: unknown."""

    tested: Tested
    memory: int | None


_DIALOGUE: Dialogue[Settings, _Ready | _Result] = Dialogue.of([Settings], [_Ready, _Result])


class InProcess(Work):
    """The work of the workload `serving` in process.

    Args:
        options: of the workload.
        context: of the arm, which opens no session itself.
    """

    def __init__(self, options: ServingOptions, context: WorkContext) -> None:
        self._options = options
        self._context = context
        self._memory: int | None = 0
        self._rates: RateInterval | None = None
        self.rates: list[RateRun] = []
        self.columns = options.columns
        self.unmeasured: dict[str, str] = {}
        ready, _ = self._test(_FEW, options.rate or 0.0, options.seed)
        self.facts = {
            **ready.facts,
            "scenario": options.scenario,
            "load generator": f"MLPerf LoadGen {version('mlcommons-loadgen')}",
        }

    @override
    def sample(self, number: int) -> Sequence[float]:
        """A test of LoadGen in a fresh process."""
        options = self._options
        queries = options.requests if number < WARM_UP else min(_FEW, options.requests)
        ready, tested = self._test(queries, options.rate or 0.0, options.seed + number)
        if options.find_max_rate and number < WARM_UP and self._rates is None:
            self._rates = self._find_max_rate(options.rate or 0.0)
        rates = self._rates or RateInterval(None, None)
        measured: dict[str, float | None] = {
            **{f"request_latency_{name}": value for name, value in tested.percentiles.items()},
            "request_throughput": tested.throughput,
            "error_rate": tested.error_rate,
            "queue_time_p99": tested.queue_p99,
            "time_to_first_response": ready.first,
            "warm_up_requests": ready.warm_up,
            "max_rate": rates.kept,
            "max_rate_upper": rates.broken,
            "max_rate_per_replica": rates.kept,
        }
        if number < WARM_UP:
            self.unmeasured |= unmeasured_of(options, measured)
        return values_of(measured, options.columns)

    def _find_max_rate(self, start: float) -> RateInterval:
        seeds = itertools.count(self._options.seed + 1)

        count = self._options.search_requests

        def run(rate: float, _: tuple[int, int]) -> tuple[int, int]:
            tested = self._test(count, rate, next(seeds))[1]
            self.rates.append(
                RateRun(
                    rate=rate,
                    p50=tested.percentiles["p50"],
                    p99=tested.percentiles["p99"],
                    slow=tested.slow,
                    requests=tested.queries,
                )
            )
            return tested.slow, tested.queries

        end = time.monotonic() + self._options.search_seconds

        def fits(rate: float) -> bool:
            return time.monotonic() + count / rate < end

        return find_max_rate(run, start, self._options.search_runs, fits)

    def _test(self, queries: int, rate: float, seed: int) -> tuple[_Ready, Tested]:
        options, context = self._options, self._context
        child = Forks(
            ["the process of LoadGen"],
            [lambda: _begin(context, options.images_of_request)],
            _DIALOGUE,
            context.silence,
        )
        try:
            ready = child.first()[0]
            assert isinstance(ready, _Ready)  # noqa: S101 - the dialogue's order, for mypy
            settings = Settings(
                scenario=options.scenario,
                queries=queries,
                samples=options.images_of_request,
                rate=rate,
                limit=options.limit_seconds or 0.0,
                expected=_FASTER * ready.alone,
                seed=seed,
                batch=max(options.batch_size, options.images_of_request),
                images=len(context.images),
                timeout=options.timeout_seconds,
            )
            result = child.ask([0], settings)[0]
            assert isinstance(result, _Result)  # noqa: S101 - the same
        finally:
            child.close()
        if result.memory is None or self._memory is None:
            self._memory = None
        else:
            self._memory = max(self._memory, result.memory)
        refuse_errors(result.tested.error_rate, queries, options, result.tested.error)
        return ready, result.tested

    @override
    def peak_memory(self) -> int | None:
        """The highest of all tests' processes."""
        return self._memory


def _begin(context: WorkContext, size: int) -> tuple[_Ready, Any]:
    """In the test's process: a session after its first requests."""
    inputs = [context.pipeline.preprocess([image])[0] for image in context.images]
    memory = context.grown()
    start = time.perf_counter()
    session = context.session()
    request = joined([inputs[place % len(inputs)] for place in range(size)])
    session.run(request)
    first = time.perf_counter() - start
    times = []
    for _ in range(FIRST_REQUESTS):
        before = time.perf_counter()
        session.run(request)
        times.append(time.perf_counter() - before)
    alone = statistics.median(times[FIRST_REQUESTS // 2 :])
    ready = _Ready(session.facts, first, requests_until_steady(times), alone)

    def infer(indices: Sequence[int]) -> object:
        return [
            session.run(joined([inputs[index] for index in group]))
            for group in _of_one_size(indices, inputs)
        ]

    def answer(settings: Settings) -> _Result:
        refuse_batch(session.fixed_batch, settings)
        with tempfile.TemporaryDirectory() as folder:
            tested = run_test(settings, infer, Path(folder))
        used = memory()
        refuse_kept_answers(
            session.run, lambda one: context.pipeline.preprocess(one)[0], context.images, size
        )
        if context.check is not None:
            for index in range(min(_CHECKED, len(inputs))):
                context.check.inspect_shown([index], session.run(inputs[index]))
        return _Result(tested, used)

    return ready, answer


def refuse_batch(fixed: int, settings: Settings) -> None:
    """Check that an artifact of a fixed batch is given no other.

    Raises:
        RuntimeFault: it would be.
    """
    sizes = {settings.samples, *((settings.batch,) if settings.scenario == OFFLINE else ())}
    if fixed and sizes != {fixed}:
        raise RuntimeFault(
            f"the artifact takes batches of {fixed}, and requests have {settings.samples} and "
            f"inferences up to {settings.batch} images",
            where="workload",
            valid=f"an artifact of any batch, or requests of {fixed}",
        )


def _of_one_size(indices: Sequence[int], inputs: Sequence[Inputs]) -> list[list[int]]:
    """The indices in groups whose inputs have one size, which share an inference."""
    groups: dict[tuple[int, int], list[int]] = {}
    for index in indices:
        groups.setdefault(inputs[index].size, []).append(index)
    return list(groups.values())
