"""Options that several commands have."""

from __future__ import annotations

import argparse
import math
from pathlib import Path


def seconds(text: str) -> float:
    """A number of seconds from the command line.

    Raises:
        argparse.ArgumentTypeError: it is not a number, negative or infinite.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, such as 60")
    return value


def add_seconds(parser: argparse.ArgumentParser) -> None:
    """`--seconds S`: the time for measuring."""
    parser.add_argument(
        "--seconds",
        type=seconds,
        default=60.0,
        metavar="S",
        help="time for measuring (default: 60); more gives narrower intervals",
    )


def add_wait(parser: argparse.ArgumentParser) -> None:
    """`--wait S`: the time to wait for another session."""
    parser.add_argument(
        "--wait",
        type=seconds,
        default=0.0,
        metavar="S",
        help="time to wait for another session on this machine (default: 0, fail at once)",
    )


def add_baselines(parser: argparse.ArgumentParser) -> None:
    """`--baselines DIR`: the store of baselines."""
    parser.add_argument(
        "--baselines",
        type=Path,
        default=Path("baselines"),
        metavar="DIR",
        help="folder of the baselines (default: baselines)",
    )


def add_suites(parser: argparse.ArgumentParser) -> None:
    """`--suites DIR`: where suite files are searched for."""
    parser.add_argument(
        "--suites",
        type=Path,
        default=Path("suites"),
        metavar="DIR",
        help="folder of the suites (default: suites)",
    )
