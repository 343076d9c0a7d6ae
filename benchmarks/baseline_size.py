"""What the baselines of a suite of COCO's shape take in git, in this build and an earlier one.

`python -m benchmarks.baseline_size` makes the suite of `benchmarks.coco_shape`, runs one short
session, and lets both builds store what it measured, with its detections and with the best of them.
Each ranking is compared with the one that is read again.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EARLIER = "9d41b82"
"""The commit that is measured beside this build."""

_ROOT = Path(__file__).parents[1]
_DETECTIONS = (7, 12, 25)
_SESSION = ("--perf", "--perf-seconds=1", "--perf-wait=3600", "--perf-history=off", "-q")


def earlier(folder: Path) -> Path:
    """The packages of the earlier build, in a new `folder`."""
    archive = subprocess.run(
        ["git", "archive", EARLIER, "harness"], cwd=_ROOT, capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder / "harness"


def session_of(folder: Path, count: int, packages: Path) -> Path:
    """The record of a session of the suite with `count` images, in a new `folder`, by the build in
    `packages`: the earlier one, whose records a later one reads.
    """
    from benchmarks.coco_shape import write_suite

    write_suite(folder, count)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n")
    env = {key: value for key, value in os.environ.items() if key != "CI"}
    env["PYTHONPATH"] = f"{packages}{os.pathsep}{_ROOT}"
    command = [sys.executable, "-m", "pytest", *_SESSION]
    subprocess.run(command, cwd=folder, env=env, stdout=subprocess.DEVNULL, check=False)
    return max((folder / "reports").glob("2*.json"))


def table(session: Path, folder: Path, packages: Path) -> dict[str, Any]:
    """By build, the earlier one in `packages`: what `measure` says."""
    rows: dict[str, Any] = {}
    for build, place in ((EARLIER, packages), ("this build", _ROOT / "harness")):
        env = {**os.environ, "PYTHONPATH": f"{place}{os.pathsep}{_ROOT}"}
        command = [sys.executable, "-m", "benchmarks.baseline_size", "--measure", str(session)]
        command += ["--folder", str(folder / build.replace(" ", "-"))]
        text = subprocess.run(command, cwd=_ROOT, env=env, stdout=subprocess.PIPE, check=True)
        rows[build] = json.loads(text.stdout)
    return rows


def measure(session: Path, folder: Path) -> dict[str, Any]:
    """Of detections per image to each recipe's bytes, and the CPU seconds of writing and reading.

    Raises:
        RuntimeError: a ranking that is read again is not that of the session.
    """
    from pytest_perfgate.baselines.store import Store
    from pytest_perfgate.baselines.update import baseline_of
    from pytest_perfgate.records.ranking import ranking_of
    from pytest_perfgate.report import session_files
    from pytest_perfgate.suite.metrics import metrics_of_record

    record = session_files.read(session)
    (suite,) = record.suites
    metrics = metrics_of_record(suite)
    whole = [baseline_of(record, suite, recipe, metrics) for recipe in suite.recipes]
    result: dict[str, Any] = {}
    for many in _DETECTIONS:
        baselines = [one.model_copy(update={"accuracy": _cut(one.accuracy, many)}) for one in whole]
        store = Store(folder / str(many))
        start = time.process_time()
        store.write_all(baselines)
        written = time.process_time() - start
        places = [store.path(one.machine.id, one.suite, one.recipe) for one in baselines]
        start = time.process_time()
        again = [store.read(one.machine, one.suite, one.recipe) for one in baselines]
        read = time.process_time() - start
        for before, after in zip(baselines, again, strict=True):
            one, other = (
                side and side.accuracy and side.accuracy.matches for side in (before, after)
            )
            if not one or not other or not ranking_of(one).equals(ranking_of(other)):
                raise RuntimeError(f"{before.recipe} is read as another ranking")
        result[str(many)] = {
            "bytes": {place.stem: _bytes(place) for place in places},
            "write": round(written, 2),
            "read": round(read, 2),
        }
    return result


def _cut(accuracy: Any, many: int) -> Any:
    """An evaluation with the best detections alone, so many for each image on average. Matching is
    greedy by score: those with lower scores have taken nothing from them.
    """
    from pytest_perfgate.records.accuracy import Packed

    scores = accuracy.matches.score.array()
    kept = scores >= -sorted(-scores)[min(many * accuracy.images, len(scores)) - 1]
    columns = {
        name: Packed.of(getattr(accuracy.matches, name).array()[kept])
        for name in ("image", "category", "score", "hits", "ignored")
    }
    ratios = {name: parts for name, parts in accuracy.ratios.items() if name != "ece"}
    matches = accuracy.matches.model_copy(update=columns)
    return accuracy.model_copy(update={"matches": matches, "ratios": ratios})


def _bytes(place: Path) -> dict[str, int]:
    """Of a recipe's JSON, and of the compressed files beside it that begin with its name."""
    beside = place.parent.glob(f"{place.stem}.*.npz.xz")
    return {"json": place.stat().st_size, "beside": sum(file.stat().st_size for file in beside)}


def show(rows: dict[str, Any]) -> None:
    """Prints the tables, in Markdown, kB of 1,000 bytes."""
    now = rows["this build"]
    for many in now:
        columns = {build: row[many]["bytes"] for build, row in rows.items()}
        print(f"\n| kB, {many} detections an image | {' | '.join(columns)} | ratio |")
        print("| --- |" + " --- |" * (len(columns) + 1))
        recipes = {
            recipe: [sum(column[recipe].values()) for column in columns.values()]
            for recipe in columns["this build"]
        }
        recipes["mean"] = [
            sum(column) / len(recipes) for column in zip(*recipes.values(), strict=True)
        ]
        for recipe, (before, after) in recipes.items():
            print(f"| {recipe} | {before / 1e3:.0f} | {after / 1e3:.0f} | {after / before:.2f} |")
        for what in ("write", "read"):
            seconds = [row[many][what] for row in rows.values()]
            before, after = seconds
            print(f"| CPU seconds, {what} | {before} | {after} | {after / before:.2f} |")


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.baseline_size", description=__doc__)
    parser.add_argument("--images", type=int, default=5_000, help="validation images")
    parser.add_argument("--quick", action="store_true", help="200 images: under a minute")
    parser.add_argument("--session", type=Path, metavar="FILE", help="of an earlier run's session")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the sizes to a file")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        print(json.dumps(measure(options.measure, options.folder)))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        count = 200 if options.quick else options.images
        packages = earlier(folder / "earlier")
        session = options.session or session_of(folder / "suite", count, packages)
        rows = table(session.resolve(), folder, packages)
    show(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
