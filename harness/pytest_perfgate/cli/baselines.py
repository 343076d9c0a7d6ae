"""`pytest-perfgate baselines`: lists, shows, compares, renames, accepts and deletes baselines."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from pytest_perfgate.cli import baselines_accept, options
from pytest_perfgate.errors import PerfgateError


def add_command(commands: Any) -> None:
    """Adds the command and its actions to the subparsers of `pytest-perfgate`."""
    baselines = commands.add_parser(
        "baselines", help="list, show, compare, rename, accept and delete stored baselines"
    )
    actions = baselines.add_subparsers(title="actions", metavar="ACTION", required=True)
    listed = actions.add_parser("list", help="list every stored baseline, one line each")
    listed.set_defaults(run=_list)
    shown = actions.add_parser("show", help="show all values of one baseline")
    shown.add_argument("recipe", help="name of the recipe, or suite/recipe")
    shown.set_defaults(run=_show)
    diff = actions.add_parser("diff", help="compare two baseline files")
    diff.add_argument("old", type=Path)
    diff.add_argument("new", type=Path)
    diff.set_defaults(run=_diff)
    prune = actions.add_parser("prune", help="list baselines without a recipe; --yes deletes them")
    prune.add_argument("--yes", action="store_true", help="delete the listed baselines")
    options.add_suites(prune)
    prune.set_defaults(run=_prune)
    rename = actions.add_parser(
        "rename", help="give the baselines of a recipe, of all machines, to its new name"
    )
    rename.add_argument("old", metavar="SUITE/OLD", help="suite and former name of the recipe")
    rename.add_argument("new", metavar="NEW", help="its name now")
    rename.set_defaults(run=_rename)
    accept = baselines_accept.add_action(actions)
    for action in (listed, shown, diff, prune, rename, accept):
        options.add_baselines(action)


def _list(arguments: argparse.Namespace) -> int:
    from pytest_perfgate.baselines.store import Store, read_file
    from pytest_perfgate.machine.fingerprint import this_machine
    from pytest_perfgate.units import count_of

    here = this_machine().id
    now = datetime.now(UTC)
    count = problems = 0
    for file in Store(arguments.baselines).files():
        count += 1
        try:
            baseline = read_file(file)
        except PerfgateError as error:
            problems += 1
            print(error, file=sys.stderr)
            continue
        mark = "this machine" if file.parts[-3] == here else file.parts[-3]
        age = baseline.age_days(now)
        earlier = sum(len(origin.metrics) for origin in baseline.origins)
        print(
            f"{baseline.suite}/{baseline.recipe:<20} {age:5.0f} days  {len(baseline.metrics):3} "
            f"metrics  {baseline.commit[:10] or '-':<10}  {mark}"
            + (f"; {count_of(earlier, 'is', 'are')} of earlier sessions" if earlier else "")
        )
    if not count:
        print(f"no baselines in {arguments.baselines}; pytest --perf --perf-update records some")
    return 1 if problems else 0


def _show(arguments: argparse.Namespace) -> int:
    from pytest_perfgate.baselines.store import Store, read_file
    from pytest_perfgate.units import show

    suite, _, recipe = arguments.recipe.rpartition("/")
    files = [
        file
        for file in Store(arguments.baselines).files()
        if file.stem == recipe and suite in {"", file.parts[-2]}
    ]
    if not files:
        known = ", ".join(
            f"{file.parts[-2]}/{file.stem}" for file in Store(arguments.baselines).files()
        )
        raise PerfgateError(
            f"there is no baseline of {arguments.recipe!r}",
            where=str(arguments.baselines),
            valid=known or "none is stored",
            next_step="pytest-perfgate baselines list",
        )
    for file in files:
        baseline = read_file(file)
        print(file)
        print(f"  recorded  {baseline.recorded}, commit {baseline.commit[:10] or '-'}")
        print(f"  machine   {baseline.machine.cpu}, {baseline.machine.cores} cores")
        for name, metric in baseline.metrics.items():
            launches = f"  {len(metric.launches)} launches" if metric.launches else ""
            origin = baseline.origin_of(name)
            if origin.recorded != baseline.recorded:
                launches += f"  of {origin.recorded[:10]}, commit {origin.commit[:10] or '-'}"
            print(f"  {name:<16}  {show(metric.value, metric.unit):>14}{launches}")
        for reason in baseline.reasons:
            print(f"  loosened  {reason.metric} on {reason.date[:10]}: {reason.reason}")
    return 0


def _diff(arguments: argparse.Namespace) -> int:
    from pytest_perfgate.baselines.store import read_file
    from pytest_perfgate.units import show, show_percent

    old, new = read_file(arguments.old), read_file(arguments.new)
    if old.machine != new.machine:
        print(f"different machines: {old.machine.id} and {new.machine.id}")
    for name in sorted(old.metrics.keys() | new.metrics.keys()):
        before, after = old.metrics.get(name), new.metrics.get(name)
        moved = ""
        if before and after and before.value:
            moved = show_percent(after.value / before.value - 1)
        left = show(before.value, before.unit) if before else "-"
        right = show(after.value, after.unit) if after else "-"
        print(f"{name:<16} {left:>14} {right:>14} {moved:>9}".rstrip())
    return 0


def _rename(arguments: argparse.Namespace) -> int:
    from pytest_perfgate.baselines.store import Store, read_file, remove

    suite, _, old = arguments.old.rpartition("/")
    store = Store(arguments.baselines)
    files = [file for file in store.files() if file.parts[-2:] == (suite, f"{old}.json")]
    if not files:
        raise PerfgateError(
            f"there is no baseline of {arguments.old!r}",
            where=str(arguments.baselines),
            valid="SUITE/RECIPE, as pytest-perfgate baselines list has it",
            next_step="pytest-perfgate baselines list",
        )
    moved = [read_file(file).model_copy(update={"recipe": arguments.new}) for file in files]
    for baseline in moved:
        place = store.path(baseline.machine.id, suite, arguments.new)
        if place.exists():
            raise PerfgateError(
                f"{suite}/{arguments.new} has a baseline already; nothing was changed",
                where=str(place),
                next_step="delete one of the two, or leave the old one to "
                "pytest-perfgate baselines prune",
            )
    store.write_all(moved)
    for file in files:  # when all are in their new places
        remove(file)
        print(f"{file} -> {arguments.new}.json")
    return 0


def _prune(arguments: argparse.Namespace) -> int:
    from pytest_perfgate.baselines.store import Store, remove
    from pytest_perfgate.cli.project import root_of
    from pytest_perfgate.suite import reading

    known: dict[str, set[str]] = {}
    for file in sorted(arguments.suites.rglob("recipes.toml")):
        read = reading.read(file, root_of(Path.cwd()))
        if read.suite is None or read.problems:
            first = next(iter((*read.suite_problems, *chain(*read.problems.values()))))
            raise PerfgateError(
                f"unused baselines cannot be determined, as it has errors: {first.problem}",
                where=str(file),
                next_step="pytest --perf --collect-only names the errors; fix them first",
            )
        for title in read.suite.titles:
            known.setdefault(title, set()).update(read.suite.recipes)
    if not known:
        raise PerfgateError(
            f"there is no suite below {arguments.suites}",
            next_step="pytest-perfgate baselines prune --suites DIR",
        )
    gone = []
    for file in Store(arguments.baselines).files():
        suite = file.parts[-2]
        if file.stem in known.get(suite, ()):
            continue
        why = "" if suite in known else _why_kept(file, root_of(Path.cwd()))
        if why:
            print(f"kept {file}: {why}")
        else:
            gone.append(file)
    for file in gone:
        if arguments.yes:
            remove(file)
        print(f"{'deleted' if arguments.yes else 'would delete'} {file}")
    if gone and not arguments.yes:
        print("pytest-perfgate baselines prune --yes deletes them")
    if not gone:
        print("every baseline belongs to a recipe")
    return 0


def _why_kept(file: Path, root: Path) -> str:
    """Why the baseline of a suite that was not found may have one all the same; "" for no reason.
    Suites may lie in several folders, and the command looks into one.
    """
    from pytest_perfgate.baselines.store import read_file
    from pytest_perfgate.records.settings import SUITE_FILE

    try:
        folder = read_file(file).folder
    except PerfgateError as error:
        return error.problem
    if not folder or not (root / folder / SUITE_FILE).is_file():
        return ""
    return f"its suite is in {folder}; --suites names a folder with all suites"
