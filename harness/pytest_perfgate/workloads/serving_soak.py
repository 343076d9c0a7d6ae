"""A long run of requests to a server: errors, latency and its memory in windows of time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from pytest_perfgate.errors import PerfgateError, RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.load import Client
from pytest_perfgate.load.load_run import LoadRun
from pytest_perfgate.load.open_loop import run_open_loop
from pytest_perfgate.records.soak import FEWEST, Soak, SoakWindow
from pytest_perfgate.runtimes.endpoint import EndpointSession
from pytest_perfgate.stats.arrivals import poisson_arrivals
from pytest_perfgate.workloads.serving_options import ServingOptions

_LONGEST = 60.0  # seconds of a window: a worker that says nothing for 300 counts as hung


def soak(
    session: EndpointSession,
    request: Inputs,
    client: Client,
    options: ServingOptions,
    show: Callable[[int, int], None] = lambda *_: None,
) -> Soak:
    """Sends requests at the workload's rate for as long as it says. Windows follow each other as
    soon as the last answer of one has come.

    Args:
        session: at the server.
        request: what is sent alone when all requests of a window have failed.
        client: sends the requests.
        options: with a duration.
        show: is told the number of the windows that are over, and of all.

    Raises:
        RuntimeFault: the server has ended, in its last words; or the workload has no duration.
    """
    seconds, rate = options.duration_seconds, options.offered_rate
    if seconds is None or not rate:
        raise RuntimeFault(
            "budgets on a long run of requests need its length",
            where="workload.duration",
            valid='scenario = "server", rate and duration = "30 min"',
        )
    count = max(FEWEST, math.ceil(seconds / _LONGEST))
    requests = max(1, round(rate * seconds / count))
    windows, words = [], ""
    for number in range(count):
        schedule = poisson_arrivals(rate, requests, options.seed + number)
        run = run_open_loop(schedule, client, options.timeout_seconds)
        run = _with_unreadable(run, session, client)
        words = words or session.words(next(iter(run.errors.values()), ""))
        if len(run.errors) == requests:
            session.run(request)  # where the server has ended, this says so in its last words
        late = bool(run.too_late(options.limit_seconds))
        windows.append(
            SoakWindow(
                begin=round(number * seconds / count, 3),
                requests=requests,
                errors=len(run.errors),
                p50=None if late else _percentile(run, 0.5),
                p99=None if late else _percentile(run, 0.99),
                memory=session.held_by_server(),
            )
        )
        show(number + 1, count)
    return Soak(seconds=seconds, windows=tuple(windows), words=words)


def _with_unreadable(run: LoadRun, session: EndpointSession, client: Client) -> LoadRun:
    """The run in which an answer that cannot be read is an error."""
    errors = dict(run.errors)
    for number, answer in run.answers.items():
        try:
            session.decoded(client, number, answer)
        except PerfgateError as error:
            errors[number] = error.problem
    return replace(run, errors=errors)


def _percentile(run: LoadRun, share: float) -> float | None:
    value = run.percentile(share)
    return None if math.isnan(value) else float(f"{value:.6g}")
