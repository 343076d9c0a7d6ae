"""Laws of the timetable of a cluster, and cases that can be reckoned by hand."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.fleet.cluster import Builders, Cluster, Runners
from pytest_perfgate.fleet.simulation import Job, Work, builds_of, makespan, simulated

SECONDS = st.floats(0, 1000)
KINDS = ("cpu", "gpu")


def work(build: float = 0, measure: float = 0, *, suite: str = "s", around: float = 0) -> Work:
    """A suite of two recipes of the same cost, by one core each, measured on a host of one core."""
    return Work(suite, around, build, (build / 2, build / 2), measure)


WORKS = st.builds(work, build=SECONDS, measure=SECONDS, around=SECONDS)
JOBS = st.lists(st.builds(Job, kind=st.sampled_from(KINDS), work=WORKS), max_size=12)
RUNNERS = st.builds(Runners, count=st.integers(1, 4), speed=st.sampled_from((0.5, 1.0, 2.0)))
CLUSTERS = st.builds(
    Cluster,
    runners=st.fixed_dictionaries(dict.fromkeys(KINDS, RUNNERS)),
    builders=st.none()
    | st.builds(Builders, count=st.integers(1, 3), cores=st.integers(1, 3), speed=st.just(1.0)),
    start=st.sampled_from((0.0, 5.0)),
)


@given(JOBS, CLUSTERS)
def test_every_job_runs_once_and_no_runner_has_two_at_a_time(jobs, cluster):
    """All jobs are in the timetable, each on a runner that is there, one after the other."""
    timetable = simulated(jobs, cluster)
    assert sorted(map(repr, (ran.job for ran in timetable.jobs))) == sorted(map(repr, jobs))
    for ran in timetable.jobs:
        assert 0 <= ran.runner < cluster.runners[ran.job.kind].count
    places = {(ran.job.kind, ran.runner) for ran in timetable.jobs}
    for kind, runner in places:
        mine = [ran for ran in timetable.jobs if (ran.job.kind, ran.runner) == (kind, runner)]
        for one, other in itertools.pairwise(sorted(mine, key=lambda ran: (ran.begin, ran.end))):
            assert one.end <= other.begin


@given(JOBS, CLUSTERS)
def test_work_takes_its_time_and_runners_are_not_idle_while_jobs_wait(jobs, cluster):
    """A job has its runner for all of its seconds, and the end lies between the bounds of any
    schedule in which no runner idles while a job waits: the work divided by the runners, and that
    plus the longest job.
    """
    timetable = simulated(jobs, cluster)
    for ran in timetable.jobs:
        speed = cluster.runners[ran.job.kind].speed
        least = cluster.start + (ran.job.work.around + ran.job.work.measure) / speed
        if cluster.builders is None:
            least += ran.job.work.build / speed
        assert ran.end - ran.begin >= least * (1 - 1e-9)
        assert 0 <= ran.waited <= ran.end - ran.begin + 1e-9
    for kind, runners in cluster.runners.items():
        mine = [ran for ran in timetable.jobs if ran.job.kind == kind]
        longest = max((ran.end - ran.begin for ran in mine), default=0.0)
        end = max((ran.end for ran in mine), default=0.0)
        assert end <= timetable.busy[kind] / runners.count + longest + 1e-6
        assert end >= timetable.busy[kind] / runners.count - 1e-6


@given(JOBS)
def test_builders_do_all_builds(jobs):
    """The cores of builders are at work for as long as the builds take, however they are placed."""
    cluster = Cluster(
        runners={kind: Runners(count=3) for kind in KINDS}, builders=Builders(count=2, cores=2)
    )
    builds = math.fsum(math.fsum(job.work.builds) for job in jobs)
    assert simulated(jobs, cluster).building == pytest.approx(builds)


def test_a_timetable_by_hand():
    """Three jobs of 10, 20 and 5 s on two runners that take 1 s to start: the third follows the
    first, and all end after 21 s.
    """
    jobs = [Job("cpu", work(0, seconds)) for seconds in (10, 20, 5)]
    timetable = simulated(jobs, Cluster(runners={"cpu": Runners(count=2)}, start=1))
    assert [(ran.runner, ran.begin, ran.end) for ran in timetable.jobs] == [
        *((0, 0, 11), (1, 0, 21)),
        (0, 11, 17),
    ]
    assert timetable.busy == {"cpu": 38}


def test_builders_by_hand():
    """Two jobs with two builds of 6 s each share a node of two cores: the first job measures at
    6 s, the second waits as long for a core and measures at 12 s.
    """
    jobs = [Job("cpu", work(12, 10)) for _ in range(2)]
    cluster = Cluster(runners={"cpu": Runners(count=2)}, builders=Builders(count=1, cores=2))
    timetable = simulated(jobs, cluster)
    assert [(ran.end, ran.waited) for ran in timetable.jobs] == [(16, 0), (22, 6)]
    assert timetable.building == 24


def test_a_slow_runner_takes_longer():
    """A runner of a quarter of the speed takes four times as long for what it does itself."""
    cluster = Cluster(runners={"cpu": Runners(count=1, speed=0.25)}, start=2)
    assert simulated([Job("cpu", work(8, 10, around=2))], cluster).end == 2 + 4 * 20


@given(
    st.lists(st.just(0.0) | st.floats(1e-3, 1e3), min_size=1, max_size=8),
    st.floats(0.1, 1000),
    st.integers(1, 4),
)
def test_builds_take_what_was_recorded(parts, build, places):
    """Builds in the recorded proportions end when the recorded phase did."""
    builds = builds_of(parts, build, places)
    assert len(builds) == len(parts)
    assert makespan(builds, places) == pytest.approx(build)
