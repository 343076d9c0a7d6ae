"""Requests at fixed times, in simulated time: against theory, stalls and missing answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pytest_perfgate.load.load_run import LoadRun
from pytest_perfgate.load.open_loop import Watch, run_closed_loop, run_open_loop
from pytest_perfgate.stats.arrivals import poisson_arrivals
from pytest_perfgate.stats.max_rate import keeps

from benchmarks.queueing import md1_latency, md1_table, one_server
from tests.load.simulated import SimulatedServer

SERVICE = 0.01
TIMEOUT = 10.0


@pytest.mark.parametrize("load", [0.3, 0.6, 0.9])
def test_every_request_takes_what_a_queue_gives_it(load: float) -> None:
    """Request by request, the loop's latencies are those of the queue's own recursion."""
    arrivals = poisson_arrivals(load / SERVICE, 5_000, seed=1)
    run = run_open_loop(arrivals, SimulatedServer(SERVICE), TIMEOUT)
    assert np.allclose(run.latency, one_server(arrivals, SERVICE) - arrivals, atol=1e-9)
    assert np.max(run.lag) < 1e-9
    assert run.error_rate == 0.0


def test_the_queue_of_drawn_arrivals_is_that_of_the_formula() -> None:
    """Median and 99th percentile lie within 2 % of M/D/1's at loads of 0.3, 0.6 and 0.9."""
    for row in md1_table(requests=8_000_000):
        assert row.simulated == pytest.approx(row.formula, rel=0.02), row


def test_the_formula_is_right_where_it_is_known() -> None:
    """Nothing waits with the chance 1 - load; the mean of the wait is load / (2 (1 - load))."""
    assert md1_latency(0.3, 0.5) == 1.0
    shares = (np.arange(2_000) + 0.5) / 2_000
    for load in (0.3, 0.6):
        mean = np.mean([md1_latency(load, share) - 1 for share in shares])
        assert mean == pytest.approx(load / (2 * (1 - load)), rel=0.01)


def test_a_stall_shows_in_every_request_that_was_scheduled_in_it() -> None:
    """None waits to be sent until the stall is over: each takes at least what is left of it."""
    begin, end = 1.0, 1.2
    server = SimulatedServer(0.001, stall=(begin, end))
    run = run_open_loop(poisson_arrivals(200.0, 400, seed=3), server, TIMEOUT)
    offset = 0.002  # the loop's own begin
    inside = (run.scheduled + offset >= begin) & (run.scheduled + offset < end)
    assert inside.sum() > 20
    left = end - offset - run.scheduled[inside]
    assert (run.latency[inside] >= left).all()
    assert (run.sent[inside] < end - offset).all()


def test_a_late_generator_is_said_to_be_late() -> None:
    """A loop kept away for 5 ms measures itself; 1 ms and 2 % of the limit are its bounds."""
    arrivals = poisson_arrivals(100.0, 300, seed=0)
    late = run_open_loop(arrivals, SimulatedServer(0.001, loop=0.005), TIMEOUT)
    assert "late itself" in late.too_late()
    quick = run_open_loop(arrivals, SimulatedServer(0.001, loop=0.0004), TIMEOUT)
    assert not quick.too_late()
    assert not quick.too_late(latency_limit=0.1)
    assert "allowed are 0.2 ms" in quick.too_late(latency_limit=0.01)


def test_no_answer_is_a_failure_that_takes_the_whole_timeout() -> None:
    """The loop ends though the server never answers, and the client is told to wait no longer."""
    server = SimulatedServer(0.001, stall=(0.5, math.inf))
    run = run_open_loop(poisson_arrivals(100.0, 100, seed=0), server, timeout=2.0)
    failed = sorted(run.errors)
    assert 0 < len(failed) < 100
    assert server.abandoned == failed
    assert set(run.errors.values()) == {"no answer within 2 s"}
    assert (run.latency[failed] == 2.0).all()
    assert run.error_rate == len(failed) / 100


def test_an_overload_whose_requests_all_fail_keeps_no_rate() -> None:
    """Each failure is a slow request, also where the timeout is within the limit."""
    times = np.arange(300) / 100.0
    failed = dict.fromkeys(range(300), "HTTP 503: no room")
    run = LoadRun(times, times, times + 0.001, timeout=0.05, errors=failed)
    assert run.slow(limit=0.1) == 300
    assert keeps(run.slow(limit=0.1), 300) is False
    assert LoadRun(times, times, times + 0.2, timeout=1.0, errors={7: "HTTP 503"}).slow(0.3) == 1
    assert LoadRun(times, times, times + 0.2, timeout=1.0, errors={7: "HTTP 503"}).slow(0.1) == 300


def watch_of(enough_slow: int = 10**6, enough_late: int = 10**6) -> Watch:
    """A watch of a limit of 50 ms and a lag of 1 ms."""
    return Watch(limit=0.05, enough_slow=enough_slow, lag=0.001, enough_late=enough_late)


def test_a_run_ends_when_enough_requests_were_slow_or_late() -> None:
    """Its rest is not sent, and what it waits for is abandoned; slow ones are counted as a whole
    run counts them.
    """
    arrivals = poisson_arrivals(2.0 / SERVICE, 1_000, seed=1)
    whole = watch_of()
    run = run_open_loop(arrivals, SimulatedServer(SERVICE), TIMEOUT, whole)
    assert whole.slow == run.slow(0.05) > 900
    assert whole.late == 0
    server, watch = SimulatedServer(SERVICE), watch_of(enough_slow=8)
    run = run_open_loop(arrivals, server, TIMEOUT, watch)
    assert (watch.slow, watch.is_slow) == (8, True)
    assert np.isfinite(run.sent).sum() < 60
    assert len(server.abandoned) == np.isfinite(run.sent).sum() - len(run.answers) > 0
    watch = watch_of(enough_late=3)
    run = run_open_loop(arrivals, SimulatedServer(0.001, loop=0.005), TIMEOUT, watch)
    assert watch.is_late
    assert np.isfinite(run.sent).sum() < 100


def test_requests_without_an_answer_are_slow_ones_of_a_watch() -> None:
    """A server that hangs does not keep a run that has proven it."""
    watch = watch_of(enough_slow=8)
    server = SimulatedServer(SERVICE, stall=(0.0, math.inf))
    run = run_open_loop(poisson_arrivals(10.0, 1_000, seed=1), server, 0.2, watch)
    assert watch.slow == 8
    assert np.isfinite(run.sent).sum() < 20


def test_a_closed_loop_sends_when_the_last_answer_is_there() -> None:
    """Single-stream: nothing queues, so that each request takes the service's time."""
    run = run_closed_loop(50, SimulatedServer(SERVICE), TIMEOUT)
    assert np.allclose(run.latency, SERVICE)
    assert run.throughput == pytest.approx(1 / SERVICE, rel=0.01)


def test_a_percentile_needs_a_request_behind_it() -> None:
    """Of 99 requests the 99th percentile would be the slowest of them."""
    times = np.arange(99.0)
    few = LoadRun(times, times, times + 1, TIMEOUT)
    assert math.isnan(few.percentile(0.99))
    assert few.percentile(0.9) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("rate", "count", "words"), [(0.0, 1, "rate"), (math.nan, 1, "rate"), (1.0, 0, "count")]
)
def test_arrivals_need_a_rate_and_a_count(rate: float, count: int, words: str) -> None:
    """Anything else is an error."""
    with pytest.raises(ValueError, match=words):
        poisson_arrivals(rate, count, 0)


def test_a_seed_fixes_the_arrivals() -> None:
    """Another seed gives others; the mean gap is that of the rate."""
    times = poisson_arrivals(50.0, 20_000, seed=7)
    assert (times == poisson_arrivals(50.0, 20_000, seed=7)).all()
    assert not (times == poisson_arrivals(50.0, 20_000, seed=8)).all()
    assert np.diff(times).mean() == pytest.approx(0.02, rel=0.03)


@pytest.mark.parametrize("schedule", [[], [1.0, 0.5], [0.0, math.nan]])
def test_a_schedule_is_times_that_ascend(schedule: list[float]) -> None:
    """Anything else is an error."""
    with pytest.raises(ValueError, match="schedule"):
        run_open_loop(np.array(schedule), SimulatedServer(0.1), TIMEOUT)
