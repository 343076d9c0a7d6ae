"""`pytest-perfgate init`: writes a small working suite."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_command(commands: Any) -> None:
    """Adds the command to the subparsers of `pytest-perfgate`."""
    init = commands.add_parser("init", help="write a small working suite into a project")
    init.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path(),
        help="folder of the project (default: this folder)",
    )
    init.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from pytest_perfgate.cli import scaffold
    from pytest_perfgate.suite import reading
    from pytest_perfgate.suite.requirements import missing_packages

    for file in scaffold.write(arguments.folder):
        print(f"wrote {arguments.folder / file}")
    read = reading.read(
        arguments.folder / "suites" / "example" / "recipes.toml", arguments.folder.resolve()
    )
    if read.suite is not None:
        missing = {
            requirement.install
            for recipe in read.suite.recipes.values()
            for requirement in missing_packages(read.suite, recipe)
        }
        for command in sorted(missing):
            print(f"install first: {command}")
    print("next: pytest --perf suites/example")
    return 0
