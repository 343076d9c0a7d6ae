"""`pytest-perfgate prove`: plants faults in a recipe, and shows which budgets see them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_perfgate.cli import options
from pytest_perfgate.errors import PerfgateError, RecipeError, ReportError, suggestion

if TYPE_CHECKING:
    from pytest_perfgate.cli.prove_record import Proof
    from pytest_perfgate.proving.catalogue import Fault
    from pytest_perfgate.records.recipe import Recipe, Suite

_ABOUT = """\
Plants faults in a copy of the recipe, one at a time, and judges each copy as
--perf-base judges a change: the recipe as it is is the base, the copy the candidate,
in the same launches. Prints a matrix of faults and budgets, and for each fault that
no budget sees the line of the suite file that would see it. Harmless changes (other
names, another order, a copy of the code) must stay green. Nothing is written but the
cache: no baseline, no history, no report.

exit code: 0 every fault that applies turns a budget red, and no harmless change does
           1 a fault is not seen, or a harmless change turns a budget red
           2 it could not be proven: the recipe cannot be measured, or wrong usage
           130 interrupted"""

_HARMLESS = 100
_SECONDS = 300.0


def add_command(commands: Any) -> None:
    """Adds the command to the subparsers of `pytest-perfgate`."""
    prove = commands.add_parser(
        "prove",
        help="plant faults in a recipe, and show which budgets see them",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    prove.add_argument("recipe", nargs="?", default="", help="name of the recipe, or suite/recipe")
    options.add_suites(prove)
    prove.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME",
        help="plant this fault only; may be given several times (default: all)",
    )
    prove.add_argument(
        "--harmless",
        type=_count,
        default=_HARMLESS,
        metavar="N",
        help=f"number of harmless changes (default: {_HARMLESS})",
    )
    prove.add_argument(
        "--seconds",
        type=options.seconds,
        default=_SECONDS,
        metavar="S",
        help=f"time for launches, after which none begins (default: {_SECONDS:g})",
    )
    options.add_wait(prove)
    prove.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="folder of the cache (default: .perfgate in the root of the project)",
    )
    prove.add_argument("--json", type=Path, metavar="FILE", help="write all results as JSON, too")
    prove.add_argument(
        "--list", action="store_true", help="list the faults and what they do, and measure nothing"
    )
    prove.set_defaults(run=_run)


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 1000")
    return value


def _run(arguments: argparse.Namespace) -> int:
    if arguments.list:
        return _list()
    from pytest_perfgate.report.progress import ProgressLine

    progress = ProgressLine()
    try:
        proof = _prove(arguments, progress)
    except PerfgateError as error:
        progress.end()
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        progress.end()
        print("interrupted: no result", file=sys.stderr)
        return 130
    return 1 if proof.unseen or proof.false_alarms else 0


def _list() -> int:
    from pytest_perfgate.proving.catalogue import FAULTS

    width = max(map(len, FAULTS))
    for fault in FAULTS.values():
        print(f"{fault.name.ljust(width)}  {fault.what}")
    return 0


def _prove(arguments: argparse.Namespace, progress: Any) -> Proof:
    """Proves a recipe, prints the result, and writes it where `--json` names a file."""
    from pytest_perfgate.cli.project import locate
    from pytest_perfgate.cli.prove_run import Request, prove
    from pytest_perfgate.cli.prove_words import words
    from pytest_perfgate.files import put, writing
    from pytest_perfgate.records.settings import for_command

    file: Path | None = arguments.json
    if file is not None and not file.absolute().parent.is_dir():
        raise ReportError(
            "its folder does not exist", where=str(file), next_step="name another: --json FILE"
        )
    faults = _faults(arguments.fault)
    root, folder = locate(Path.cwd(), arguments.suites)
    suite, recipe = _recipe(arguments.recipe, root, folder)
    cache = None if arguments.cache is None else Path.cwd() / arguments.cache
    settings = for_command(
        root,
        f"pytest-perfgate prove {recipe.name}",
        cache=cache,
        seconds=arguments.seconds,
        wait=arguments.wait,
    )
    try:
        proof = prove(Request(suite, recipe, faults, arguments.harmless), settings, progress)
    finally:
        progress.end()
    print("\n".join(words(proof)))
    if file is not None:
        with writing(file, "the JSON file", ReportError):
            put(file, proof.model_dump_json(indent=1))
    return proof


def _faults(names: list[str]) -> list[Fault]:
    from pytest_perfgate.proving.catalogue import FAULTS

    for name in names:
        if name not in FAULTS:
            raise PerfgateError(
                f"there is no fault {name!r}",
                where="--fault",
                valid=suggestion(name, FAULTS),
                next_step="pytest-perfgate prove --list",
            )
    return [FAULTS[name] for name in dict.fromkeys(names or FAULTS)]


def _recipe(name: str, root: Path, folder: Path) -> tuple[Suite, Recipe]:
    """The recipe of that name; without one the recipe with the longest chain of the only suite.

    Raises:
        RecipeError: there is none, or the suite is not the only one.
    """
    from pytest_perfgate.suite import reading
    from pytest_perfgate.suite.lookup import find, suite_files

    if name:
        return find(name, root, folder, command="pytest-perfgate prove")
    files = suite_files(folder)
    if len(files) != 1:
        raise RecipeError(
            f"there are {len(files)} suites, and no recipe is named",
            where=str(folder),
            next_step="pytest-perfgate prove SUITE/RECIPE",
        )
    read = reading.read(files[0], root)
    if read.suite is None or not read.suite.recipes:
        raise read.suite_problems[0] if read.suite_problems else RecipeError("it has no recipe")
    recipes = read.suite.recipes.values()
    return read.suite, max(recipes, key=lambda recipe: (len(recipe.chain), len(recipe.budgets)))
