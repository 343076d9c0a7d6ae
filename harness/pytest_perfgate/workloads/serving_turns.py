"""Turns that two endpoints have with the same requests at the same times, to be compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_perfgate.errors import PerfgateError, RuntimeFault
from pytest_perfgate.load import Client
from pytest_perfgate.load.load_run import LoadRun
from pytest_perfgate.load.open_loop import run_open_loop
from pytest_perfgate.runtimes.endpoint import EndpointSession
from pytest_perfgate.stats.arrivals import poisson_arrivals
from pytest_perfgate.workloads.serving_options import ServingOptions, refuse_errors


def paired_turn(
    session: EndpointSession,
    client: Client,
    options: ServingOptions,
    *,
    rate: float,
    requests: int,
    seed: int,
) -> LoadRun:
    """One endpoint's turn; another's with the same rate, requests and seed is its pair.

    Raises:
        RuntimeFault: more requests failed than may, or an answer cannot be read.
    """
    schedule = poisson_arrivals(rate, requests, seed)
    run = run_open_loop(schedule, client, options.timeout_seconds)
    for _ in read_outputs(session, client, run, options):
        pass
    return run


def read_outputs(
    session: EndpointSession, client: Client, run: LoadRun, options: ServingOptions
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """The outputs in each answer of a run, with the number of its request.

    Raises:
        RuntimeFault: more requests failed than may, or an answer cannot be read.
    """
    requests = len(run.scheduled)
    words = session.words(next(iter(run.errors.values()), ""))
    refuse_errors(run.error_rate, requests, options, words)
    for number, answer in run.answers.items():
        try:
            yield number, session.decoded(client, number, answer)
        except PerfgateError as error:
            raise RuntimeFault(
                f"of {requests} requests: {error.problem}", next_step=error.next_step
            ) from error
