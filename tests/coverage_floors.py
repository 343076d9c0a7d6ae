"""Prints how much of each room the tests have run, by branch, and holds some rooms to a floor.

`tox run -e tests` runs it after the tests: `python -m tests.coverage_floors`. With arguments (those
that tox hands to pytest) only a part of the tests was run, and no floor is held.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence

import coverage

FLOORS = {"verdicts": 95.0, "baselines": 95.0, "stats": 95.0, "suite": 95.0}
"""Percent of lines and branches, of the rooms in which a mistake makes a wrong verdict green."""


def rooms(data: coverage.Coverage) -> dict[str, float]:
    """Room to the percent of its lines and branches that were run; `""` is the whole package.

    Raises:
        coverage.exceptions.NoDataError: nothing of a room was run.
    """
    shares = {
        room: data.report(include=[f"*/pytest_perfgate/{room}/*"], file=io.StringIO())
        for room in FLOORS
    }
    return {**shares, "": data.report(file=io.StringIO())}


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
    data = coverage.Coverage()
    data.load()
    shares = rooms(data)
    for room in FLOORS:
        sys.stdout.write(f"coverage of {room}: {shares[room]:.1f} %\n")
    sys.stdout.write(f"coverage of the whole package: {shares['']:.1f} % of lines and branches\n")
    lines = [] if arguments else missed(shares)
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
