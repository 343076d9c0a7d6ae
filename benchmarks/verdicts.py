"""How fast this commit's verdicts are, beside an earlier commit's, in the same run.

Makes clean checkouts of both commits and lets each measure the same work in alternating turns: a
true slowdown of 5 % at a budget of 2 %, unchanged code at 5 %, and many recipes with a base.
Launches are printed beside seconds: on a busy machine they say more.
`python -m benchmarks.verdicts --help`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.checkouts import AGAINST, Failed, borrowed, checkout, output, top
from benchmarks.workload import CACHE, prepare

_SESSION = """\
import sys, tempfile
from pathlib import Path
from benchmarks.sessions import Project
kind, factor, limit, seconds, file = sys.argv[1:]
with tempfile.TemporaryDirectory() as folder:
    told = Project(Path(folder)).session(kind, float(factor), float(limit), float(seconds))
Path(file).write_text(told.record.model_dump_json())
"""
"""Both commits have `benchmarks.sessions`, each with its own package."""

_MANY = """\
[suite]
task  = "detection"
model = "detector.onnx"
[suite.data]
validation = { images = "images", annotations = "annotations.json" }
"""
_RECIPE = """\
[[recipe]]
name    = "r{number}"
{parent}runtime = "onnxruntime"
[recipe.budgets]
latency_p50 = {{ regression = "5%" }}
"""
_TEST = '''\
def test_budget(budget):
    """Every recipe keeps its budget."""
    budget.check()
'''
_SECONDS, _MANY_SECONDS, _QUICK_SECONDS = 120.0, 400.0, 12.0


@dataclass(frozen=True)
class Case:
    """One kind of session.

    Attributes:
        kind: of the workload; "" for the suite of many recipes.
        factor: the true slowdown.
        limit: the budget's `regression`.
        status: what the verdict should be.
        bar: the ratio of times, this commit's to the other's, that is asked for.
    """

    name: str
    kind: str
    factor: float
    limit: float
    status: str
    bar: float


CASES = (
    Case("ONNX Runtime, 5 % slower at 2 %", "onnx", 0.05, 0.02, "FAIL", 0.5),
    Case("torch, 5 % slower at 2 %", "torch", 0.05, 0.02, "FAIL", 0.5),
    Case("ONNX Runtime, unchanged at 5 %", "onnx", 0.0, 0.05, "PASS", 0.6),
    Case("torch, unchanged at 5 %", "torch", 0.0, 0.05, "PASS", 0.6),
)


@dataclass(frozen=True)
class Turn:
    """One session of one commit.

    Attributes:
        decided: budgets with the verdict that the truth asks for; `budgets`: all.
        seconds: of measuring.
        timed: seconds in timed work, of all arms.
        peaks: standard deviation, between launches, of the log ratio of the peak memory of two
            identical arms, by √2: that of one arm; None: fewer than three launches.
    """

    side: str
    case: str
    decided: int
    budgets: int
    launches: int
    seconds: float
    timed: float
    peaks: float | None


@dataclass(frozen=True)
class Side:
    """One of the two commits: its name, its checkout, and the interpreter that runs it."""

    name: str
    commit: str
    folder: Path
    python: Path


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints each case of both commits, and the ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdicts", description=__doc__)
    parser.add_argument(
        "--against", metavar="REF", default=AGAINST, help="the other commit (default: %(default)s)"
    )
    parser.add_argument(
        "--turns", type=int, metavar="N", default=5, help="sessions of each case (default: 5)"
    )
    parser.add_argument(
        "--recipes", type=int, metavar="N", default=40, help="of the large suite (default: 40)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one short session each of ONNX Runtime: a minute"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every session there")
    options = parser.parse_args(arguments)
    if options.turns < 1 or options.recipes < 2:
        parser.error("valid: --turns 1 or more, --recipes 2 or more")
    many = Case(f"{options.recipes} recipes of ONNX Runtime, unchanged", "", 0.0, 0.05, "PASS", 0.5)
    cases: tuple[Case, ...] = (*CASES, many)
    if options.quick:
        options.turns, cases = 1, tuple(case for case in CASES if case.kind == "onnx")
    os.environ[CACHE] = str(prepare().parent)  # both commits read the exported model there
    turns: list[Turn] = []
    with tempfile.TemporaryDirectory(prefix="verdicts-") as folder:
        try:
            sides = [_side(Path(folder) / name, ref) for name, ref in _refs(options.against)]
            for case in cases:
                for _ in range(1 if not case.kind else options.turns):
                    for side in sides:
                        turns.append(_turn(side, case, options.recipes, quick=options.quick))
                        _say(turns[-1])
                        if options.json:  # what was measured is not lost
                            options.json.write_text(json.dumps(figures(turns, cases)) + "\n")
        except Failed as error:
            sys.exit(str(error))
    if output("git", "status", "--porcelain", "--untracked-files=no"):
        print("note: changes of the working tree that are in no commit were not measured")
    for line in table(turns, cases):
        print(line)


def _refs(against: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("now", "HEAD"), ("before", against)


def _side(folder: Path, ref: str) -> Side:
    commit = checkout(top(), folder, ref)
    return Side(folder.name, commit, folder, borrowed(folder))


def _turn(side: Side, case: Case, recipes: int, *, quick: bool) -> Turn:
    """One session of one commit.

    Raises:
        Failed: it ended without a record.
    """
    with tempfile.TemporaryDirectory(prefix="session-") as folder:
        file = Path(folder) / "suite.json"
        if case.kind:
            seconds = _QUICK_SECONDS if quick else _SECONDS
            words = [case.kind, str(case.factor), str(case.limit), str(seconds), str(file)]
            said = _run(side, ["-c", _SESSION, *words], side.folder)
            suite = json.loads(file.read_text()) if file.exists() else None
        else:
            project = many_recipes(Path(folder) / "project", recipes)
            options = ["--perf-base=HEAD", f"--perf-seconds={_MANY_SECONDS:g}", "--perf-wait=600"]
            said = _run(side, ["-m", "pytest", "-q", "--perf", *options, "suites/many"], project)
            sessions = list(project.glob("reports/*.json"))
            suite = json.loads(sessions[0].read_text())["suites"][0] if sessions else None
    if suite is None or "measure" not in suite["phases"]:
        raise Failed(f"{said}\n{side.name}: the session measured nothing")
    return turn_of(side.name, case, suite)


def _run(side: Side, words: Sequence[str], folder: Path) -> str:
    """The last lines of what a command of a commit's interpreter prints."""
    environment = {**os.environ, "PYTHONPATH": str(side.folder)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # it slows every start
    done = subprocess.run(
        [str(side.python), *words],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return "\n".join(done.stdout.splitlines()[-20:])


def many_recipes(folder: Path, count: int) -> Path:
    """A project in a repository of its own: one ONNX model, `count` recipes of it."""
    suite = folder / "suites" / "many"
    suite.mkdir(parents=True)
    recipes = [
        _RECIPE.format(number=number, parent='from    = "r0"\n' if number else "")
        for number in range(count)
    ]
    (suite / "recipes.toml").write_text("".join((_MANY, *recipes)))
    (suite / "test_many.py").write_text(_TEST)
    (folder / ".gitignore").write_text(".perfgate\nreports\n__pycache__\n")
    shutil.copy(prepare() / "model.onnx", suite / "detector.onnx")
    _pictures(suite)
    who = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@example.org")
    for words in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "-m", "all")):
        output("git", "-C", str(folder), *who, *words)
    return folder


def _pictures(suite: Path) -> None:
    """The demo's image, shifted, with a box each: what is scored does not matter here."""
    import numpy as np
    from PIL import Image

    (suite / "images").mkdir()
    pixels = np.load(prepare() / "image.npy", allow_pickle=False)[0].transpose(1, 2, 0)
    image = np.round(pixels * 255).astype(np.uint8)
    height, width, _ = image.shape
    data: dict[str, list[dict[str, Any]]] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": number, "name": str(number)} for number in range(10)],
    }
    for number in range(8):
        name = f"{number}.png"
        Image.fromarray(np.roll(image, 16 * number, axis=1)).save(suite / "images" / name)
        size = {"width": width, "height": height}
        data["images"].append({"id": number, "file_name": name, **size})
        box = {"bbox": [8, 8, 24, 24], "area": 576, "iscrowd": 0}
        data["annotations"].append({"id": number, "image_id": number, "category_id": 0, **box})
    (suite / "annotations.json").write_text(json.dumps(data))


def turn_of(side: str, case: Case, suite: dict[str, Any]) -> Turn:
    """A session's record, read: the fields are those of both commits' files."""
    base = (suite.get("base") or {}).get("recipes", [])
    arms = [*suite["recipes"], *base, *suite.get("controls", [])]
    verdicts = [verdict["status"] for verdict in suite["verdicts"]]
    return Turn(
        side=side,
        case=case.name,
        decided=verdicts.count(case.status),
        budgets=len(verdicts),
        launches=len(suite["yardstick"]),
        seconds=suite["phases"]["measure"],
        timed=math.fsum(seconds for arm in (*arms, suite) for seconds in _timed(arm)),
        peaks=_peaks(suite["recipes"][0], [*suite.get("controls", []), *base][:1]),
    )


def _timed(arm: dict[str, Any]) -> Iterator[float]:
    for launch in arm.get("launches", arm.get("yardstick", [])):
        for stage in ("preprocess", "inference", "postprocess"):
            yield from launch[stage]


def _peaks(arm: dict[str, Any], others: Sequence[dict[str, Any]]) -> float | None:
    """Of an arm and an identical one; the machine's drift is in both."""
    if not others:
        return None
    theirs = {launch["index"]: launch["peak_memory"] for launch in others[0]["launches"]}
    ratios = [
        math.log(launch["peak_memory"] / theirs[launch["index"]])
        for launch in arm["launches"]
        if launch["peak_memory"] and theirs.get(launch["index"])
    ]
    return statistics.stdev(ratios) / math.sqrt(2) if len(ratios) > 2 else None


def figures(turns: Sequence[Turn], cases: Sequence[Case]) -> dict[str, Any]:
    """Every session, and of each case the ratio of median seconds and of median launches."""
    rows = []
    for case in cases:
        now, before = (
            [turn for turn in turns if (turn.case, turn.side) == (case.name, side)]
            for side in ("now", "before")
        )
        if now and before:
            seconds, launches = (
                statistics.median(getattr(turn, name) for turn in now)
                / statistics.median(getattr(turn, name) for turn in before)
                for name in ("seconds", "launches")
            )
            rows.append(
                {"case": case.name, "bar": case.bar, "seconds": seconds, "launches": launches}
            )
    return {"ratios": rows, "sessions": [asdict(turn) for turn in turns]}


def table(turns: Sequence[Turn], cases: Sequence[Case]) -> list[str]:
    """A line for each case and commit, and the ratios below."""
    lines = [
        f"{'case':<40}{'commit':<8}{'right':>7}{'launches':>9}{'seconds':>9}{'timed':>7}"
        f"{'peaks':>8}"
    ]
    for case in cases:
        for side in ("now", "before"):
            own = [turn for turn in turns if (turn.case, turn.side) == (case.name, side)]
            if not own:
                continue
            right = sum(turn.decided for turn in own) / sum(turn.budgets for turn in own)
            timed = math.fsum(turn.timed for turn in own) / math.fsum(turn.seconds for turn in own)
            peaks = [turn.peaks for turn in own if turn.peaks is not None]
            lines.append(
                f"{case.name:<40}{side:<8}{right:>7.0%}"
                f"{statistics.median(turn.launches for turn in own):>9.0f}"
                f"{statistics.median(turn.seconds for turn in own):>9.1f}{timed:>7.0%}"
                + (f"{statistics.median(peaks):>8.2%}" if peaks else f"{'-':>8}")
            )
    for ratio in figures(turns, cases)["ratios"]:
        kept = "kept" if ratio["seconds"] <= ratio["bar"] else "missed"
        lines.append(
            f"{ratio['case']}: {ratio['seconds']:.2f} of the time ({ratio['bar']:g} asked for: "
            f"{kept}), {ratio['launches']:.2f} of the launches"
        )
    return lines


def _say(turn: Turn) -> None:
    print(
        f"{turn.side}: {turn.case}: {turn.decided} of {turn.budgets} right, {turn.launches} "
        f"launches, {turn.seconds:.1f} s",
        file=sys.stderr,
        flush=True,
    )


if __name__ == "__main__":
    main()
