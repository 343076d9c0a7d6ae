"""Pairs of turns of two endpoints: which of them is slower, and how often that is wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pytest_perfgate.load.load_run import LoadRun
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.stats.arrivals import poisson_arrivals
from pytest_perfgate.stats.paired_turns import middle_log_ratio
from pytest_perfgate.stats.sequential import fewest
from pytest_perfgate.verdicts.side_by_side import decide, log_ratio

from benchmarks.queueing import one_server

RATE, REQUESTS, SERVICE = 50.0, 25, 0.01
PAIRS = 90  # of two turns of 0.5 s each in 90 s


def run_of(latency: np.ndarray) -> LoadRun:
    """A run with these latencies."""
    times = np.arange(float(len(latency)))
    return LoadRun(times, times, times + latency, timeout=10.0)


def turn(random: np.random.Generator, seed: int, slower: float) -> LoadRun:
    """Requests to a service on a machine that is 2 % faster in one turn than in another, and
    sometimes far slower.
    """
    arrivals = poisson_arrivals(RATE, REQUESTS, seed)
    unsteady = random.lognormal(0.0, 0.02) * (1.5 if random.random() < 0.05 else 1.0)
    done = one_server(arrivals, SERVICE * (1 + slower) * unsteady)
    return LoadRun(arrivals, arrivals, done, timeout=10.0)


def session(random: np.random.Generator, slower: float, share: float = 0.5) -> Status:
    """The word at the end of a session of 90 s, looked at after each pair."""
    ratios: list[float] = []
    for _ in range(PAIRS):
        seed = int(random.integers(2**31))
        ratios.append(log_ratio(turn(random, seed, 0.0), turn(random, seed, slower), share))
        status = decide(ratios, 0.02, 0.01).status
        if status is not Status.INCONCLUSIVE:
            return status
    return Status.INCONCLUSIVE


def test_a_slower_endpoint_is_red_and_an_unchanged_one_is_not() -> None:
    """5 % at a budget of 2 % within 90 s in 95 % of sessions; without a change never."""
    random = np.random.default_rng(20_261_130)
    slower = [session(random, 0.05) for _ in range(100)]
    assert slower.count(Status.FAIL) >= 0.95 * len(slower)
    unchanged = [session(random, 0.0) for _ in range(50)]
    assert unchanged.count(Status.FAIL) == 0
    assert unchanged.count(Status.PASS) > 25


def launches(random: np.random.Generator, slower: float, count: int) -> Status:
    """The word at the end of a session of launches, each the middle of eight pairs, looked at
    after each launch.
    """
    ratios: list[float] = []
    for _ in range(count):
        seeds = [int(random.integers(2**31)) for _ in range(8)]
        sides = [
            [turn(random, seed, slowness).latency.tolist() for seed in seeds]
            for slowness in (0.0, slower)
        ]
        ratio = middle_log_ratio(sides[0], sides[1])
        assert ratio is not None
        ratios.append(ratio)
        status = decide(ratios, 0.02, 0.01).status
        if status is not Status.INCONCLUSIVE:
            return status
    return Status.INCONCLUSIVE


def test_few_launches_of_pairs_show_a_slower_version_and_no_other() -> None:
    """5 % at a budget of 2 %: red by the 14th launch, as the pairs of one launch agree."""
    random = np.random.default_rng(20_261_130)
    slower = [launches(random, 0.05, 14) for _ in range(100)]
    assert slower.count(Status.FAIL) >= 0.95 * len(slower)
    unchanged = [launches(random, 0.0, 14) for _ in range(50)]
    assert unchanged.count(Status.FAIL) == 0


def test_a_pair_that_one_side_lacks_is_left_out() -> None:
    """The middle is that of the others; without any there is none."""
    assert middle_log_ratio([(1.0,), (), (1.0,)], [(2.0,), (9.0,), ()]) == math.log(2.0)
    assert middle_log_ratio([(), (1.0,)], [(1.0,), ()]) is None


def test_requests_are_compared_with_those_of_the_same_number() -> None:
    """A large image is slow on both sides, and hides no change of the others."""
    random = np.random.default_rng(0)
    images = random.lognormal(0.0, 2.0, 99)
    assert log_ratio(run_of(images), run_of(1.03 * images), 0.5) == pytest.approx(math.log(1.03))
    shuffled = random.permutation(images)
    ratio = log_ratio(run_of(images), run_of(shuffled), 0.9)
    assert ratio == pytest.approx(0.0)


def test_fewest_pairs_that_agree_prove_each_side() -> None:
    """One fewer proves nothing; a pair on the limit itself is no proof that it is broken."""
    needed = fewest(0.01)
    for ratio, status in ((0.05, Status.FAIL), (0.0, Status.PASS), (-0.5, Status.PASS)):
        assert decide([ratio] * (needed - 1), 0.02, 0.01).status is Status.INCONCLUSIVE
        decision = decide([ratio] * needed, 0.02, 0.01)
        assert decision.status is status
        assert decision.growth == pytest.approx(math.expm1(ratio))
    assert decide([math.log1p(0.02)] * 50, 0.02, 0.01).status is Status.PASS
    assert decide([], 0.02, 0.01).status is Status.ERROR
    few = decide([0.05], 0.02, 0.01)
    assert (few.low, few.high) == (None, None)
