"""The command `perfgate`: what is done beside a run of pytest."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from harness import __version__
from harness.errors import PerfgateError, ReportError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; 0 when all is well, 1 when there is a problem, 2 for wrong usage."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if not hasattr(asked, "run"):
        parser.print_help()
        return 2
    try:
        code: int = asked.run(asked)
    except PerfgateError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 0
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="perfgate",
        description="Helps with suites, baselines and reports. Measuring is done by pytest --perf.",
    )
    parser.add_argument("--version", action="version", version=f"perfgate {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    init = commands.add_parser("init", help="write a small working suite into a project")
    init.add_argument("folder", nargs="?", type=Path, default=Path(), help="default: here")
    init.set_defaults(run=_init)

    schema = commands.add_parser("schema", help="print the JSON schema of recipes.toml")
    schema.set_defaults(run=_schema)

    doctor = commands.add_parser(
        "doctor",
        help="say what is installed, and measure how calm this machine is",
        description=_DOCTOR,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    doctor.add_argument(
        "--seconds",
        type=_duration,
        default=60.0,
        metavar="S",
        help="how long to measure (default: 60); less is less sure",
    )
    doctor.add_argument(
        "--json", type=Path, metavar="FILE", help="write all that was found out into a file, too"
    )
    doctor.add_argument(
        "--wait",
        type=_duration,
        default=0.0,
        metavar="S",
        help="how long to wait for a session that is measuring now (default: 0, refuse at once)",
    )
    doctor.add_argument(
        "--installed", action="store_true", help="say what is installed, and measure nothing"
    )
    _store_option(doctor)
    doctor.set_defaults(run=_doctor)

    report = commands.add_parser("report", help="make the page of a session's JSON file again")
    report.add_argument("file", type=Path, help="a JSON file in reports/")
    report.add_argument("-o", "--output", type=Path, help="default: beside the file")
    report.set_defaults(run=_report)

    baselines = commands.add_parser("baselines", help="look at the stored baselines")
    actions = baselines.add_subparsers(title="actions", metavar="ACTION", required=True)
    listed = actions.add_parser("list", help="every stored baseline, one line each")
    listed.set_defaults(run=_list)
    shown = actions.add_parser("show", help="one baseline in full")
    shown.add_argument("recipe", help="its recipe, or suite/recipe")
    shown.set_defaults(run=_show)
    diff = actions.add_parser("diff", help="compare two baseline files")
    diff.add_argument("old", type=Path)
    diff.add_argument("new", type=Path)
    diff.set_defaults(run=_diff)
    prune = actions.add_parser(
        "prune", help="find baselines whose recipe is gone; delete them with --yes"
    )
    prune.add_argument("--yes", action="store_true", help="delete what is listed")
    prune.add_argument("--suites", type=Path, default=Path("suites"), help="default: suites")
    prune.set_defaults(run=_prune)
    for action in (listed, shown, diff, prune):
        _store_option(action)
    return parser


_DOCTOR = """\
Says what is installed and what this machine is, then measures the machine: launches
like those of a suite, with arms that are all the same fixed numpy workload. It needs
no suite and no framework. What identical arms differ by is noise, and from it follows
which tolerances this machine can hold, in seconds per verdict. At the end it says what
would make the machine calmer, the greatest effect first.

exit code: 0 a tolerance of 5 % is decided within 60 s
           1 it is not, or the machine could not be measured
           2 wrong usage"""


def _duration(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, such as 60")
    return seconds


def _store_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--baselines", type=Path, default=Path("baselines"), help="the folder (default: baselines)"
    )


def _init(asked: argparse.Namespace) -> int:
    from harness import scaffold, suitefile

    written = scaffold.write(asked.folder)
    for file in written:
        print(f"wrote {asked.folder / file}")
    read = suitefile.read(
        asked.folder / "suites" / "example" / "recipes.toml", asked.folder.resolve()
    )
    if read.suite is not None:
        missing = {
            each.install
            for recipe in read.suite.recipes.values()
            for each in suitefile.missing_packages(read.suite, recipe)
        }
        for command in sorted(missing):
            print(f"install first: {command}")
    print("next: pytest --perf suites/example")
    return 0


def _schema(_: argparse.Namespace) -> int:
    from harness.schema import suite_schema

    print(json.dumps(suite_schema(), indent=2))
    return 0


def _doctor(asked: argparse.Namespace) -> int:
    from harness import registry
    from harness.baselines import Store
    from harness.machine import this_environment, this_machine

    machine = this_machine()
    environment = this_environment()
    print(f"machine   {machine.id}")
    print(f"cpu       {machine.cpu}, {machine.cores} cores, {machine.memory} GiB, {machine.os}")
    gpus = ", ".join(f"{gpu.count} x {gpu.name}" for gpu in machine.gpus)
    print(f"gpu       {gpus or 'none'}")
    print(f"python    {environment.python}")
    for name, version in environment.packages.items():
        print(f"          {name} {version}")
    for group in (registry.STEPS, registry.RUNTIMES, registry.TASKS):
        for name in registry.names(group):
            kind = group.rpartition(".")[2].rstrip("s")
            needs = [each for each in registry.find(group, name).requires if each.missing]
            state = f"needs {needs[0].module}: {needs[0].install}" if needs else "ready"
            print(f"{kind:<9} {name:<16} {state}")
    mine = [file for file in Store(asked.baselines).files() if file.parts[-3] == machine.id]
    print(f"baselines {len(mine)} for this machine in {asked.baselines}")
    if not mine:
        print("next: pytest --perf --perf-update records some")
    return 0 if asked.installed else _examine(asked)


def _examine(asked: argparse.Namespace) -> int:
    """Measures the machine, shows what was found, and writes it where that was asked for."""
    from harness.doctor import examine, words
    from harness.report.files import put

    if asked.json is not None and not asked.json.absolute().parent.is_dir():
        raise ReportError(
            "its folder is not there", where=str(asked.json), next_step="name another: --json FILE"
        )
    show = _Line()
    try:
        found = examine(asked.seconds, asked.wait, show)
    except KeyboardInterrupt:
        print("interrupted: nothing was found out", file=sys.stderr)
        return 130
    finally:
        show.end()
    print()
    print("\n".join(words(found)))
    if asked.json is not None:
        try:
            put(asked.json, found.model_dump_json(indent=1))
        except OSError as error:
            raise ReportError(
                f"it cannot be written: {error.strerror}", where=str(asked.json)
            ) from error
    return 0 if found.calm else 1


class _Line:
    """Progress: one line of a terminal, written over; nothing where there is no terminal."""

    def __init__(self) -> None:
        self._shown = 0

    def __call__(self, text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r{text:<{self._shown}}", end="", file=sys.stderr, flush=True)
            self._shown = max(self._shown, len(text))

    def end(self) -> None:
        """Wipes the line."""
        if self._shown:
            print(f"\r{'':<{self._shown}}\r", end="", file=sys.stderr, flush=True)


def _report(asked: argparse.Namespace) -> int:
    from harness.report.files import put, read
    from harness.report.page import render
    from harness.suitefile import metrics_of_session

    session = read(asked.file)
    output = asked.output or asked.file.with_suffix(".html")
    try:
        put(output, render(session, metrics_of_session(session)))
    except OSError as error:
        raise ReportError(
            f"the page cannot be written: {error.strerror}",
            where=str(output),
            next_step="name a file in a folder that exists: -o FILE",
        ) from error
    print(f"report: {output}")
    return 0


def _list(asked: argparse.Namespace) -> int:
    from harness.baselines import Store, read_file
    from harness.machine import this_machine

    here = this_machine().id
    now = datetime.now(UTC)
    count = problems = 0
    for file in Store(asked.baselines).files():
        count += 1
        try:
            baseline = read_file(file)
        except PerfgateError as error:
            problems += 1
            print(error, file=sys.stderr)
            continue
        mark = "this machine" if file.parts[-3] == here else file.parts[-3]
        age = baseline.age_days(now)
        print(
            f"{baseline.suite}/{baseline.recipe:<20} {age:5.0f} days  {len(baseline.metrics):3} "
            f"metrics  {baseline.commit[:10] or '-':<10}  {mark}"
        )
    if not count:
        print(f"no baselines in {asked.baselines}; pytest --perf --perf-update records some")
    return 1 if problems else 0


def _show(asked: argparse.Namespace) -> int:
    from harness.baselines import Store, read_file
    from harness.units import show

    suite, _, recipe = asked.recipe.rpartition("/")
    found = [
        file
        for file in Store(asked.baselines).files()
        if file.stem == recipe and suite in {"", file.parts[-2]}
    ]
    if not found:
        known = ", ".join(
            f"{file.parts[-2]}/{file.stem}" for file in Store(asked.baselines).files()
        )
        raise PerfgateError(
            f"there is no baseline of {asked.recipe!r}",
            where=str(asked.baselines),
            valid=known or "none is stored",
            next_step="perfgate baselines list",
        )
    for file in found:
        baseline = read_file(file)
        print(file)
        print(f"  recorded  {baseline.recorded}, commit {baseline.commit[:10] or '-'}")
        print(f"  machine   {baseline.machine.cpu}, {baseline.machine.cores} cores")
        for name, metric in baseline.metrics.items():
            launches = f"  {len(metric.launches)} launches" if metric.launches else ""
            print(f"  {name:<16}  {show(metric.value, metric.unit):>14}{launches}")
        for reason in baseline.reasons:
            print(f"  loosened  {reason.metric} on {reason.date[:10]}: {reason.reason}")
    return 0


def _diff(asked: argparse.Namespace) -> int:
    from harness.baselines import read_file
    from harness.units import show, show_percent

    old, new = read_file(asked.old), read_file(asked.new)
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


def _prune(asked: argparse.Namespace) -> int:
    from harness import suitefile
    from harness.baselines import Store

    known: dict[str, set[str]] = {}
    for file in sorted(asked.suites.rglob("recipes.toml")):
        read = suitefile.read(file, Path.cwd())
        if read.suite is None or read.problems:
            raise PerfgateError(
                "it has errors, so what is gone cannot be told",
                where=str(file),
                next_step="pytest --perf --collect-only, and mend it first",
            )
        known.setdefault(read.suite.name, set()).update(read.suite.recipes)
    if not known:
        raise PerfgateError(
            f"there is no suite below {asked.suites}",
            next_step="perfgate baselines prune --suites DIR",
        )
    gone = [
        file
        for file in Store(asked.baselines).files()
        if file.stem not in known.get(file.parts[-2], set())
    ]
    for file in gone:
        if asked.yes:
            file.unlink()
        print(f"{'deleted' if asked.yes else 'would delete'} {file}")
    if gone and not asked.yes:
        print("perfgate baselines prune --yes deletes them")
    if not gone:
        print("every baseline belongs to a recipe")
    return 0


if __name__ == "__main__":
    sys.exit(main())
