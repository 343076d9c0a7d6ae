"""`pytest-perfgate freeze`: the recipe that a search found, as an entry of its suite file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.cli import options
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.suite.requirements import missing_packages

_FREEZE = """\
Prints the recipe with the values of its finished search in place of its ranges: an
ordinary recipe, which needs no search and no cache. --write replaces the recipe in the
suite file; comments and other entries stay. freeze does not search:
pytest --perf --perf-search does.

exit code: 0 the entry was printed or written
           1 the search is not finished, it has no result, or the file cannot be written
           2 wrong usage"""

_CACHE = ".perfgate"


def add_command(commands: Any) -> None:
    """Adds the command to the subparsers of `pytest-perfgate`."""
    freeze = commands.add_parser(
        "freeze",
        help="print a recipe with the values of its search in place of its ranges",
        description=_FREEZE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    freeze.add_argument("recipe", help="name of the recipe, or suite/recipe")
    options.add_suites(freeze)
    freeze.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help=f"folder of the cache (default: {_CACHE} in the root of the project)",
    )
    freeze.add_argument("--write", action="store_true", help="write the recipe into the suite file")
    freeze.set_defaults(run=_freeze)


def _freeze(arguments: argparse.Namespace) -> int:
    registry.require((registry.from_extra("tomlkit", "search"),), "pytest-perfgate freeze")
    from pytest_perfgate.cli.project import locate
    from pytest_perfgate.files import put, short_path, writing
    from pytest_perfgate.machine.fingerprint import this_machine
    from pytest_perfgate.records.settings import for_command
    from pytest_perfgate.search.freeze import frozen
    from pytest_perfgate.search.run import resolve_ranges
    from pytest_perfgate.suite import reading
    from pytest_perfgate.suite.lookup import find

    root, folder = locate(Path.cwd(), arguments.suites)
    suite, recipe = find(arguments.recipe, root, folder, command="pytest-perfgate freeze")
    if recipe.search is None:
        raise RecipeError(f"{recipe.name!r} has no ranges, nothing to freeze")
    missing = missing_packages(suite, recipe)
    if missing:
        raise RecipeError(f"{missing[0].module!r} is not installed", next_step=missing[0].install)
    cache = root / _CACHE if arguments.cache is None else Path.cwd() / arguments.cache
    settings = for_command(root, f"pytest-perfgate freeze {arguments.recipe}", cache=cache)
    outcome = resolve_ranges(
        reading.read(suite.file, root),
        {recipe.name},
        settings=settings,
        machine=this_machine(),
        show=lambda _: None,
        say=lambda _: None,
    )
    failed = outcome.failures.get(recipe.name)
    if failed is not None:
        raise RecipeError(f"{recipe.name}: {failed.problem}", next_step=failed.next_step)
    search = outcome.searches[recipe.name]
    text = suite.file.read_bytes().decode()  # line ends as they are
    note = (
        f"Values found by a search: the best by {search.metric} of {len(search.trials)} trials"
        f", seed {search.seed}."
    )
    edit = frozen(text, recipe.name, outcome.values[recipe.name], note)
    place = short_path(suite.file, root)
    if arguments.write and not edit.file:
        raise RecipeError(
            "its entry cannot be edited in place: one table makes several recipes",
            where=place,
            next_step=f"pytest-perfgate freeze {arguments.recipe} prints an entry to insert there",
        )
    print(edit.entry.replace("\r\n", "\n"), end="")
    if arguments.write:
        with writing(suite.file, "the suite file", RecipeError):
            put(suite.file, edit.file)
        print(f"wrote {place}", file=sys.stderr)
    return 0
