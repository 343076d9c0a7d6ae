"""How long the project's own tests take, beside an earlier commit's, in the same run.

Makes clean checkouts of both commits, with an environment each, and runs the test command of each
in alternating turns: `python -m benchmarks.suite_time --help`. Environments are built before the
first turn, and no time of it counts. With `--coverage` the other side are the same tests without
the measurement of coverage.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.checkouts import AGAINST, Failed, borrowed, checkout, output, top

QUICK = ("tests/blackbox/test_exports.py", "tests/blackbox/test_worse.py")
"""Files of both commits that assert the same in both; sessions of the tiny project, as in most of
`tests/blackbox`."""

_PLUGIN = "tests.coverage_plugin"
_COVERAGE = ("-p", _PLUGIN)
"""What the test command of the project has, as `tox.ini` and PERFGATE_COVERAGE say."""

_BUILT = ("tox", "run", "-e", "tests", "--notest")
_TESTS = ("tox", "run", "-e", "tests")


_COMPLETE = re.compile(r"\b\d+ passed\b.* in [0-9.]+s\b")
"""In the last line of a run of pytest that came to its end."""


@dataclass
class Side:
    """One of the two commits.

    Attributes:
        name: as it was asked for.
        commit: its full name.
        folder: its checkout.
        command: what is timed.
        variables: of its environment, beside those of this process.
        seconds: wall time of every turn.
        cpu: seconds of all its processes on all cores, of every turn.
        failures: tests that failed, of every turn; each turn ran all the tests.
    """

    name: str
    commit: str
    folder: Path
    command: tuple[str, ...] = _TESTS
    variables: dict[str, str] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    failures: list[tuple[str, ...]] = field(default_factory=list)


def main() -> None:
    """Prints the median times of both commits' tests, and their ratio."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suite_time", description=__doc__)
    parser.add_argument(
        "--against", metavar="REF", default=AGAINST, help="the other commit (default: %(default)s)"
    )
    parser.add_argument(
        "--coverage",
        action="store_true",
        help="the other side is this commit without the measurement of coverage",
    )
    parser.add_argument(
        "--turns", type=int, metavar="N", default=2, help="runs of each commit (default: 2)"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one run each of a few files, with this environment's packages: under a minute",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    if options.turns < 1:
        parser.error(f"--turns {options.turns}: valid: 1 or more")
    with tempfile.TemporaryDirectory(prefix="suite-time-") as folder:
        try:
            other = "HEAD" if options.coverage else options.against
            sides = [
                _side(Path(folder) / str(number), ref) for number, ref in enumerate(("HEAD", other))
            ]
            for side in sides:
                _prepare(side, quick=options.quick)
            if options.coverage:
                _part(*sides, quick=options.quick)
            for _ in range(1 if options.quick else options.turns):
                for side in sides:
                    _run(side)
                    if options.json:  # after every turn: what ran for an hour is not lost
                        options.json.write_text(json.dumps(_figures(sides), indent=1) + "\n")
        except Failed as error:
            sys.exit(str(error))
    if output("git", "status", "--porcelain", "--untracked-files=no"):
        print("note: changes of the working tree that are in no commit were not measured")
    _print(sides)
    if any(any(side.failures) for side in sides):
        sys.exit(1)


def _side(folder: Path, ref: str) -> Side:
    return Side(ref, checkout(top(), folder, ref), folder)


def _prepare(side: Side, *, quick: bool) -> None:
    """Builds the environment that the command runs in."""
    if not quick:
        print(f"building the environment of {side.name}", flush=True)
        _must(side, _BUILT)
        return
    python = borrowed(side.folder)
    options = ("-q", "-p", "no:cacheprovider", "--benchmark-disable", "-n", "2")
    side.command = (str(python), "-m", "pytest", *options, "--dist", "worksteal", *QUICK)
    # The compiled code of a built environment is there, too.
    _must(side, (str(python), "-m", "compileall", "-q", "harness", "tests"))


def _part(covered: Side, plain: Side, *, quick: bool) -> None:
    """Makes sides of the same commit differ by the measurement of coverage."""
    plain.name = "HEAD without"
    if quick:
        covered.command += _COVERAGE
    else:
        plain.variables["PERFGATE_COVERAGE"] = f"no:{_PLUGIN}"


def _run(side: Side) -> None:
    """One turn: the tests of one side, timed."""
    print(f"{side.name}: {' '.join(side.command[-4:])}", flush=True)
    before, start = _cpu(), time.perf_counter()
    done = _do(side, side.command)
    side.seconds.append(time.perf_counter() - start)
    side.cpu.append(_cpu() - before)
    lines = done.stdout.splitlines()
    if done.returncode and not _COMPLETE.search(done.stdout):
        raise Failed(_ended(side, side.command, done))
    side.failures.append(tuple(each for each in lines if each.startswith(("FAILED ", "ERROR "))))
    print(f"  {side.seconds[-1]:.1f} s", *side.failures[-1], sep="\n  ", flush=True)


def _must(side: Side, command: Sequence[str]) -> None:
    """Runs a command in a checkout.

    Raises:
        Failed: it ended with another code than 0.
    """
    done = _do(side, command)
    if done.returncode:
        raise Failed(_ended(side, command, done))


def _ended(side: Side, command: Sequence[str], done: subprocess.CompletedProcess[str]) -> str:
    """How a command ended, after its last lines."""
    last = "\n".join(done.stdout.splitlines()[-30:])
    return f"{last}\n{side.name}: {' '.join(command)} ended with {done.returncode}"


def _do(side: Side, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Runs a command in a checkout, and keeps what it prints."""
    binaries = side.folder / ".venv" / "bin"
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}"}
    environment |= side.variables
    # These change what is measured, and no environment of tox has them.
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH"):
        environment.pop(name, None)
    return subprocess.run(
        command,
        cwd=side.folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


def _cpu() -> float:
    """Seconds on all cores of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _figures(sides: Sequence[Side]) -> dict[str, Any]:
    now, before = sides
    complete = bool(now.seconds and before.seconds)
    return {
        "ratio": statistics.median(now.seconds) / statistics.median(before.seconds)
        if complete
        else None,
        "ratio_cpu": statistics.median(now.cpu) / statistics.median(before.cpu)
        if complete
        else None,
        "sides": [
            {
                "name": side.name,
                "commit": side.commit,
                "command": list(side.command),
                "seconds": side.seconds,
                "cpu": side.cpu,
                "failures": side.failures,
            }
            for side in sides
        ],
    }


def _print(sides: Sequence[Side]) -> None:
    for side in sides:
        turns = ", ".join(f"{seconds:.1f}" for seconds in side.seconds)
        print(
            f"{side.name:<12} {side.commit[:10]}  median {statistics.median(side.seconds):7.1f} s "
            f"({turns})  on all cores {statistics.median(side.cpu):7.1f} s"
        )
    figures = _figures(sides)
    print(f"ratio: {figures['ratio']:.2f}, of what all cores did: {figures['ratio_cpu']:.2f}")


if __name__ == "__main__":
    main()
