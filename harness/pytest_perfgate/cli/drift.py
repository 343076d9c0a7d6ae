"""`pytest-perfgate drift`: whether live requests are still like what the gate measured."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_perfgate.cli import options
from pytest_perfgate.plain_text import one_line

if TYPE_CHECKING:
    from pytest_perfgate.live.drift import Drift, Moved

_ABOUT = """\
Compares the requests in a monitor's log with the images that a session scored: nine
statistics of the inputs, and of each class the share of images that have it and its
scores. Names the inputs and classes that moved, since when, and images that show it.

The command may be run as often as you like: the chance that unchanged requests are ever
called moved is at most --alpha, over all comparisons and all runs on a growing log.

exit code: 0 nothing is proven to have moved
           1 an input or a class moved
           2 wrong usage
           10 something could not be compared: too few rows, more than 1 % of them without
              statistics or scores, or a file cannot be used"""
_MOST = 20  # comparisons without a difference that a terminal shows


def add_command(commands: Any) -> None:
    """Adds the command to the subparsers of `pytest-perfgate`."""
    drift = commands.add_parser(
        "drift",
        help="compare live requests with what the gate measured",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    drift.add_argument("record", type=Path, metavar="RECORD", help="JSON file of a session")
    drift.add_argument(
        "logs", type=Path, nargs="+", metavar="LOGS", help="folder, or files, of a monitor"
    )
    drift.add_argument(
        "--recipe",
        default="",
        metavar="NAME",
        help="recipe of the session, NAME or SUITE/NAME (default: that of the log)",
    )
    options.add_alpha(drift, 0.01, "chance of a false alarm, of the whole command")
    drift.add_argument(
        "--least-score",
        type=options.number("a score, such as 0.25"),
        default=0.25,
        metavar="S",
        help="score from which on an image has a class (default: 0.25)",
    )
    options.add_apart(drift)
    drift.add_argument("--json", action="store_true", help="print the result as JSON")
    drift.set_defaults(run=_drift, problem_code=options.UNMEASURED)


def _drift(arguments: argparse.Namespace) -> int:
    from pytest_perfgate.live.drift import compare
    from pytest_perfgate.live.gate_record import read_record
    from pytest_perfgate.live.logs import read_logs

    logs = read_logs(arguments.logs).thinned(arguments.apart)
    record = read_record(arguments.record, arguments.recipe or logs.name)
    result = compare(record, logs, arguments.alpha, arguments.least_score)
    if arguments.json:
        print(result.model_dump_json(indent=1))
    else:
        for line in lines(result):
            print(line)
    if result.moved:
        return 1
    return options.UNMEASURED if result.missing else 0


def lines(result: Drift) -> Iterator[str]:
    """The result as text."""
    yield (
        f"{result.suite}/{result.recipe}: {result.rows:,} rows from {result.first} to "
        f"{result.last}, against {result.images:,} validation images"
    )
    moved = result.moved
    for one in (*moved, *result.comparisons[len(moved) :][:_MOST]):
        mark, name = "moved" if one.moved else "-", one_line(one.name)
        yield f"{mark:<7}{one.kind:<7}{name:<20}{_words(one)}"
        for example in one.examples:
            name = f"  {one_line(example.image)}" if example.image else ""
            yield f"{'':<14}{example.time}  {example.value:.4g}{name}"
    left_out = len(result.comparisons) - len(moved) - _MOST
    if left_out > 0:
        yield f"and {left_out} more that did not move; --json has all"
    for sentence in (*result.missing, *result.notes):
        yield f"note: {sentence}"
    yield (
        f"{len(moved)} of {len(result.comparisons)} comparisons moved; chance of a false alarm, "
        f"however often this is run: {100 * result.alpha:g} %"
    )


def _words(one: Moved) -> str:
    if not one.rows:
        return "too few rows"
    if one.kind == "share":
        text = f"{100 * (one.before or 0):.1f} % -> {100 * (one.now or 0):.1f} % of images"
    else:
        text = f"median {one.before:.4g} -> {one.now:.4g}, distance {one.distance:.2f}"
    return f"{text}, since {one.since}" if one.since else text
