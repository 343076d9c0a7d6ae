"""`pytest-perfgate confirm`: measures the steps that the history found again."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_perfgate.cli import options
from pytest_perfgate.cli.history import folder_option, opened, say_unread

_ABOUT = """\
Takes each step that the history found in the last sessions of this machine, checks the
commits before and after it out, and measures both in the same launches. Each alert is
stored with what became of it: confirmed, not confirmed, or could not be measured.

exit code: 0 no step for the worse is confirmed
           1 one is, or one could not be measured
           2 wrong usage"""


def add_command(commands: Any) -> None:
    """Adds the command to the subparsers of `pytest-perfgate`."""
    confirm = commands.add_parser(
        "confirm",
        help="measure the steps of the last nights again, both commits beside each other",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    confirm.add_argument(
        "--again", action="store_true", help="also take steps that could not be measured before"
    )
    folder_option(confirm, "--history")
    options.add_baselines(confirm)
    options.add_suites(confirm)
    options.add_seconds(confirm, more="for each pair of commits; builds do not count")
    options.add_wait(confirm)
    confirm.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from pytest_perfgate.cli.project import locate
    from pytest_perfgate.history.alert_rows import alert_lines
    from pytest_perfgate.history.confirm_steps import confirm
    from pytest_perfgate.records.settings import for_command
    from pytest_perfgate.report.progress import ProgressLine

    folder = opened(arguments.history)
    root, suites = locate(Path.cwd(), arguments.suites)
    settings = for_command(
        root, "pytest-perfgate confirm", seconds=arguments.seconds, wait=arguments.wait
    )
    settings = replace(settings, baselines=arguments.baselines.resolve())
    progress = ProgressLine()
    try:
        result = confirm(folder, settings, suites, progress, again=arguments.again)
    except KeyboardInterrupt:
        print("interrupted: steps measured until then are stored", file=sys.stderr)
        return 130
    finally:
        progress.end()
    say_unread(result.unread)
    for line in alert_lines(result.standings):
        print(line)
    if not result.standings:
        print("no steps to measure again in the last sessions of this machine")
    return 1 if result.is_bad or result.unread else 0
