"""What whole sessions of eight recipes take beside timed measuring: cold, and with a cache.

`python -m benchmarks.evaluation --sessions` makes COCO val2017's shape and starts three sessions of
one short launch: without a cache; with it, and with the baselines that the first one would write;
and with it where every image is decoded again, as at night.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_perfgate.baselines.store import Store
from pytest_perfgate.baselines.update import baseline_of
from pytest_perfgate.report import session_files
from pytest_perfgate.suite.metrics import metrics_of_record

_OPTIONS = ("--perf", "--perf-seconds=1", "--perf-wait=3600", "--perf-history=off", "-q")
_PAUSE = 0.5  # seconds between looks at memory


@dataclass(frozen=True)
class Cost:
    """Of one session.

    Attributes:
        wall, cpu: seconds; `cpu` of all its processes.
        build, measure: seconds of wall time of these phases, as the session has them.
        together, largest: bytes: the most that all processes had at once (pages that several have
            are counted once), and one alone.
        load: of the machine at the end, over a minute: other people's work makes `wall` longer.
    """

    wall: float
    cpu: float
    build: float
    measure: float
    together: int
    largest: int
    load: float


def costs(count: int) -> dict[str, Cost]:
    """The sessions' costs with `count` images."""
    from benchmarks.coco_shape import write_suite

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "project"
        write_suite(folder, count)
        (folder / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n")
        time.sleep(3)  # digests of files that were written just now are not kept
        cold = _session(folder)
        stored = _store_baselines(folder)
        warm = _session(folder)
        _refuse_other_verdicts(folder, stored)
        shutil.rmtree(folder / ".perfgate" / "digests")
        return {"no cache": cold, "with a cache": warm, "digests verified": _session(folder)}


def _session(folder: Path) -> Cost:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start, together, largest = time.monotonic(), 0, 0
    env = {**os.environ, "TMPDIR": str(folder.parent)}  # no other session's turn is waited for
    env.pop("CI", None)
    command = [sys.executable, "-m", "pytest", *_OPTIONS]
    with subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.DEVNULL) as session:
        while session.poll() is None:
            sizes = [_bytes(process) for process in _tree(session.pid)]
            together, largest = max(together, sum(sizes)), max(largest, *sizes)
            time.sleep(_PAUSE)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    phases = json.loads(_newest(folder).read_bytes())["suites"][0]["phases"]
    return Cost(
        wall=round(time.monotonic() - start, 1),
        cpu=round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        build=phases["build"],
        measure=phases["measure"],
        together=together,
        largest=largest,
        load=round(os.getloadavg()[0], 1),
    )


def _newest(folder: Path) -> Path:
    return max((folder / "reports").glob("2*.json"))


def _tree(process: int) -> list[int]:
    """A process and all that it started, directly or not."""
    family = [process]
    try:
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            for child in children.read_text().split():
                family += _tree(int(child))
    except OSError:  # it has ended meanwhile
        pass
    return family


def _bytes(process: int) -> int:
    """Proportional set size, proc_pid_smaps(5)."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _store_baselines(folder: Path) -> int:
    """Writes what the first session measured: `--perf-update` refuses it on a loud machine."""
    record = session_files.read(_newest(folder))
    (suite,) = record.suites
    metrics = metrics_of_record(suite)
    baselines = [baseline_of(record, suite, recipe, metrics) for recipe in suite.recipes]
    Store(folder / "baselines").write_all(baselines)
    return len(baselines)


def _refuse_other_verdicts(folder: Path, stored: int) -> None:
    """Check that the second session has compared every recipe with its baseline."""
    (suite,) = session_files.read(_newest(folder)).suites
    compared = [
        verdict.recipe
        for verdict in suite.verdicts
        if verdict.metric == "map" and verdict.status.value != "NO BASELINE"
    ]
    if len(compared) != stored:
        raise RuntimeError(f"{len(compared)} of {stored} recipes were compared with a baseline")


def show(columns: dict[str, Cost]) -> None:
    """Prints the table, in Markdown."""
    rows: dict[str, Callable[[Cost], float]] = {
        "seconds of wall time": lambda cost: cost.wall,
        "of them: built, evaluated, compared": lambda cost: cost.build,
        "of them: one launch, and verdicts": lambda cost: cost.measure,
        "seconds of CPU time, all processes": lambda cost: cost.cpu,
        "GB of all processes at once": lambda cost: round(cost.together / 1e9, 2),
        "GB of the largest process": lambda cost: round(cost.largest / 1e9, 2),
        "load of the machine": lambda cost: cost.load,
    }
    print(f"| a session | {' | '.join(columns)} |")
    print("| --- |" + " --- |" * len(columns))
    for name, value in rows.items():
        print(f"| {name} | {' | '.join(str(value(cost)) for cost in columns.values())} |")
