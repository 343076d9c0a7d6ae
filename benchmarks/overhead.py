"""What measuring costs: the harness's own time around one inference, and a session's idle time.

First, with a session and a pipeline that do nothing, what the harness adds inside the interval
that it reports, and what one turn costs outside of it; beside pytest-benchmark's own loop on the
same nothing. Then, from a session's record, which share of the measuring phase is inference:
`python -m benchmarks.overhead --help`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.session import SessionRecord, SuiteRecord
from pytest_perfgate.suite.reading import read as read_suite
from pytest_perfgate.worker import arm, arm_process, visits
from pytest_perfgate.worker.protocol import ArmSpec
from pytest_perfgate.workloads.varied_images import ROUNDS

from benchmarks.idle import SILENCE, BareVisit, HarnessVisit, idle_work
from benchmarks.workload import ROOT, prepare

TARGET_ADDED = 2e-6
TARGET_SHARE = 0.5
_SESSION_SECONDS = 900.0  # after which a session is given up

_PEER_TEST = """\
import json
import time
from pathlib import Path

from benchmarks.idle import IMAGE, Idle, bare_loop


def test_idle(benchmark):
    run, rounds = Idle().run, {rounds}
    start = time.perf_counter()
    benchmark.pedantic(run, args=(IMAGE,), rounds=rounds, warmup_rounds=min(100, rounds))
    wall = time.perf_counter() - start
    inside = list(benchmark.stats.stats.data)
    found = {{"inside": inside, "wall": wall, "bare": bare_loop(rounds)}}
    Path("peer.json").write_text(json.dumps(found))
"""

_SUITE = """\
[suite]
task  = "detection"
model = {model!r}
[suite.data]
validation = "suites.digits.data:validation"
[[recipe]]
name    = "onnx"
runtime = "onnxruntime"
[recipe.budgets]
latency_p50 = {{ max = "10 s" }}
"""
_SUITE_TEST = "def test_budget(budget):\n    budget.check()\n"


@dataclass(frozen=True)
class Spread:
    """Seconds: the median and the quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Spread:
        """Of many samples."""
        low, median, high = statistics.quantiles(samples, n=4)
        return cls(median, low, high)

    def __str__(self) -> str:
        return f"{self.median * 1e6:8.2f} us   ({self.low * 1e6:.2f} to {self.high * 1e6:.2f})"


@dataclass(frozen=True)
class Added:
    """What each way of measuring nothing reports, and takes.

    Attributes:
        bare, inference, latency: reported of nothing, in turns of processes as in a launch:
            by two readings of the clock, as inference, and as the latency of all three stages.
        turn: wall seconds of one turn, the visit with all its inferences included.
        sample: the part of a turn that is the visit itself.
        peer_bare, peer: in pytest-benchmark's process, the same for its pedantic rounds.
        peer_round: wall seconds of one round.
    """

    bare: Spread
    inference: Spread
    latency: Spread
    turn: Spread
    sample: Spread
    peer_bare: Spread
    peer: Spread
    peer_round: float

    @property
    def inside(self) -> float:
        """Seconds that are added to an inference's time."""
        return self.inference.median - self.bare.median

    @property
    def inside_latency(self) -> float:
        """Seconds that are added to a latency: two more stages that do nothing included."""
        return self.latency.median - self.bare.median

    @property
    def outside(self) -> float:
        """Seconds of a turn that are not the visit."""
        return self.turn.median - self.sample.median

    @property
    def peer_inside(self) -> float:
        """Seconds that pytest-benchmark adds to a call's time."""
        return self.peer.median - self.peer_bare.median

    @property
    def peer_outside(self) -> float:
        """Seconds of one of its rounds that are not the call."""
        return self.peer_round - self.peer.median


def added(count: int) -> Added:
    """Measures nothing, `count` times each way."""
    turns = _turns(count)
    visit, clock = HarnessVisit(), time.perf_counter
    sample = []
    for number in range(count):
        start = clock()
        visit.sample(number)
        sample.append(clock() - start)
    peer = _peer(count)
    return Added(
        bare=Spread.of([times[1] for times in turns["bare"]]),
        inference=Spread.of([times[1] for times in turns["harness"]]),
        latency=Spread.of([sum(times[:3]) for times in turns["harness"]]),
        turn=Spread.of([times[3] for times in turns["harness"]]),
        sample=Spread.of(sample),
        peer_bare=Spread.of(peer["bare"]),
        peer=Spread.of(peer["inside"]),
        peer_round=peer["wall"] / count,
    )


def _turns(count: int) -> dict[str, list[tuple[float, ...]]]:
    """Two arms of a launch take turns on one core: what they report, and the turn's wall time."""
    kinds = {"harness": HarnessVisit, "bare": BareVisit}
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in kinds}
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    suite = read_suite(ROOT / "suites" / "digits" / "recipes.toml", ROOT).suite
    if suite is None:
        raise SystemExit(
            "suites/digits/recipes.toml is no suite; for its problems: "
            "python -m pytest --perf --collect-only suites/digits"
        )
    arms: list[Any] = []
    with (
        tempfile.TemporaryDirectory() as logs,
        mock.patch.object(arm, "RecipeVisit", lambda work, _: kinds[work.recipe]()),
    ):
        try:
            if cores:
                os.sched_setaffinity(0, {min(cores)})
            for name in kinds:
                spec = ArmSpec(name, sys.executable, work=idle_work(name, suite))
                arms.append(arm_process.fork_arm(spec, [], Path(logs), arms))
                arm_process.hear_ready(arms[-1], SILENCE)
            for turn in range(count + 100):
                for each in arms if turn % 2 else reversed(arms):
                    start = time.perf_counter()
                    times = arm_process.take_turn(each, arm.SAMPLE, turn, SILENCE)
                    took = time.perf_counter() - start
                    if turn >= 100:
                        found[each.label].append((*times[:3], took))
        finally:
            for each in arms:
                arm_process.end_arm(each)
            if cores:
                os.sched_setaffinity(0, cores)
    return found


def _peer(rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "test_idle.py").write_text(_PEER_TEST.format(rounds=rounds))
        _pytest(["-p", "no:perfgate", "test_idle.py"], folder, {0})
        found: dict[str, Any] = json.loads((folder / "peer.json").read_text())
    return found


def _pytest(words: Sequence[str], folder: Path, fine: set[int]) -> str:
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)},
        capture_output=True,
        text=True,
        timeout=_SESSION_SECONDS,
        check=False,
    )
    said = (done.stdout + done.stderr)[-2000:]
    if done.returncode not in fine:
        sys.exit(f"pytest ended with {done.returncode}:\n{said}")
    return said


@dataclass(frozen=True)
class Share:
    """Where the seconds of one suite's measuring phase went.

    Attributes:
        launches: how many.
        measure: the phase, all launches and the verdicts between them.
        timed: samples and batches of all recipes and of the yardstick.
        untimed: the turn before the rounds of each visit; not in the record, taken to be as long
            as those.
        load: opening the sessions.
        warm: the fewest inferences that an arm warms up with; the record does not hold how many.
    """

    suite: str
    launches: int
    measure: float
    timed: float
    untimed: float
    load: float
    warm: float

    @property
    def rest(self) -> float:
        """Process start, imports, images, further warm-up, turns, memory, verdicts."""
        return self.measure - self.timed - self.untimed - self.load - self.warm


def share(suite: SuiteRecord) -> Share | None:
    """Where a suite's seconds went; None when it was not measured."""
    measure = suite.phases.get("measure", 0.0)
    records = [*suite.recipes, *suite.controls, *(suite.base.recipes if suite.base else ())]
    recipes = [each for record in records for each in record.launches]
    if not measure or not recipes:
        return None
    samples = sum(sum(each.latency) for each in (*recipes, *suite.yardstick))
    untimed = samples / ROUNDS
    return Share(
        suite=suite.name,
        launches=len({each.index for each in (*recipes, *suite.yardstick)}),
        measure=measure,
        timed=samples + sum(sum(each.batches) for each in recipes),
        untimed=untimed,
        load=sum(each.load_time for each in recipes),
        warm=visits._WARM_MIN * (_medians(recipes) + _medians(suite.yardstick)),
    )


def _medians(launches: Sequence[Launch]) -> float:
    return sum(statistics.median(each.latency) for each in launches if each.latency)


def read(file: Path) -> list[Share]:
    """The shares of every suite in a session's JSON file."""
    record = SessionRecord.model_validate_json(file.read_text())
    return [found for found in map(share, record.suites) if found is not None]


def session(quick: bool) -> list[Share]:
    """Runs a session and reads it: two recipes of the demo suite; quickly, its ONNX file alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = ["--perf", "--perf-wait=600", f"--perf-reports={folder / 'reports'}"]
        words += [f"--perf-cache={ROOT / '.perfgate'}"]  # the scenes lie there
        if quick:
            words += ["suite"]
            (folder / "suite").mkdir()
            (folder / "pytest.ini").write_text("[pytest]\n")
            (folder / "suite" / "test_suite.py").write_text(_SUITE_TEST)
            shutil.copy(prepare() / "model.onnx", folder / "suite")
            (folder / "suite" / "recipes.toml").write_text(_SUITE.format(model="model.onnx"))
        else:
            words += ["-k", "fp32 or onnx", "suites/digits"]
        said = _pytest(words, folder if quick else ROOT, {0, 1})  # broken budgets do not matter
        found = read(next((folder / "reports").glob("*.json")))
    if not found:
        sys.exit(f"the session measured nothing:\n{said}")
    return found


def main() -> None:
    """Prints what is added to an inference, what a turn costs, and where a session's time goes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=main.__doc__)
    parser.add_argument("--repeats", type=int, default=20000, help="turns (default: 20000)")
    parser.add_argument("--session", type=Path, metavar="FILE", help="read it instead of running")
    parser.add_argument("--quick", action="store_true", help="fewer, and ONNX only; a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    asked = parser.parse_args()
    found = added(2000 if asked.quick else asked.repeats)
    _print_added(found)
    shares = read(asked.session) if asked.session else session(asked.quick)
    for each in shares:
        _print_share(each)
    if asked.json:
        figures = {"added": asdict(found), "shares": [asdict(each) for each in shares]}
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")


def _print_added(found: Added) -> None:
    print("a session that does nothing, median (and quartiles)")
    for title, spread in (
        ("two readings of the clock", found.bare),
        ("reported as inference", found.inference),
        ("reported as latency", found.latency),
        ("one turn, wall time", found.turn),
        ("pytest-benchmark: bare", found.peer_bare),
        ("pytest-benchmark: reported", found.peer),
    ):
        print(f"  {title:<28}{spread}")
    kept = "kept" if found.inside_latency < TARGET_ADDED else "missed"
    print(
        f"  inside the timed interval: {found.inside * 1e6:.2f} us more than bare for inference, "
        f"{found.inside_latency * 1e6:.2f} us for latency "
        f"(target {TARGET_ADDED * 1e6:.0f} us: {kept}); "
        f"pytest-benchmark {found.peer_inside * 1e6:.2f} us"
    )
    if found.peer_inside > 0:
        ratios = (found.inside / found.peer_inside, found.inside_latency / found.peer_inside)
        print("  ratio to it: {:.1f} for inference, {:.1f} for latency".format(*ratios))
    print(
        f"  outside: {found.outside * 1e6:.1f} us per turn, pytest-benchmark "
        f"{found.peer_outside * 1e6:.1f} us per round; ratio "
        f"{found.outside / found.peer_outside:.2f}"
    )


def _print_share(found: Share) -> None:
    timed, work = found.timed / found.measure, (found.timed + found.untimed) / found.measure
    print(f"{found.suite}: {found.launches} launches, {found.measure:.1f} s of measuring")
    for title, seconds in (
        ("timed inference", found.timed),
        ("untimed before it (*)", found.untimed),
        ("loading", found.load),
        ("warm-up, at least (*)", found.warm),
        ("imports and the rest", found.rest),
    ):
        print(f"  {title:<28}{seconds:8.1f} s {seconds / found.measure:7.1%}")
    kept = "kept" if work > TARGET_SHARE else "missed"
    kept = "unknown" if found.rest < 0 else kept
    print(
        f"  timed {timed:.0%}, with the untimed {work:.0%} (target {TARGET_SHARE:.0%}: {kept}); "
        f"the rest is {found.rest / found.launches:.1f} s a launch"
    )
    print("  (*) not in the record: as long as the timed ones; the fewest rounds there are")
    if found.rest < 0:
        print(
            "  the parts are more than the whole: no untimed inferences in that version, it seems"
        )


if __name__ == "__main__":
    main()
