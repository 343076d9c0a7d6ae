"""Prints how much of each room the tests have run, by branch, and holds some rooms to a floor.

`tox run -e tests` runs it after the tests: `python -m tests.coverage_floors`. With arguments (those
that tox hands to pytest) only a part of the tests was run, and no floor is held. It leaves data
that `coverage report -m` and `coverage html` read.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import coverage
import coverage.exceptions

from tests.coverage_probes import FILES, SOURCES, TOP, Branch

Arc: TypeAlias = tuple[int, int]

FLOORS = {"verdicts": 95.0, "baselines": 95.0, "stats": 95.0, "suite": 95.0}
"""Percent of lines and branches, of the rooms in which a mistake makes a wrong verdict green."""


@dataclass(frozen=True)
class Run:
    """What the tests ran of one module."""

    lines: set[int] = field(default_factory=set)
    branches: set[Branch] = field(default_factory=set)


def runs(folder: Path = TOP) -> dict[str, Run]:
    """By module, what the processes of the tests ran of it together.

    Raises:
        coverage.exceptions.NoDataError: no process has left a file.
    """
    files = list(folder.glob(FILES))
    if not files:
        raise coverage.exceptions.NoDataError(
            f"no file {folder / FILES}; next: python -m pytest -p tests.coverage_plugin"
        )
    both: dict[str, Run] = defaultdict(Run)
    for file in files:
        for module, run in json.loads(file.read_text()).items():
            both[module].lines.update(run["lines"])
            both[module].branches.update(Branch(*branch) for branch in run["branches"])
    return both


def record(modules: Collection[str], passed: Mapping[str, Run], file: Path) -> dict[str, Any]:
    """Writes coverage.py's data file of modules, and gives its report of them (in its JSON).

    Which lines are code, and which branches there are, is coverage.py's to say.
    """
    data = coverage.CoverageData(str(file))
    data.erase()
    # An arc is where a branch went, and one from -1 has a line alone.
    data.add_arcs({module: {(-1, line) for line in run.lines} for module, run in passed.items()})
    data.touch_files(modules)
    data.write()
    data.add_arcs(
        {
            module: set(arcs(figures["missing_branches"], passed[module].branches))
            for module, figures in report(file).items()
            if module in passed
        }
    )
    data.write()
    return report(file)


def arcs(possible: Iterable[Sequence[int]], branches: Iterable[Branch]) -> Iterator[Arc]:
    """Those of all possible arcs (from line, to line) that branches took.

    A branch of which coverage.py does not have the body and one other place took none.
    """
    places: dict[int, set[int]] = defaultdict(set)
    for line, target in possible:
        places[line].add(target)
    for line, body, taken in branches:
        others = places[line] - {body}
        if body in places[line] and len(others) == 1:
            yield line, body if taken else others.pop()


def report(file: Path) -> dict[str, Any]:
    """By module, what coverage.py counts."""
    measured = coverage.Coverage(data_file=str(file))
    measured.load()
    with tempfile.TemporaryDirectory() as folder:
        measured.json_report(outfile=f"{folder}/report.json")
        figures = json.loads(Path(folder, "report.json").read_text())["files"]
    return {str(Path(module).resolve()): counts for module, counts in figures.items()}


def shares(figures: Mapping[str, Any], sources: Path = SOURCES) -> dict[str, float]:
    """Room to the percent of its lines and branches that were run; `""` is the whole package."""
    run: dict[str, int] = defaultdict(int)
    total: dict[str, int] = defaultdict(int)
    for module, counts in figures.items():
        summary = counts["summary"]
        for room in ("", Path(module).relative_to(sources).parts[1]):
            run[room] += summary["covered_lines"] + summary["covered_branches"]
            total[room] += summary["num_statements"] + summary["num_branches"]
    return {room: 100 * run[room] / total[room] for room in total if total[room]}


def missed(shares: Mapping[str, float]) -> list[str]:
    """A line for each room below its floor."""
    return [
        f"coverage of {room}: {shares[room]:.1f} %, the floor is {floor:g} %; "
        f"next: coverage report -m --include='*/pytest_perfgate/{room}/*'"
        for room, floor in FLOORS.items()
        if shares[room] < floor
    ]


def main(arguments: Sequence[str]) -> int:
    """Prints the figures; 1 when a floor is missed."""
    modules = [str(file) for file in SOURCES.rglob("*.py")]
    percent = shares(record(modules, runs(), TOP / ".coverage"))
    for room in FLOORS:
        sys.stdout.write(f"coverage of {room}: {percent[room]:.1f} %\n")
    sys.stdout.write(f"coverage of the whole package: {percent['']:.1f} % of lines and branches\n")
    lines = [] if arguments else missed(percent)
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
