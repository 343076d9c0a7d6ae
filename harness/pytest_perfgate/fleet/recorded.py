"""What sessions say of the time that suites take: the jobs of a plan."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.fleet.cluster import Cluster, Runners
from pytest_perfgate.fleet.simulation import Job, Work, builds_of
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import SessionRecord, SuiteRecord

_LEAST = 0.1
"""Seconds of a recipe whose artifact and scores were in the cache: its worker starts and ends."""


@dataclass(frozen=True)
class Plan:
    """What a cluster has to do.

    Attributes:
        jobs: in the order of the kinds of runners, and in each of the suites' names.
        missing: what no session says the time of, in words.
    """

    jobs: tuple[Job, ...]
    missing: tuple[str, ...]


def planned(sessions: Mapping[Path, SessionRecord], cluster: Cluster) -> Plan:
    """The jobs of a cluster: every suite of the sessions on every kind of runners that has it. Of a
    suite that was measured more than once the latest session counts. Two targets that are one
    machine count once in it, by the longer of the two: the other found artifacts in the cache.

    Raises:
        PerfgateError: a kind names a suite or a machine that no session has.
    """
    latest: dict[str, Work] = {}
    here: dict[str, dict[str, Work]] = {}
    failed: dict[str, str] = {}
    ordered = sorted(sessions.values(), key=lambda one: datetime.fromisoformat(one.started))
    for session in ordered:
        own_works: dict[tuple[str, str], Work] = {}
        for suite in session.suites:
            own = session.at(suite)
            if "measure" in suite.phases and own is not None:
                place, work = (suite.name, own.machine.id), _work(own, suite)
                longest = max(own_works.get(place, work), work, key=_length)
                own_works[place] = latest[suite.name] = longest
                here.setdefault(own.machine.id, {})[suite.name] = longest
            else:
                why = suite.failure.problem if suite.failure else "nothing of it was measured"
                failed[suite.name] = f"{suite.name}: {why} (session {session.id})"
    missing = [text for suite, text in failed.items() if suite not in latest]
    jobs = []
    for kind, runners in cluster.runners.items():
        if runners.machine and runners.machine not in here:
            raise _unknown(kind, "machine", runners.machine, here)
        known = here[runners.machine] if runners.machine else latest
        for name in runners.suites:
            if name not in latest and name not in failed:
                raise _unknown(kind, "suites", name, latest)
        for name in sorted(_asked(runners, latest)):
            if name in known:
                jobs.append(Job(kind, known[name]))
            else:
                missing.append(f"{name}: no session measured it on {runners.machine} ({kind})")
    return Plan(tuple(jobs), tuple(missing))


def _asked(runners: Runners, suites: Mapping[str, Work]) -> set[str]:
    return set(suites) & set(runners.suites) if runners.suites else set(suites)


def _unknown(kind: str, key: str, value: str, known: Mapping[str, object]) -> PerfgateError:
    return PerfgateError(
        f"{value!r} is in none of the sessions",
        where=f"runners.{kind}.{key}",
        valid=", ".join(sorted(known)) or "the sessions have none",
        next_step="name the JSON file of a session that has it as well",
    )


def _work(session: SessionRecord, suite: SuiteRecord) -> Work:
    build = suite.phases.get("build", 0.0)
    inside = math.fsum(math.fsum(one.phases.values()) for one in session.suites)
    threads = max(map(_threads, suite.recipes), default=1)
    places = max(1, session.machine.cores // threads)
    return Work(
        suite.name,
        around=max(0.0, session.seconds - inside) / len(set(map(_place, session.suites))),
        build=build,
        builds=builds_of([_own_seconds(recipe) for recipe in suite.recipes], build, places),
        measure=math.fsum(suite.phases.values()) - build,
        threads=threads,
    )


def _length(work: Work) -> float:
    return work.build + work.measure


def _place(suite: SuiteRecord) -> tuple[str, str]:
    """What is one job of a plan: a suite on a machine; one that was not reached has a target."""
    return suite.name, suite.machine.id if suite.machine is not None else suite.target


def _threads(recipe: RecipeRecord) -> int:
    """Threads of a recipe by what its runtime says of itself; 1 where it does not."""
    threads = recipe.runtime_facts.get("threads")
    return threads if type(threads) is int and threads > 0 else 1


def _own_seconds(recipe: RecipeRecord) -> float:
    """Seconds of what was built and evaluated of a recipe in its session."""
    links = math.fsum(link.seconds for link in recipe.lineage if not link.cached)
    scored = recipe.accuracy.seconds if recipe.accuracy else 0.0
    folds = recipe.folds.seconds if recipe.folds else 0.0
    return max(_LEAST, links + scored + folds)


def with_one_more(cluster: Cluster, kind: str) -> Cluster:
    """The same cluster with another runner of a kind."""
    runners = cluster.runners[kind]
    more = {**cluster.runners, kind: runners.model_copy(update={"count": runners.count + 1})}
    return cluster.model_copy(update={"runners": more})


def idle_share(busy: float, places: int, end: float) -> float | None:
    """The share of the time up to `end` in which places were free; None where nothing ran."""
    return 1 - busy / (places * end) if end > 0 else None


def longest_first(jobs: Sequence[Job]) -> tuple[Job, ...]:
    """The jobs with the longest in front, which leaves short ones to fill the end."""
    return tuple(sorted(jobs, key=lambda job: -(job.work.build + job.work.measure)))
