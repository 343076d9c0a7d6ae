"""What verdicts are worth on this machine: how often each answer comes for a known truth.

Real sessions of the demo detector in torch and ONNX Runtime, the older version of the code against
a newer one that is slower by a known factor; in the same run what the nearest tools answer to the
same slow-downs; and thousands of simulated sessions, for noise that this machine does not have:
`python -m benchmarks.calibration --help`.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_perfgate.records.verdict import Status
from scipy import stats

from benchmarks import peers, simulated
from benchmarks.sessions import Project, Told, across, of_copies
from benchmarks.workload import DEVICE_KINDS, KINDS, Kind, missing

ALPHA = 0.01
CASES = ((0.0, 0.05), (0.0, 0.02), (0.02, 0.02), (0.05, 0.02), (0.10, 0.02), (0.20, 0.02))
"""The truth, and what the budget allows."""

QUICK_CASES = ((0.0, 0.05), (0.10, 0.02))
_SECONDS = 120.0  # of a session, as --perf-seconds is without being asked


@dataclass(frozen=True)
class Answer:
    """One verdict: by whom, on what, and how long it took."""

    method: str
    workload: str
    factor: float
    limit: float
    answer: str
    seconds: float
    launches: int = 0


def main() -> None:
    """Prints the table of answers, then what the simulated sessions say."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.calibration", description=main.__doc__
    )
    parser.add_argument("--sessions", type=int, default=20, help="per case (default: 20)")
    parser.add_argument("--peers", type=int, default=6, help="runs of each peer (default: 6)")
    parser.add_argument("--simulated", type=int, default=2000, help="per noise (default: 2000)")
    parser.add_argument(
        "--workload",
        choices=(*KINDS, *DEVICE_KINDS),
        action="append",
        help=f"default: {' and '.join(KINDS)}; the others need a GPU",
    )
    parser.add_argument("--quick", action="store_true", help="a look, under a minute")
    parser.add_argument("--benchmatrix", metavar="PYTHON", help="an interpreter that has it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every answer there")
    asked = parser.parse_args()
    kinds: Sequence[Kind] = asked.workload or (("onnx",) if asked.quick else KINDS)
    for kind in kinds:
        for needed in missing(kind):
            parser.error(f"{kind} needs {needed.module}: {needed.install}")
    if asked.quick:
        asked.sessions, asked.peers, asked.simulated = 1, 1, 40
    told, answers = real(kinds, QUICK_CASES if asked.quick else CASES, asked.sessions, asked.json)
    answers += beside(told)
    answers += ask_peers(kinds, asked.peers, asked.benchmatrix, asked.quick)
    print_answers(answers)
    found = simulate(asked.simulated)
    if asked.json:
        write(asked.json, answers, found)


def real(
    kinds: Sequence[Kind], cases: Sequence[tuple[float, float]], repeats: int, file: Path | None
) -> tuple[list[Told], list[Answer]]:
    """Sessions of every case, in random order, so that a machine's drift meets all alike."""
    plan = [(kind, *case) for kind in kinds for case in cases for _ in range(repeats)]
    random.Random(0).shuffle(plan)  # noqa: S311 - an order, nothing secret
    told: list[Told] = []
    answers: list[Answer] = []
    with tempfile.TemporaryDirectory(prefix="perfgate-calibration-") as folder:
        project = Project(Path(folder))
        start = time.monotonic()
        for number, (kind, factor, limit) in enumerate(plan, 1):
            one = project.session(kind, factor, limit, _SECONDS, ALPHA)
            told.append(one)
            status, count = one.verdict.status, len(one.record.yardstick)
            answers.append(
                Answer("perfgate", kind, factor, limit, status.value, one.seconds, count)
            )
            left = (time.monotonic() - start) / number * (len(plan) - number)
            progress(
                f"session {number} of {len(plan)}: {kind} {factor:.0%} {status.value}, "
                f"{left / 60:.0f} minutes to go"
            )
            if file:  # what was measured is not lost when the rest is interrupted
                write(file, answers, [])
    return told, answers


def beside(told: Sequence[Told]) -> list[Answer]:
    """What the same sessions say of code that is unchanged for certain: copies, and baselines."""
    answers = []
    for limit in (0.02, 0.05):
        for one in told:
            verdict = of_copies(one, limit, ALPHA)
            count = len(one.record.yardstick)
            answers.append(
                Answer("copy", one.kind, 0.0, limit, verdict.status.value, one.seconds, count)
            )
    for limit in (0.05, 0.10):
        for kind in sorted({one.kind for one in told}):
            mine = [one for one in told if one.kind == kind]
            answers += [
                Answer("stored baseline", kind, 0.0, limit, verdict.status.value, 0.0)
                for verdict in across(mine, limit, ALPHA)
            ]
    return answers


def ask_peers(
    kinds: Sequence[Kind], repeats: int, benchmatrix: str | None, quick: bool
) -> list[Answer]:
    """The nearest tools on the same workloads and slow-downs; benchmatrix where it is installed."""
    factors = (0.0,) if quick else (0.0, 0.02, 0.05, 0.10, 0.20)
    outcomes: list[tuple[str, peers.Outcome]] = []
    for kind in kinds:
        for factor in factors:
            for repeat in range(repeats):
                progress(f"peers: {kind} {factor:.0%}, {repeat + 1} of {repeats}")
                outcomes += [(kind, each) for each in peers.pytest_benchmark(kind, factor)]
                if benchmatrix and factor in {0.0, 0.05, 0.10} and repeat < max(1, repeats // 2):
                    found = peers.benchmatrix(kind, factor, python=benchmatrix)
                    outcomes += [(kind, each) for each in found]
    return [
        Answer(each.peer, kind, each.factor, each.threshold, each.answer, each.seconds)
        for kind, each in outcomes
    ]


def print_answers(answers: Sequence[Answer]) -> None:
    """A row for each method, workload, truth and budget."""
    print(
        f"{'method':<17}{'workload':<11}{'truth':>6}{'budget':>7}{'n':>6}  {'FAIL':>6}{'PASS':>6}"
        f"{'INCONCL.':>9}  median seconds (launches)"
    )
    groups: dict[tuple[str, str, float, float], list[Answer]] = {}
    for each in answers:
        groups.setdefault((each.method, each.workload, each.factor, each.limit), []).append(each)
    for (method, workload, factor, limit), mine in sorted(groups.items(), key=_order):
        shares = [
            sum(each.answer == status.value for each in mine) / len(mine)
            for status in (Status.FAIL, Status.PASS, Status.INCONCLUSIVE)
        ]
        seconds = statistics.median(each.seconds for each in mine)
        launches = statistics.median(each.launches for each in mine)
        text = f"{seconds:.1f}" + (f" ({launches:.0f})" if launches else "") if seconds else "-"
        print(
            f"{method:<17}{workload:<11}{factor:>6.0%}{limit:>7.0%}{len(mine):>6}  "
            f"{shares[0]:>6.0%}{shares[1]:>6.0%}{shares[2]:>9.0%}  {text}"
        )
    unchanged = [
        each for each in answers if each.method in {"perfgate", "copy"} and not each.factor
    ]
    red = sum(each.answer == Status.FAIL.value for each in unchanged)
    if unchanged:
        print(
            f"unchanged code, own verdicts and copies together: {red} red of {len(unchanged)} "
            f"(95 % bound {upper(red, len(unchanged)):.2%})"
        )


def simulate(count: int) -> list[dict[str, Any]]:
    """Sessions of every noise: unchanged, and 5 % and 10 % slower, with a budget of 2 %."""
    if not count:
        return []
    print(
        f"\nsimulated, alpha {ALPHA:g}, a budget of 2 %, at most {simulated.MOST} launches, "
        f"{count} sessions each"
    )
    print(
        f"{'noise':<17}{'unchanged: FAIL':>16}{'(95 % bound)':>14}{'PASS':>7}"
        f"{'5 %: FAIL':>11}{'launches':>9}{'10 %: FAIL':>12}{'launches':>9}"
    )
    rows = []
    for name, noise in simulated.NOISES.items():
        progress(f"simulating {name}")
        ended = {
            factor: [
                simulated.session(noise, factor, 0.02, ALPHA, seed)
                for seed in range(count if not factor else max(1, count // 10))
            ]
            for factor in (0.0, 0.05, 0.10)
        }
        red = {
            factor: sum(each.status is Status.FAIL for each in mine)
            for factor, mine in ended.items()
        }
        green = sum(each.status is Status.PASS for each in ended[0.0]) / count
        taken = {
            factor: statistics.median(each.launches for each in mine)
            for factor, mine in ended.items()
        }
        few = len(ended[0.05])
        print(
            f"{name:<17}{red[0.0] / count:>16.2%}{upper(red[0.0], count):>14.2%}{green:>7.0%}"
            f"{red[0.05] / few:>11.0%}{taken[0.05]:>9.0f}{red[0.10] / few:>12.0%}"
            f"{taken[0.10]:>9.0f}"
        )
        rows.append({"noise": name, "sessions": count, "red": red[0.0], "green": green})
    return rows


def upper(hits: int, count: int) -> float:
    """The one-sided 95 % bound of Clopper and Pearson on a share."""
    return float(stats.beta.ppf(0.95, hits + 1, count - hits)) if hits < count else 1.0


_METHODS = ("perfgate", "copy", "stored baseline", peers.PYTEST_BENCHMARK, peers.BENCHMATRIX)


def _order(item: tuple[tuple[str, str, float, float], Any]) -> tuple[int, str, float, float]:
    method, workload, factor, limit = item[0]
    return _METHODS.index(method), workload, factor, limit


def write(file: Path, answers: Sequence[Answer], simulated_rows: list[dict[str, Any]]) -> None:
    """Every answer, as it came."""
    found = {"answers": [asdict(each) for each in answers], "simulated": simulated_rows}
    file.write_text(json.dumps(found, indent=1) + "\n")


def progress(text: str) -> None:
    """A line that is written over, on a terminal; a plain one elsewhere."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text:<99.99}")
    else:
        print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
