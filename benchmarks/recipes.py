"""What optimization comes to on the demo detector: every recipe of the nightly suite beside torch
eager fp32, all in one session: `python -m benchmarks.recipes --help`.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pytest_perfgate.machine.fingerprint import this_environment, this_machine
from pytest_perfgate.machine.locks import exclusive
from pytest_perfgate.measure.worker_environment import allocator
from pytest_perfgate.metric import PERFORMANCE
from pytest_perfgate.records.launch_values import level
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.search.run import RangeOutcome
from pytest_perfgate.session.suite_judge import MEASURED
from pytest_perfgate.session.suite_run import SuiteRun
from pytest_perfgate.suite import reading
from pytest_perfgate.units import show
from pytest_perfgate.verdicts.limit_bounds import log_ratios

ROOT = Path(__file__).parents[1]
FILE = ROOT / "suites" / "nightly" / "recipes.toml"
QUICK = ("fp32", "onnx", "int8")

_QUANTIZING = {"quantize", "nncf", "pt2e", "qat"}
_SHRINKING = {"prune", "distil"}


@dataclass(frozen=True)
class Row:
    """One recipe.

    Attributes:
        lost: points of mAP (0 to 100) less than the reference.
        speed, speed_inference: times as fast as torch eager fp32: latency, and inference alone.
        own, own_inference: times as fast as the plain fp32 recipe of the same runtime: latency, and
            inference alone; None when there is none.
        problem: why it was not measured.
    """

    name: str
    steps: tuple[str, ...]
    runtime: str
    map: float = math.nan
    lost: float = math.nan
    latency: float = math.nan
    speed: float = math.nan
    speed_inference: float = math.nan
    own: float | None = None
    own_inference: float | None = None
    size: float = math.nan
    memory: float | None = None
    problem: str = ""


def measure(
    names: Sequence[str], seconds: float, file: Path = FILE, program: str = "recipes"
) -> SuiteRecord:
    """The recipes of a suite, all if none is named, in one session."""
    read = reading.read(file, ROOT)
    for errors in read.problems.values():
        raise errors[0]
    if read.suite is None:
        raise read.suite_problems[0]
    wanted = {name: [MEASURED] for name in names or read.suite.recipes}
    settings = Settings(
        root=ROOT,
        alpha=0.01,
        seconds=seconds,
        strict=False,
        update=True,  # eight launches at least, and throughput in all of them
        reason="",
        reports=ROOT / "reports",
        baselines=ROOT / "baselines",
        cache=ROOT / ".perfgate",
        timeout=900.0,
        wait=600.0,
        ci=False,
        command=f"python -m benchmarks.{program}",
    )
    with exclusive(None, settings.wait, _show):
        return SuiteRun(
            RangeOutcome(read.suite),
            wanted,
            settings=settings,
            machine=this_machine(),
            environment=this_environment(allocator=allocator()),
            limits=1,
            base=None,
            show=_show,
            say=_show,
        ).run()


def _show(text: str) -> None:
    print(f"\r{text[:110]:<110}", end="", flush=True)


def rows(record: SuiteRecord) -> list[Row]:
    """A row per recipe, ratios taken launch by launch."""
    found = {each.name: each for each in record.recipes}
    plain = {
        str(each.spec["runtime"]): each
        for each in record.recipes
        if {step["step"] for step in each.spec["chain"]} <= {"export"} and not each.failure
    }
    return [
        _row(each, found[each.reference], plain.get(str(each.spec["runtime"])))
        for each in found.values()
    ]


def _row(record: RecipeRecord, reference: RecipeRecord, plain: RecipeRecord | None) -> Row:
    steps = tuple(step["step"] for step in record.spec["chain"])
    runtime = str(record.spec["runtime"]["name"])
    if record.failure or record.accuracy is None or reference.accuracy is None:
        problem = record.failure.problem if record.failure else "not measured"
        return Row(record.name, steps, runtime, problem=problem)
    speed = _speed(record, reference, "latency_p50")
    inference = _speed(record, reference, "inference_p50")
    own = own_inference = None
    if plain is not None and plain is not record:
        own = speed / _speed(plain, reference, "latency_p50")
        own_inference = inference / _speed(plain, reference, "inference_p50")
    score, before = record.accuracy.values["map"], reference.accuracy.values["map"]
    return Row(
        name=record.name,
        steps=steps,
        runtime=runtime,
        map=score,
        lost=100 * (before - score),
        latency=level(record, PERFORMANCE["latency_p50"]) or math.nan,
        speed=speed,
        speed_inference=inference,
        own=own,
        own_inference=own_inference,
        size=level(record, PERFORMANCE["artifact_size"]) or math.nan,
        memory=level(record, PERFORMANCE["peak_memory"]),
    )


def _speed(record: RecipeRecord, reference: RecipeRecord, metric: str) -> float:
    if record is reference:
        return 1.0
    ratios = log_ratios(PERFORMANCE[metric], record, reference)
    return math.exp(-statistics.median(ratios)) if ratios else math.nan


def table(found: Sequence[Row]) -> list[str]:
    """The rows for people, the fastest first."""
    head = (
        f"{'recipe':<24}{'mAP':>7}{'points':>8}{'latency':>10}{'x torch':>9}{'infer.':>8}"
        f"{'x own':>7}{'size':>9}  chain"
    )
    told = [head]
    for row in sorted(found, key=lambda each: -each.speed if each.speed == each.speed else 1.0):
        chain = " > ".join((*row.steps, row.runtime))
        if row.problem:
            told.append(f"{row.name:<24}not measured: {row.problem[:80]}")
            continue
        own = f"{row.own:.2f}" if row.own is not None else "-"
        told.append(
            f"{row.name:<24}{row.map:>7.4f}{-row.lost:>+8.2f}"
            f"{show(row.latency, PERFORMANCE['latency_p50'].unit):>10}{row.speed:>8.2f}x"
            f"{row.speed_inference:>7.2f}x{own:>7}"
            f"{show(row.size, PERFORMANCE['artifact_size'].unit):>9}  {chain}"
        )
    return told


def bars(found: Sequence[Row]) -> list[str]:
    """What was asked for, and what came. Against the same runtime, the runtime's own work counts:
    inference alone; what no step shortens (pre- and post-processing) is in the latency beside it.
    """
    measured = [row for row in found if not row.problem]
    only = [row for row in measured if _QUANTIZING & {*row.steps} and not _SHRINKING & {*row.steps}]
    pruned = [row for row in measured if "prune" in row.steps and not _QUANTIZING & {*row.steps}]
    told = []
    for title, rows_, factor, points, own in (
        ("int8, the same runtime's fp32", only, 1.8, 0.6, True),
        ("pruned, the same runtime's fp32", pruned, 2.0, math.inf, True),
        ("the best chain, torch eager fp32", measured, 4.0, 1.0, False),
    ):
        able = [row for row in rows_ if row.lost <= points and (row.own or not own)]
        best = max(able, key=lambda row: _gain(row, own=own), default=None)
        if best is None:
            told.append(f"{title}: no recipe")
            continue
        reached = _gain(best, own=own)
        word = "kept" if reached >= factor else "missed"
        allowed = f" at {points:g} points" if points < math.inf else ""
        other = (
            f"in inference alone, {best.own or 0.0:.2f}x in latency"
            if own
            else f"in latency, {best.speed_inference:.2f}x in inference alone"
        )
        told.append(
            f"{title}: {reached:.2f}x {other}, at {-best.lost:+.2f} points ({best.name}); "
            f"asked for {factor:g}x{allowed}: {word}"
        )
    return told


def _gain(row: Row, *, own: bool) -> float:
    return (row.own_inference or 0.0) if own else row.speed


def main() -> None:
    """Measures the nightly suite's recipes beside each other and prints ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=main.__doc__)
    parser.add_argument("recipes", nargs="*", help="default: all of suites/nightly")
    parser.add_argument("--seconds", type=float, default=240.0, help="of measuring (default: 240)")
    parser.add_argument("--quick", action="store_true", help=f"{', '.join(QUICK)} only; a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    asked = parser.parse_args()
    names = asked.recipes or (QUICK if asked.quick else ())
    record = measure(names, 25.0 if asked.quick else asked.seconds)
    found = rows(record)
    print(f"\r{len(record.yardstick)} launches{'':<90}")
    print("\n".join([*table(found), "", *bars(found)]))
    if asked.json:
        asked.json.write_text(json.dumps([asdict(row) for row in found], indent=1) + "\n")


if __name__ == "__main__":
    main()
