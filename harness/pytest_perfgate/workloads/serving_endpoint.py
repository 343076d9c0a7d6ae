"""Requests to an endpoint, by the open-loop generator with MLPerf's scenarios."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from typing_extensions import override

from pytest_perfgate.errors import PerfgateError, RuntimeFault
from pytest_perfgate.inputs import joined
from pytest_perfgate.load.load_run import LoadRun, allowed_lag
from pytest_perfgate.load.open_loop import Watch, run_closed_loop, run_open_loop
from pytest_perfgate.records.launch import RateRun
from pytest_perfgate.runtimes.endpoint import EndpointSession
from pytest_perfgate.stats.arrivals import poisson_arrivals
from pytest_perfgate.stats.max_rate import RateInterval, breaks_from, find_max_rate
from pytest_perfgate.stats.steady import requests_until_steady
from pytest_perfgate.workloads import Work, WorkContext
from pytest_perfgate.workloads.kept_answers import refuse_kept_answers
from pytest_perfgate.workloads.loadgen import OFFLINE, SERVER, SHARES
from pytest_perfgate.workloads.serving_options import (
    RATES,
    ServingOptions,
    requests_of_turn,
    unmeasured_of,
    values_of,
)
from pytest_perfgate.workloads.serving_turns import paired_turn, read_outputs
from pytest_perfgate.workloads.varied_images import WARM_UP

_FIRST_REQUESTS = 30
_FEW = 20  # requests of a run that is not timed
_CHECKED = 4  # answers whose outputs are compared with the evaluated ones after a run
_QUIET = "give it a core that no other program uses: pytest-perfgate doctor"
_TRIES = 5  # runs in which the generator may be late, before there is no value
_MOST_PAIRED = 64  # requests of a turn that is compared: each of their times is recorded
_OTHER_ARRIVALS = 1 << 20  # between the seeds of tries: turns have lower numbers


class AtEndpoint(Work):
    """The work of the workload `serving` behind an endpoint.

    Args:
        options: of the workload.
        context: of the arm; its session is an `EndpointSession`.

    Raises:
        RuntimeFault: the session is none, or the server that it started shares a core with the
            generator.
    """

    def __init__(self, options: ServingOptions, context: WorkContext) -> None:
        # Before the session: the clock of the first response runs from where that begins to open.
        inputs = [context.pipeline.preprocess([image])[0] for image in context.images]
        session = context.session()
        if not isinstance(session, EndpointSession):
            raise RuntimeFault(
                "requests to an endpoint are sent as they are, and this session changes them "
                "(tiles, a planted fault)",
                where="workload",
                valid="recipes without tiles; in process faults can be planted",
            )
        if session.apart is False:
            raise RuntimeFault(
                "the server and the load generator share a core, so that one would be timed with "
                "the other",
                where="suite.threads",
                valid="threads = 2 or more: the last core sends, the others serve",
            )
        self.session: EndpointSession = session
        self._options, self._check, self._context = options, context.check, context
        self._has_asked_twice = False
        count, size = len(inputs), _images_of(options)
        self._positions = [
            [(first * size + place) % count for place in range(size)] for first in range(count)
        ]
        requests = [joined([inputs[place] for place in group]) for group in self._positions]
        session.run(requests[0])
        self._first = time.perf_counter() - session.started
        times = []
        for _ in range(_FIRST_REQUESTS):
            before = time.perf_counter()
            session.run(requests[0])
            times.append(time.perf_counter() - before)
        self._warm_up = requests_until_steady(times)
        self._alone = statistics.median(times[_FIRST_REQUESTS // 2 :])
        self._client = session.load_client(requests)
        self._rates: RateInterval | None = None
        self._late_runs = 0
        self.rates: list[RateRun] = []
        if options.scenario == SERVER:
            # Of one replica's rate: a reference with fewer of them is compared request by request.
            self.paired = min(_MOST_PAIRED, requests_of_turn(options.rate or 0.0))
        self.columns = options.columns
        self.unmeasured: dict[str, str] = {}
        self.facts = {
            **session.facts,
            "scenario": options.scenario,
            "load generator": "pytest-perfgate, open loop",
        } | ({"replicas": str(options.replicas)} if options.replicas > 1 else {})

    @override
    def sample(self, number: int) -> Sequence[float]:
        """A run of requests."""
        options = self._options
        timed = number < WARM_UP
        requests = options.requests if timed else min(_FEW, options.requests)
        rate, seed = options.offered_rate, options.seed + number
        run, late = self._run(requests, rate, seed, _TRIES if timed else 1)
        if timed and not self._has_asked_twice:
            self._ask_twice()
        if timed and options.find_max_rate and self._rates is None:
            self._rates = self._find_max_rate(rate)
        rates = self._rates or RateInterval(None, None)
        size = _images_of(options)
        waits = np.maximum(run.latency - self._alone, 0.0)
        of_run: dict[str, float | None] = {
            f"request_latency_{name}": run.percentile(share) for name, share in SHARES.items()
        }
        of_run["queue_time_p99"] = float(np.quantile(waits, 0.99)) if len(waits) >= 100 else None
        of_run["request_throughput"] = run.throughput * size
        of_run["error_rate"] = run.error_rate
        if late:
            of_run = dict.fromkeys(of_run)
        measured = {
            **of_run,
            "time_to_first_response": self._first,
            "warm_up_requests": self._warm_up,
            "max_rate": rates.kept,
            "max_rate_upper": rates.broken,
            "max_rate_per_replica": None if rates.kept is None else rates.kept / options.replicas,
        }
        if timed:
            reasons = unmeasured_of(options, measured)
            if late:
                words = f"{late}, in each of {_TRIES} runs; {_QUIET}"
                reasons = dict.fromkeys(of_run, words) | reasons
            if self._late_runs:  # no statement on the service
                words = (
                    f"the load generator was late itself in {self._late_runs} runs of the search"
                )
                reasons |= dict.fromkeys(reasons.keys() & set(RATES), f"{words}; {_QUIET}")
            self.unmeasured |= reasons
        return values_of(measured, options.columns)

    @override
    def latencies(self, number: int) -> Sequence[float]:
        """A turn as `pytest-perfgate ab` has it."""
        options = self._options
        run = paired_turn(
            self.session,
            self._client,
            options,
            rate=options.offered_rate,
            requests=self.paired,
            seed=options.seed + number,
        )
        return () if run.too_late(options.limit_seconds) else run.latency.tolist()

    def _ask_twice(self) -> None:
        """Behind the first run, whose server is warm then."""
        context = self._context
        refuse_kept_answers(
            self.session.run,
            lambda images: context.pipeline.preprocess(images)[0],
            context.images,
            _images_of(self._options),
        )
        self._has_asked_twice = True

    def _find_max_rate(self, start: float) -> RateInterval:
        seeds = itertools.count(self._options.seed + 1)
        limit = self._options.limit_seconds or 0.0

        count = self._options.search_requests

        def run(rate: float, before: tuple[int, int]) -> tuple[int, int] | None:
            watch = Watch(
                limit=limit,
                enough_slow=breaks_from(*before, count),
                lag=allowed_lag(limit),
                enough_late=_enough_late(count),
            )
            schedule = poisson_arrivals(rate, count, next(seeds))
            result = run_open_loop(schedule, self._client, self._options.timeout_seconds, watch)
            if watch.is_slow and not watch.is_late:
                self.rates.append(_rate_run(rate, None, watch.slow, count))
                return watch.slow, count
            if watch.is_late or result.too_late(limit):
                self._late_runs += 1
                return None
            result = self._with_unreadable(result)
            self.rates.append(_rate_run(rate, result, result.slow(limit)))
            return result.slow(limit), count

        end = time.monotonic() + self._options.search_seconds

        def fits(rate: float) -> bool:
            return time.monotonic() + count / rate < end

        return find_max_rate(run, start, self._options.search_runs, fits)

    def _with_unreadable(self, run: LoadRun) -> LoadRun:
        """The run in which an answer that cannot be read is a failure: an overloaded service that
        is quick to say something else keeps no rate.
        """
        errors = dict(run.errors)
        for number, answer in run.answers.items():
            try:
                self.session.decoded(self._client, number, answer)
            except PerfgateError as error:
                errors[number] = error.problem
        return replace(run, errors=errors)

    def _run(self, requests: int, rate: float, seed: int, tries: int) -> tuple[LoadRun, str]:
        """A run, and why it measured the generator; "": it did not."""
        for attempt in range(tries):
            # At other times: a request that is sent while another one is due would be so again.
            run = self._sent(requests, rate, seed + attempt * _OTHER_ARRIVALS)
            self._inspect(run)
            # All at once has no schedule that anybody could be late for.
            offline = self._options.scenario == OFFLINE
            late = "" if offline else run.too_late(self._options.limit_seconds)
            if not late:
                break
            if attempt + 1 < tries:
                self.repeated = self.repeated[0] + 1, late
                # What an early end left behind at the service is answered before this is.
                run_closed_loop(1, self._client, self._options.timeout_seconds)
        return run, late

    def _sent(self, requests: int, rate: float, seed: int) -> LoadRun:
        options, timeout = self._options, self._options.timeout_seconds
        if options.scenario == SERVER:
            limit = options.limit_seconds
            # What is late ends early, and is repeated the sooner.
            watch = Watch(
                limit=limit or timeout,
                enough_slow=requests + 1,
                lag=allowed_lag(limit),
                enough_late=_enough_late(requests),
            )
            schedule = poisson_arrivals(rate, requests, seed)
            return run_open_loop(schedule, self._client, timeout, watch)
        if options.scenario == OFFLINE:
            count = max(1, requests // _images_of(options))
            return run_open_loop(np.zeros(count), self._client, timeout)
        return run_closed_loop(requests, self._client, timeout)

    def _inspect(self, run: LoadRun) -> None:
        """Check that every answer can be read, that no more failed than may, and that the outputs
        of some are the evaluated ones.
        """
        shown = 0
        for number, outputs in read_outputs(self.session, self._client, run, self._options):
            if shown < _CHECKED and self._check is not None:
                positions = self._positions[number % len(self._positions)]
                self._check.inspect_shown(positions, outputs)
                shown += 1


def _rate_run(rate: float, run: LoadRun | None, slow: int, requests: int = 0) -> RateRun:
    """A run of the search; None: it ended early, so that its latencies are of its begin alone."""
    if run is None:
        return RateRun(rate=rate, p50=None, p99=None, slow=slow, requests=requests)
    p50, p99 = (float(f"{run.percentile(share):.6g}") for share in (0.5, 0.99))
    return RateRun(rate=rate, p50=p50, p99=p99, slow=slow, requests=len(run.scheduled))


def _enough_late(requests: int) -> int:
    """Late requests of a run with which the 99th percentile of its lag is above what is allowed,
    whatever the others do.
    """
    return requests - int(0.99 * (requests - 1))


def _images_of(options: ServingOptions) -> int:
    """Images in one request: offline they are sent in batches."""
    return options.batch_size if options.scenario == OFFLINE else options.images_of_request
