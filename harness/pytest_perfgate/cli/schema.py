"""`pytest-perfgate schema`: the JSON schema of recipes.toml."""

from __future__ import annotations

import argparse
import json
from typing import Any


def add_command(commands: Any) -> None:
    """Adds the command to the subparsers of `pytest-perfgate`."""
    schema = commands.add_parser(
        "schema", help="print a JSON schema of recipes.toml for your editor"
    )
    schema.set_defaults(run=_run)


def _run(_: argparse.Namespace) -> int:
    from pytest_perfgate.suite.json_schema import suite_schema

    print(json.dumps(suite_schema(), indent=2))
    return 0
