"""Stored baselines on a loud machine: how often unchanged code is called slower beside other work.

Sessions of the demo detector in torch and ONNX Runtime, with no, one and two busy loops on every
core. Each is stored as a baseline where the product would store it, and every other session is
judged against it, as `pytest --perf` does: `python -m benchmarks.loud_machine --help`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_perfgate.baselines.baseline import Baseline
from pytest_perfgate.baselines.update import baseline_of
from pytest_perfgate.files import put
from pytest_perfgate.machine.cores import usable_cores
from pytest_perfgate.machine.fingerprint import this_environment, this_machine
from pytest_perfgate.machine.steadiness import loud
from pytest_perfgate.measure.worker_environment import allocator
from pytest_perfgate.metric import PERFORMANCE
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import SessionRecord, SuiteRecord
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.verdicts.evidence import Evidence, Risk
from pytest_perfgate.verdicts.judge import judge

from benchmarks.calibration import ALPHA, progress, upper
from benchmarks.sessions import METRIC, Project
from benchmarks.workload import KINDS, Kind

LOOPS = (0, 1, 2)
"""Busy loops on every core."""

LIMITS = (0.05, 0.10)
_SECONDS = 240.0  # of a session: eight launches beside two busy loops per core
_LOOP = """\
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(10**7):
        pass
"""


@dataclass(frozen=True)
class Measured:
    """One session: what was measured, beside how many busy loops per core."""

    kind: Kind
    loops: int
    suite: SuiteRecord

    @property
    def loud(self) -> str:
        """Why nothing of it is stored, and nothing stored is called broken; "" for a steady one."""
        return loud(self.suite.conditions)

    @property
    def recipe(self) -> RecipeRecord:
        """Its only recipe, without the launches that do not count."""
        return self.suite.recipes[0].without(self.suite.discarded)


@dataclass(frozen=True)
class Judged:
    """One session beside another as its baseline.

    Attributes:
        status: the product's answer; None: it stores no such baseline.
        by_yardstick: the answer without the rules on loud machines, that nothing is stored there
            and nothing is called worse.
    """

    kind: Kind
    stored: int
    now: int
    limit: float
    status: Status | None
    by_yardstick: Status


def main() -> None:
    """Prints the table of stored baselines; a run that was stopped goes on where `--json` ended."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.loud_machine", description=main.__doc__
    )
    parser.add_argument("--sessions", type=int, default=6, help="per workload and load; default: 6")
    parser.add_argument("--workload", choices=KINDS, action="append", help="default: both")
    parser.add_argument("--quick", action="store_true", help="two sessions each of ONNX Runtime")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="keep every session there, and go on from it"
    )
    options = parser.parse_args()
    kinds: Sequence[Kind] = options.workload or (("onnx",) if options.quick else KINDS)
    sessions = 2 if options.quick else options.sessions
    measured = read(options.json) if options.json else []
    plan = missing(measured, kinds, sessions)
    with tempfile.TemporaryDirectory(prefix="perfgate-loud-") as folder:
        project = Project(Path(folder)) if plan else None
        for number, (kind, loops) in enumerate(plan, 1):
            progress(f"session {number} of {len(plan)}: {kind}, {loops} busy loops per core")
            assert project is not None
            with busy(loops):
                measured.append(of_session(kind, loops, project.stored(kind, _SECONDS, ALPHA)))
            if options.json:
                write(options.json, measured)
    print("\n".join(table(measured)))


def of_session(kind: Kind, loops: int, suite: SuiteRecord) -> Measured:
    """One session, whose recipe was measured: nothing that failed may count as not red.

    Raises:
        RuntimeError: it was not.
    """
    failure = suite.recipes[0].failure
    if failure is not None or not suite.conditions:
        raise RuntimeError(
            f"{kind} was not measured: {failure.problem if failure else 'no launch'}"
        )
    return Measured(kind, loops, suite)


def missing(
    measured: Sequence[Measured], kinds: Sequence[Kind], sessions: int
) -> list[tuple[Kind, int]]:
    """The sessions that are still to be measured, loads in turns: a drift meets all alike."""
    counts = Counter((session.kind, session.loops) for session in measured)
    return [
        (kind, loops)
        for turn in range(sessions)
        for loops in LOOPS
        for kind in kinds
        if counts[kind, loops] <= turn
    ]


@contextlib.contextmanager
def busy(loops: int) -> Iterator[None]:
    """So many busy loops on every core; they end with the block, and with this process."""
    processes = [
        subprocess.Popen([sys.executable, "-c", _LOOP, str(core)])
        for core in usable_cores()
        for _ in range(loops)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def baseline(session: Measured) -> Baseline:
    """What the session stores."""
    record = SessionRecord(
        id="loud",
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=0.0,
        command="",
        machine=this_machine(),
        environment=this_environment(allocator=allocator()),
    )
    return baseline_of(record, session.suite, session.recipe, PERFORMANCE)


def judged(measured: Sequence[Measured]) -> list[Judged]:
    """Every session against every other one of its workload."""
    answers = []
    for before in measured:
        stored = baseline(before)
        for now in measured:
            if now is before or now.kind != before.kind:
                continue
            for limit in LIMITS:
                status = None if before.loud else _status(now, stored, limit, now.loud)
                alone = _status(now, stored, limit, "")
                answers.append(Judged(now.kind, before.loops, now.loops, limit, status, alone))
    return answers


def _status(now: Measured, stored: Baseline, limit: float, reason: str) -> Status:
    budget = Budget(METRIC, (Limit(LimitKind.REGRESSION, limit, f"{limit:.0%}"),))
    evidence = Evidence(
        record=now.recipe,
        baseline=stored,
        yardstick=tuple(
            launch for launch in now.suite.yardstick if launch.index not in now.suite.discarded
        ),
        loud=reason,
    )
    return judge(budget, PERFORMANCE[METRIC], evidence, Risk(ALPHA), datetime.now(UTC)).status


def table(measured: Sequence[Measured]) -> list[str]:
    """Sessions by load, then verdicts by workload, loads and budget, and all red ones together."""
    lines = [
        f"{'workload':<10}{'loops per core':>15}{'sessions':>10}{'launches':>10}{'unsteady':>10}"
        f"{'stored':>8}"
    ]
    for kind, loops in sorted({(session.kind, session.loops) for session in measured}):
        alike = [session for session in measured if (session.kind, session.loops) == (kind, loops)]
        conditions = [launch for session in alike for launch in session.suite.conditions]
        rough = sum(bool(session.loud) for session in alike)
        lines.append(
            f"{kind:<10}{loops:>15}{len(alike):>10}{len(conditions):>10}"
            f"{f'{rough} of {len(alike)}':>10}{len(alike) - rough:>8}"
        )
    answers = judged(measured)
    lines += [
        "",
        f"{'workload':<10}{'stored at':>10}{'judged at':>10}{'budget':>8}{'pairs':>7}"
        f"{'not stored':>12}{'FAIL':>6}{'PASS':>6}{'INCONCL.':>10}{'by yardstick alone: FAIL':>26}",
    ]
    groups: dict[tuple[Kind, int, int, float], list[Judged]] = {}
    for answer in answers:
        key = (answer.kind, answer.stored, answer.now, answer.limit)
        groups.setdefault(key, []).append(answer)
    for (kind, stored, now, limit), pairs in sorted(groups.items()):
        counts = Counter(answer.status for answer in pairs)
        alone = sum(answer.by_yardstick is Status.FAIL for answer in pairs)
        lines.append(
            f"{kind:<10}{stored:>10}{now:>10}{limit:>8.0%}{len(pairs):>7}{counts[None]:>12}"
            f"{counts[Status.FAIL]:>6}{counts[Status.PASS]:>6}{counts[Status.INCONCLUSIVE]:>10}"
            f"{alone:>26}"
        )
    decided = [answer for answer in answers if answer.status is not None]
    lines += [
        _red("unchanged code, as the product judges it", [one.status for one in decided]),
        _red("by the yardstick alone, loud baselines too", [one.by_yardstick for one in answers]),
    ]
    return lines


def _red(what: str, statuses: Sequence[Status | None]) -> str:
    if not statuses:
        return f"{what}: no session was steady enough to be stored"
    red = statuses.count(Status.FAIL)
    bound = upper(red, len(statuses))
    return f"{what}: {red} red of {len(statuses)} (95 % bound {bound:.2%})"


def read(file: Path) -> list[Measured]:
    """The sessions of a file, none where it is not there yet."""
    if not file.exists():
        return []
    data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return [
        Measured(row["kind"], row["loops"], SuiteRecord.model_validate(row["suite"]))
        for row in data["sessions"]
    ]


def write(file: Path, measured: Sequence[Measured]) -> None:
    """All sessions so far, whole or not at all, with the table's lines."""
    rows = [
        {
            "kind": session.kind,
            "loops": session.loops,
            "suite": session.suite.model_dump(mode="json"),
        }
        for session in measured
    ]
    put(file, json.dumps({"sessions": rows, "table": table(measured)}) + "\n")


if __name__ == "__main__":
    main()
