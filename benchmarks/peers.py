"""What the nearest tools answer to a true slow-down, and how long they take to say it.

pytest-benchmark as a project uses it: a stored run, then a second one with
`--benchmark-compare-fail`. benchmatrix as its README uses it for drift: baseline and candidate in
two checkouts, adjacent AB/BA pairs of processes, `compare --paired`. Each runs in a folder of its
own, with its own defaults, neither pinned nor with another allocator:
`python -m benchmarks.peers --help`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.workload import KINDS, ROOT, Kind, prepare

Answer = Literal["FAIL", "PASS", "INCONCLUSIVE"]

PYTEST_BENCHMARK, BENCHMATRIX = "pytest-benchmark", "benchmatrix"
FACTORS = (0.0, 0.02, 0.05, 0.10, 0.20)
THRESHOLDS = (0.02, 0.05)

ROUNDS = 100
"""Fewest rounds of pytest-benchmark; its default of 1 s would give 30 to 90 of this workload."""

LATENCY = ("single_call_latency",)
"""The one metric of benchmatrix's that all methods judge here. Its default is a matrix of three,
which takes twice as many pairs and corrects for three comparisons: `metrics=()`. It judges the mean
of this metric, of as many rounds as fit into a second of each process."""

MISSING = """\
benchmatrix is not installed for {python}. Install it beside the project:
    pip install 'pytest-perfgate[bench]'
or into another environment that has the project's packages, and name its interpreter:
    python -m benchmarks.peers --benchmatrix /path/to/python
or leave it out: --peers pytest-benchmark"""

_SILENCE = 1800.0  # seconds after which a peer's command is given up
_PYTEST = ("-m", "pytest", "-q", "-p", "no:perfgate", "-p", "no:cacheprovider")
_TEST = "test_inference.py"
_BROKEN = re.compile(r"Field 'median' has failed PercentageRegressionCheck: \S+ > ([0-9.]+)")
_COMPARED = "Comparing against benchmarks from: "
_WORSE: tuple[Answer, ...] = ("FAIL", "INCONCLUSIVE", "PASS")
_ANSWERS: dict[str, Answer] = {
    "regressed": "FAIL",
    "inconclusive": "INCONCLUSIVE",
    "unchanged": "PASS",
    "improved": "PASS",
}


class PeerFailed(Exception):
    """A peer could not be run, or gave no answer; the message holds its last words."""


@dataclass(frozen=True)
class Outcome:
    """One answer of one peer.

    Attributes:
        factor: the true slow-down of the candidate, 0 for none.
        threshold: the slow-down that was to be reported, as a fraction.
        seconds: wall time of what is run to get the answer.
        stored_seconds: wall time spent before on a stored baseline, 0 where there is none.
    """

    peer: str
    factor: float
    threshold: float
    answer: Answer
    seconds: float
    stored_seconds: float = 0.0


def pytest_benchmark(
    workload: Kind,
    factor: float,
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    rounds: int = ROUNDS,
    cache: Path | None = None,
) -> list[Outcome]:
    """A stored run without, then a compared run with the slow-down: one answer per threshold.

    Raises:
        PeerFailed: it did not run, or compared nothing.
        ValueError: a threshold is not a whole number of percent, which is all it takes.
    """
    percents = [whole_percent(each) for each in thresholds]
    cache = prepare(cache).parent
    command = [sys.executable, *_PYTEST, f"--benchmark-min-rounds={rounds}", _TEST]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _checkout(folder, _pytest_benchmark_test(workload, 0.0, cache))
        done, before = _run([*command, "--benchmark-save=baseline"], folder)
        if done.returncode:
            raise PeerFailed(_words(PYTEST_BENCHMARK, done))
        _checkout(folder, _pytest_benchmark_test(workload, factor, cache))
        # It keeps one limit of a field only, the last: the others are read from its two files.
        limit = f"--benchmark-compare-fail=median:{percents[0]}%"
        asked = ["--benchmark-compare=0001", limit, "--benchmark-json=now.json"]
        done, seconds = _run([*command, *asked], folder)
        answers = [stored_answer(done, percents[0])]
        stored = json.loads(next(folder.glob(".benchmarks/*/0001_baseline.json")).read_text())
        now = json.loads((folder / "now.json").read_text())
        answers += [file_answer(stored, now, percent) for percent in percents[1:]]
    return [
        Outcome(PYTEST_BENCHMARK, factor, threshold, answer, round(seconds, 2), round(before, 2))
        for threshold, answer in zip(thresholds, answers, strict=True)
    ]


def benchmatrix(
    workload: Kind,
    factor: float,
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    python: str = sys.executable,
    metrics: Sequence[str] = LATENCY,
    pairs: int | None = None,
    cache: Path | None = None,
) -> list[Outcome]:
    """One paired collection, compared once per threshold; `seconds` holds both.

    `python` is an interpreter that has benchmatrix and the project's packages. `metrics` are the
    cells of its matrix, () for its default of three. `pairs` of processes are as many as it
    chooses (6 for one metric, 12 for three) when that is None.

    Raises:
        PeerFailed: it is not installed, did not run, or found nothing to compare.
    """
    require_benchmatrix(python)
    cache = prepare(cache).parent
    test = [python, *_PYTEST, "--benchmark-only", _TEST]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for side, slower in (("baseline", 0.0), ("candidate", factor)):
            _checkout(folder / side, _benchmatrix_test(workload, slower, cache, metrics))
        collect = [python, "-m", "benchmatrix", "collect-paired", "--output", "pairs"]
        collect += ["--baseline-cwd", "baseline", "--candidate-cwd", "candidate"]
        collect += ["--pairs", str(pairs)] if pairs else []
        collected, seconds = _run([*collect, "--", *test, ":::", *test], folder)
        if collected.returncode:
            raise PeerFailed(_words(BENCHMATRIX, collected))
        found = []
        for threshold in thresholds:
            compare = [python, "-m", "benchmatrix", "compare", "pairs", "--paired", "--no-config"]
            compare += ["--threshold", f"{100 * threshold:g}%", "--format", "json"]
            compared, more = _run(compare, folder)
            answer = paired_answer(compared)
            found.append(Outcome(BENCHMATRIX, factor, threshold, answer, round(seconds + more, 2)))
    return found


def whole_percent(threshold: float) -> int:
    """0.05 as 5.

    Raises:
        ValueError: it is not a whole number of percent.
    """
    percent = round(100 * threshold, 9)
    if percent != int(percent) or percent < 0:
        raise ValueError(
            f"pytest-benchmark takes whole percents as a threshold, not {100 * threshold:g}%"
        )
    return int(percent)


def stored_answer(done: subprocess.CompletedProcess[str], percent: int) -> Answer:
    """What a run of pytest-benchmark with `--benchmark-compare-fail` at `percent` answered.

    Raises:
        PeerFailed: the run failed for another reason, or compared nothing.
    """
    text = done.stdout + done.stderr
    broken = [float(found) for found in _BROKEN.findall(text)]
    told = [float(percent)] if done.returncode else []
    if broken != told or _COMPARED not in text:
        raise PeerFailed(_words(PYTEST_BENCHMARK, done))
    return "FAIL" if broken else "PASS"


def file_answer(stored: dict[str, Any], now: dict[str, Any], percent: int) -> Answer:
    """What it would have answered at another limit: its own check on its own two files."""
    from pytest_benchmark.utils import parse_compare_fail

    check = parse_compare_fail(f"median:{percent}%")  # type: ignore[no-untyped-call]
    before, after = (each["benchmarks"][0]["stats"] for each in (stored, now))
    return "FAIL" if check.fails(after, before) else "PASS"


def paired_answer(done: subprocess.CompletedProcess[str]) -> Answer:
    """The worst of what benchmatrix's JSON report says of its cells.

    Raises:
        PeerFailed: it is no report, or its cells could not be compared.
    """
    try:
        report = json.loads(done.stdout)
        answers = [_ANSWERS[cell["regression"]] for cell in report["comparisons"]]
        return min(answers, key=_WORSE.index)
    except (ValueError, KeyError, TypeError) as error:
        raise PeerFailed(_words(BENCHMATRIX, done)) from error


def require_benchmatrix(python: str) -> None:
    """Nothing, when that interpreter has benchmatrix.

    Raises:
        PeerFailed: it has not; the message says how to install it.
    """
    try:
        asked = subprocess.run(
            [python, "-c", "import benchmatrix"], capture_output=True, check=False
        )
    except OSError as error:
        raise PeerFailed(f"{python} does not run: {error.strerror}") from error
    if asked.returncode:
        raise PeerFailed(MISSING.format(python=python))


def _pytest_benchmark_test(workload: Kind, factor: float, cache: Path) -> str:
    return f"""\
from pathlib import Path

from benchmarks.workload import make


def test_inference(benchmark):
    benchmark(make({workload!r}, {factor!r}, Path({str(cache)!r})))
"""


def _benchmatrix_test(workload: Kind, factor: float, cache: Path, metrics: Sequence[str]) -> str:
    return f"""\
from pathlib import Path

from benchmatrix import BenchmarkCase, make_benchmark_test

from benchmarks.workload import make

test_inference = make_benchmark_test(
    {{"detector": make({workload!r}, {factor!r}, Path({str(cache)!r}))}},
    [BenchmarkCase.from_values("image", work_units=1, work_unit_name="images")],
    metrics={tuple(metrics) or None!r},
)
"""


def _checkout(folder: Path, test: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / _TEST).write_text(test)


def _run(command: Sequence[str], folder: Path) -> tuple[subprocess.CompletedProcess[str], float]:
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "PYTHONDONTWRITEBYTECODE": "1",  # the test file of the slower side has the same name
        "COLUMNS": "300",
    }
    start = time.perf_counter()
    try:
        done = subprocess.run(
            list(command),
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SILENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PeerFailed(f"gave no answer within {_SILENCE:.0f} s: {' '.join(command)}") from error
    return done, time.perf_counter() - start


def _words(peer: str, done: subprocess.CompletedProcess[str]) -> str:
    said = f"{done.stdout}\n{done.stderr}".strip()[-2000:]
    return f"{peer} gave no answer (exit code {done.returncode}):\n{said}"


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """What was asked for; `--quick` fills in what was not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=main.__doc__)
    parser.add_argument("--workload", choices=KINDS, nargs="+", default=list(KINDS))
    parser.add_argument(
        "--factor", type=float, nargs="+", default=list(FACTORS), help="true slow-downs: 0.05"
    )
    parser.add_argument("--threshold", type=float, nargs="+", default=list(THRESHOLDS))
    parser.add_argument("--repeats", type=int, default=1, help="times each is asked (default: 1)")
    parser.add_argument(
        "--peers", nargs="+", choices=(PYTEST_BENCHMARK, BENCHMATRIX),
        default=[PYTEST_BENCHMARK, BENCHMATRIX],
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of pytest-benchmark, at least")
    parser.add_argument(
        "--benchmatrix", metavar="PYTHON", default=sys.executable, help="interpreter that has it"
    )
    parser.add_argument("--pairs", type=int, help="of benchmatrix (default: its own choice)")
    parser.add_argument(
        "--all-metrics", action="store_true", help="benchmatrix's matrix of three, as by default"
    )
    parser.add_argument("--cache", type=Path, help="of the exported detector")
    parser.add_argument("--quick", action="store_true", help="onnx at 10 %% only, under a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the outcomes there too")
    asked = parser.parse_args(words)
    if asked.quick:
        asked.workload, asked.factor, asked.repeats = ["onnx"], [0.10], 1
    return asked


def main() -> None:
    """Prints the peers' answers to true slow-downs of the demo detector, and their seconds."""
    asked = arguments()
    outcomes: list[dict[str, Any]] = []
    try:
        if BENCHMATRIX in asked.peers:
            require_benchmatrix(asked.benchmatrix)
        print(f"{'workload':<10}{'peer':<18}{'truth':>7}{'limit':>7}  {'answer':<14}{'seconds':>8}")
        for _ in range(asked.repeats):
            for kind in asked.workload:
                for factor in asked.factor:
                    for outcome in _ask(asked, kind, factor):
                        outcomes.append({"workload": kind, **asdict(outcome)})
                        print(_row(kind, outcome), flush=True)
    except (PeerFailed, ValueError) as error:
        sys.exit(str(error))
    finally:
        if asked.json and outcomes:
            asked.json.write_text(json.dumps(outcomes, indent=1) + "\n")


def _ask(asked: argparse.Namespace, kind: Kind, factor: float) -> list[Outcome]:
    found = []
    if PYTEST_BENCHMARK in asked.peers:
        found += pytest_benchmark(
            kind, factor, asked.threshold, rounds=asked.rounds, cache=asked.cache
        )
    if BENCHMATRIX in asked.peers:
        found += benchmatrix(
            kind,
            factor,
            asked.threshold,
            python=asked.benchmatrix,
            metrics=() if asked.all_metrics else LATENCY,
            pairs=asked.pairs,
            cache=asked.cache,
        )
    return found


def _row(kind: Kind, outcome: Outcome) -> str:
    before = f"  (+ {outcome.stored_seconds:.1f} stored)" if outcome.stored_seconds else ""
    return (
        f"{kind:<10}{outcome.peer:<18}{outcome.factor:>7.0%}{outcome.threshold:>7.0%}  "
        f"{outcome.answer:<14}{outcome.seconds:>8.1f}{before}"
    )


if __name__ == "__main__":
    main()
