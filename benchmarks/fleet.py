"""Whether a fleet changes what a session says, and what it costs: the same suites without and with
`--perf-fleet`, each with a cache of its own, first empty and then full.

`python -m benchmarks.fleet suites/digits suites/text` exits with 1 where artifacts, scores or
verdicts differ. Verdicts of times differ by chance, too, where the machine is not calm.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_perfgate.records.session import SessionRecord, SuiteRecord

from benchmarks.workload import ROOT

_ROUNDS = ("empty cache", "full cache")
_QUICK = _ROUNDS[:1]


@dataclass(frozen=True)
class Run:
    """A session, and the seconds from the start of pytest to its end."""

    record: SessionRecord
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the sessions and prints a line for each; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="+", help="folders of suites")
    parser.add_argument("--fleet", default="local", help="address (default: local)")
    parser.add_argument("--seconds", default="4", help="as --perf-seconds (default: 4)")
    parser.add_argument(
        "--quick", action="store_true", help="recipes named fp32, an empty cache only, for 1 s"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args(arguments)
    rounds, seconds = (_QUICK, "1") if options.quick else (_ROUNDS, options.seconds)
    chosen = ["-k", "fp32"] if options.quick else []
    different: list[str] = []
    figures: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="perfgate-fleet-") as folder:
        for round_ in rounds:
            runs = []
            for name, more in (("without", []), ("fleet", [f"--perf-fleet={options.fleet}"])):
                asked = [*more, *chosen, "--perf-seconds", seconds, *options.suites]
                runs.append(_run(Path(folder) / name, asked))
                verdicts = [v for suite in runs[-1].record.suites for v in suite.verdicts]
                print(f"{round_}, {name}: {runs[-1].seconds:.1f} s, {len(verdicts)} verdicts")
            one, other = runs
            print(f"{round_}: {other.seconds / one.seconds:.3f} times as long with a fleet")
            lines = differences(one.record, other.record)
            different += [f"{round_}: {line}" for line in lines]
            figures.append(
                {
                    "round": round_,
                    "seconds_without": one.seconds,
                    "seconds_with": other.seconds,
                    "ratio": other.seconds / one.seconds,
                    "differences": lines,
                }
            )
            if options.json:  # after every round: a later one may fail
                options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"load at the end: {load}; differences: {len(different)}", *different, sep="\n  ")
    return int(bool(different))


def _run(folder: Path, options: Sequence[str]) -> Run:
    places = (f"--perf-cache={folder}/cache", f"--perf-reports={folder}/reports")
    quiet = ("--perf-history=off", "--perf-profile=none", "--benchmark-disable", "-q")
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--perf", "--perf-wait=3600", *places, *quiet, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - start
    files = sorted((folder / "reports").glob("[0-9]*.json"))
    if not files:
        raise SystemExit(f"the session has no record:\n{done.stdout}{done.stderr}")
    return Run(SessionRecord.model_validate_json(files[-1].read_bytes()), seconds)


def differences(one: SessionRecord, other: SessionRecord) -> list[str]:
    """What two sessions of the same suites say differently: a line for each verdict, digest of an
    artifact, or score; one that is missing on a side is one.
    """
    ours, theirs = (
        {
            f"{suite.name} {name}": text
            for suite in record.suites
            for name, text in statements(suite)
        }
        for record in (one, other)
    )
    return [
        f"{name}: {ours.get(name, 'missing')} and {theirs.get(name, 'missing')}"
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    ]


def statements(suite: SuiteRecord) -> Iterator[tuple[str, str]]:
    """What a suite says: the verdicts, and the digest and the scores of each recipe."""
    for verdict in suite.verdicts:
        yield f"{verdict.recipe} {verdict.metric}", verdict.status.value
    for recipe in suite.recipes:
        if recipe.artifact is not None:
            yield f"{recipe.name} artifact", recipe.artifact.digest
        for name, value in recipe.accuracy.values.items() if recipe.accuracy else ():
            yield f"{recipe.name} score {name}", repr(value)


if __name__ == "__main__":
    raise SystemExit(main())
