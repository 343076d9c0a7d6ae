"""`pytest-perfgate explain RECIPE`: what each link of a recipe's chain did to every metric."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from pytest_perfgate.cli import options

_ABOUT = """\
Cuts the recipe's chain after every link, builds the pieces, measures them in one
session, and prints what each link changed, in numbers, and which link lost each
broken budget.

exit code: 0 no budget of the recipe is broken
           1 a budget is broken, or a piece could not be measured
           2 wrong usage"""


def add_command(commands: Any) -> None:
    """Adds the command to the subparsers of `pytest-perfgate`."""
    explain = commands.add_parser(
        "explain",
        help="measure a recipe's chain link by link: what each link did to every metric",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    explain.add_argument("recipe", help="name of the recipe, or suite/recipe")
    options.add_suites(explain)
    options.add_seconds(explain)
    options.add_wait(explain)
    explain.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from pytest_perfgate.cli import explain_chain
    from pytest_perfgate.cli.project import locate
    from pytest_perfgate.records.settings import for_command
    from pytest_perfgate.report.progress import ProgressLine

    root, suites = locate(Path.cwd(), arguments.suites)
    settings = for_command(
        root,
        f"pytest-perfgate explain {arguments.recipe}",
        seconds=arguments.seconds,
        wait=arguments.wait,
    )
    progress = ProgressLine()
    lines: list[str] = []
    try:
        code = explain_chain.run(arguments.recipe, settings, suites, progress, lines.append)
    except KeyboardInterrupt:
        print("interrupted: no result", file=sys.stderr)
        return 130
    finally:
        progress.end()
    print("\n".join(lines))
    return code
