"""How long a cluster takes for many suites: jobs in their order, each on the first free runner.

Nothing is started: the times are those of sessions that were measured. A job has its runner from
its start to its end, also while it waits for builders, as `pytest --perf --perf-fleet` has.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_perfgate.fleet.cluster import Cluster


@dataclass(frozen=True)
class Work:
    """What one session of a suite did, in seconds of the machine that it was measured on.

    Attributes:
        around: before the first build and after the last verdict.
        build: from the first build to the last, all cores of the machine at work.
        builds: of each recipe, by itself; their list schedule on `cores` takes `build`.
        measure: all after the builds.
        threads: cores that the build of a recipe takes.
    """

    suite: str
    around: float
    build: float
    builds: tuple[float, ...]
    measure: float
    threads: int = 1


@dataclass(frozen=True)
class Job:
    """A suite on a kind of runners."""

    kind: str
    work: Work


@dataclass(frozen=True)
class Ran:
    """When a job had its runner, in seconds from the start of all.

    Attributes:
        begin, end: the runner was this job's meanwhile.
        waited: seconds of it in which none of its builds ran though it had some left.
    """

    job: Job
    runner: int
    begin: float
    end: float
    waited: float = 0.0


@dataclass(frozen=True)
class Timetable:
    """What a cluster did.

    Attributes:
        jobs: in the order of their begin.
        busy: kind to the seconds that its runners were some job's, all together.
        building: seconds that cores of builders were at work, all together.
    """

    jobs: tuple[Ran, ...]
    busy: Mapping[str, float]
    building: float = 0.0

    @property
    def end(self) -> float:
        """Seconds to the end of the last job."""
        return max((ran.end for ran in self.jobs), default=0.0)


@dataclass
class _Open:
    """A job that has its runner."""

    job: Job
    runner: int
    begin: float
    left: int = 0
    running: int = 0
    idle_since: float = 0.0
    waited: float = 0.0


@dataclass
class _Simulation:
    cluster: Cluster
    waiting: dict[str, deque[Job]]
    free: dict[str, list[int]]
    cores: list[int]
    queue: deque[tuple[_Open, float, int]] = field(default_factory=deque)
    events: list[tuple[float, int, str, _Open, int, int]] = field(default_factory=list)
    number: itertools.count[int] = field(default_factory=itertools.count)
    done: list[Ran] = field(default_factory=list)
    building: float = 0.0

    def run(self) -> Timetable:
        for kind in self.waiting:
            self._begin(kind, 0.0)
        while self.events:
            now, _, what, opened, node, threads = heapq.heappop(self.events)
            if what == "build":
                self._queue_builds(opened, now)
            elif what == "built":
                self._built(opened, node, threads, now)
            else:
                self._end(opened, now)
        self.done.sort(key=lambda ran: ran.begin)
        busy = dict.fromkeys(self.waiting, 0.0)
        for ran in self.done:
            busy[ran.job.kind] += ran.end - ran.begin
        return Timetable(tuple(self.done), busy, self.building)

    def _at(self, time: float, what: str, opened: _Open, node: int = 0, threads: int = 0) -> None:
        heapq.heappush(self.events, (time, next(self.number), what, opened, node, threads))

    def _begin(self, kind: str, now: float) -> None:
        """Gives waiting jobs the free runners of a kind, the lowest number first."""
        while self.waiting[kind] and self.free[kind]:
            job = self.waiting[kind].popleft()
            opened = _Open(job, heapq.heappop(self.free[kind]), now)
            speed = self.cluster.runners[kind].speed
            ready = now + self.cluster.start + job.work.around / speed
            if self.cluster.builders is None:
                ready += job.work.build / speed
            self._at(ready, "build", opened)

    def _queue_builds(self, opened: _Open, now: float) -> None:
        work = opened.job.work
        if self.cluster.builders is None or not work.builds:
            self._measure(opened, now)
            return
        opened.left, opened.idle_since = len(work.builds), now
        threads = min(work.threads, self.cluster.builders.cores)
        for seconds in work.builds:
            self.queue.append((opened, seconds / self.cluster.builders.speed, threads))
        self._place(now)

    def _place(self, now: float) -> None:
        """Starts builds in their order, each on the node with the most free cores."""
        while self.queue:
            opened, seconds, threads = self.queue[0]
            node = max(range(len(self.cores)), key=self.cores.__getitem__)
            if self.cores[node] < threads:
                return
            self.queue.popleft()
            self.cores[node] -= threads
            self.building += seconds * threads
            if not opened.running:
                opened.waited += now - opened.idle_since
            opened.running += 1
            self._at(now + seconds, "built", opened, node, threads)

    def _built(self, opened: _Open, node: int, threads: int, now: float) -> None:
        self.cores[node] += threads
        opened.left -= 1
        opened.running -= 1
        opened.idle_since = now
        self._place(now)
        if not opened.left:
            self._measure(opened, now)

    def _measure(self, opened: _Open, now: float) -> None:
        speed = self.cluster.runners[opened.job.kind].speed
        self._at(now + opened.job.work.measure / speed, "end", opened)

    def _end(self, opened: _Open, now: float) -> None:
        kind = opened.job.kind
        self.done.append(Ran(opened.job, opened.runner, opened.begin, now, opened.waited))
        heapq.heappush(self.free[kind], opened.runner)
        self._begin(kind, now)


def simulated(jobs: Sequence[Job], cluster: Cluster) -> Timetable:
    """When each job begins and ends: each kind's in their order, on the first runner that is free.
    A build that waits for cores holds back those behind it.
    """
    waiting: dict[str, deque[Job]] = {kind: deque() for kind in cluster.runners}
    for job in jobs:
        waiting[job.kind].append(job)
    free = {kind: list(range(runners.count)) for kind, runners in cluster.runners.items()}
    builders = cluster.builders
    cores = [builders.cores] * builders.count if builders else []
    return _Simulation(cluster, waiting, free, cores).run()


def makespan(seconds: Sequence[float], places: int) -> float:
    """Seconds until the last of some tasks ends that are started in order on so many places."""
    ends = [0.0] * min(places, len(seconds))
    for task in seconds:
        heapq.heappush(ends, heapq.heappop(ends) + task)
    return max(ends, default=0.0)


def builds_of(parts: Sequence[float], build: float, places: int) -> tuple[float, ...]:
    """Seconds of each build, in the proportions of `parts`, so that all of them take `build`
    seconds on so many places; alike where nothing is known of them.
    """
    known = list(parts) if math.fsum(parts) > 0 else [1.0] * len(parts)
    whole = makespan(known, places)
    return tuple(part / whole * build for part in known) if whole > 0 else ()
