"""Options that several commands have."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from pathlib import Path

from pytest_perfgate.cli.project import SUITES, root_of


def number(unit: str) -> Callable[[str], float]:
    """The type of an option: a finite number of `unit` that is not negative."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 <= value < math.inf:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of {unit}")
        return value

    return read


seconds = number("seconds, such as 60")


def add_seconds(
    parser: argparse.ArgumentParser,
    *,
    default: float = 60.0,
    more: str = "more gives narrower intervals",
) -> None:
    """`--seconds S`: the time for measuring; `more` is what else to know of it."""
    parser.add_argument(
        "--seconds",
        type=seconds,
        default=default,
        metavar="S",
        help=f"time for measuring (default: {default:g}); {more}",
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


UNMEASURED = 10
"""Exit code of commands whose 1 is a verdict: nothing was proven, or a problem stood in the way."""


def add_alpha(parser: argparse.ArgumentParser, default: float, help_text: str) -> None:
    """`--alpha A`: the chance of a wrong answer."""
    parser.add_argument(
        "--alpha",
        type=number("a chance, such as 0.01"),
        default=default,
        metavar="A",
        help=f"{help_text} (default: {default:g})",
    )


def add_apart(parser: argparse.ArgumentParser) -> None:
    """`--apart S`: how far the rows of a log that are compared lie from each other."""
    parser.add_argument(
        "--apart",
        type=seconds,
        default=0.0,
        metavar="S",
        help="seconds between two rows that are compared, at least (default: 0, all rows): "
        "neighbouring frames of a camera are alike, and the tests take rows to be independent",
    )


def in_project(folder: str) -> Path:
    """A folder of the project that a command is run in, from wherever inside: relative to the
    folder where it is run, and `folder` itself at the project's root.
    """
    try:
        here = Path.cwd()
    except OSError:  # deleted meanwhile: the command says so where it needs it
        return Path(folder)
    root = root_of(here)
    return Path(folder) if root == here else Path(os.path.relpath(root / folder, here))


def add_folder(parser: argparse.ArgumentParser, option: str, default: str, what: str) -> None:
    """An option that names a folder of the project; `what` says of which."""
    parser.add_argument(
        option,
        type=Path,
        default=in_project(default),
        metavar="DIR",
        help=f"{what} (default: {default})",
    )


def add_baselines(parser: argparse.ArgumentParser) -> None:
    """`--baselines DIR`: the store of baselines."""
    add_folder(parser, "--baselines", "baselines", "folder of the baselines")


def add_suites(parser: argparse.ArgumentParser) -> None:
    """`--suites DIR`: where suite files are searched for, as `locate` does."""
    parser.add_argument(
        "--suites",
        type=Path,
        default=SUITES,
        metavar="DIR",
        help=f"folder of the suites (default: {SUITES})",
    )
