"""`pytest-perfgate plan`: how long runners would take for suites, from sessions of them."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_perfgate.cli import options
from pytest_perfgate.units import count_of, percent

if TYPE_CHECKING:
    from pytest_perfgate.fleet.cluster import Cluster
    from pytest_perfgate.fleet.recorded import Plan
    from pytest_perfgate.fleet.simulation import Timetable

_ABOUT = """\
Says when a night or a merge would end on other runners: each suite of the sessions is a
job on every kind of runners, and begins on the first runner of the kind that is free.
Nothing is measured; the times are those that the sessions took.

The file of --fleet, all but "count" may be left out:

    {"runners": {"cpu":    {"count": 8},
                 "jetson": {"count": 2, "speed": 0.25, "suites": ["detector"]}},
     "builders": {"count": 4, "cores": 16},
     "start": 30}

"machine" takes the times from sessions of that machine alone; "speed" is to the machine
of the sessions; "builders" are nodes of --perf-fleet; "start" is seconds per job before
pytest starts.

exit code: 0 all has its time; 10 a suite has none, and is left out; 1 a file cannot be
           read; 2 wrong usage"""


def add_command(commands: Any) -> None:
    """Adds the command to the subparsers of `pytest-perfgate`."""
    plan = commands.add_parser(
        "plan",
        help="say how long a number of runners would take for some sessions' suites",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    plan.add_argument(
        "files", type=Path, nargs="+", metavar="SESSION.json", help="JSON files of sessions"
    )
    plan.add_argument(
        "--fleet", type=Path, required=True, metavar="FILE", help="JSON file of the runners"
    )
    plan.add_argument("--jobs", action="store_true", help="a line for each job as well")
    plan.add_argument("--json", type=Path, metavar="FILE", help="write the timetable there, too")
    plan.set_defaults(run=_plan)


def _plan(arguments: argparse.Namespace) -> int:
    from pytest_perfgate.files import put
    from pytest_perfgate.fleet import cluster as clusters
    from pytest_perfgate.fleet.recorded import planned
    from pytest_perfgate.fleet.simulation import simulated
    from pytest_perfgate.report.session_files import read

    cluster = clusters.read(arguments.fleet)
    plan = planned({file: read(file) for file in dict.fromkeys(arguments.files)}, cluster)
    timetable = simulated(plan.jobs, cluster)
    if plan.jobs:
        _print(plan, cluster, timetable)
    if arguments.jobs:
        _print_jobs(timetable)
    if arguments.json:
        put(arguments.json, json.dumps(_data(timetable, cluster), indent=1) + "\n")
    for text in plan.missing:
        print(f"left out: {text}", file=sys.stderr)
    return options.UNMEASURED if plan.missing or not plan.jobs else 0


def _print(plan: Plan, cluster: Cluster, timetable: Timetable) -> None:
    from pytest_perfgate.fleet.recorded import idle_share, longest_first, with_one_more
    from pytest_perfgate.fleet.simulation import simulated

    runners = sum(one.count for one in cluster.runners.values())
    print(
        f"{count_of(len(plan.jobs), 'job')} on {count_of(runners, 'runner')}: "
        f"all have ended after {_clock(timetable.end)}\n"
    )
    width = max(len("builders"), *map(len, cluster.runners))
    print(f"{'':{width}} {'runners':>8} {'jobs':>6} {'ends':>9} {'idle':>8}  with one more")
    for kind, one in cluster.runners.items():
        jobs = [ran for ran in timetable.jobs if ran.job.kind == kind]
        idle = idle_share(timetable.busy[kind], one.count, timetable.end)
        more = simulated(plan.jobs, with_one_more(cluster, kind)).end
        ends = _clock(max((ran.end for ran in jobs), default=0.0))
        print(
            f"{kind:{width}} {one.count:8} {len(jobs):6} {ends:>9} {percent(idle):>8}  "
            f"all end after {_clock(more)}"
        )
    if cluster.builders is not None:
        idle = idle_share(
            timetable.building, cluster.builders.count * cluster.builders.cores, timetable.end
        )
        waited = sum(ran.waited for ran in timetable.jobs)
        print(
            f"{'builders':{width}} {cluster.builders.count:8} {'':6} {'':9} {percent(idle):>8}  "
            f"runners waited {_clock(waited)} for them, all together"
        )
    ordered = simulated(longest_first(plan.jobs), cluster).end
    if ordered < timetable.end:
        print(f"\nThe longest jobs first: all end after {_clock(ordered)}.")


def _print_jobs(timetable: Timetable) -> None:
    print(f"\n{'begins':>9} {'ends':>9}  runner  job")
    for ran in timetable.jobs:
        print(
            f"{_clock(ran.begin):>9} {_clock(ran.end):>9}  {ran.runner + 1:6}  "
            f"{ran.job.work.suite}@{ran.job.kind}"
        )


def _data(timetable: Timetable, cluster: Cluster) -> dict[str, Any]:
    """The timetable as JSON: seconds from the start of all."""
    return {
        "end": timetable.end,
        "busy": dict(timetable.busy),
        "building": timetable.building,
        "cluster": cluster.model_dump(),
        "jobs": [
            {
                "suite": ran.job.work.suite,
                "kind": ran.job.kind,
                **{key: value for key, value in asdict(ran).items() if key != "job"},
            }
            for ran in timetable.jobs
        ],
    }


def _clock(seconds: float) -> str:
    """A time for people: 3,725 s is "1:02:05"."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
