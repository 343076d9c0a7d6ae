"""The command `pytest-perfgate`: what is done beside a run of pytest."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_perfgate import __version__
from pytest_perfgate.cli import baselines, freeze, history, report
from pytest_perfgate.errors import PerfgateError, ReportError
from pytest_perfgate.files import put, writing


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
        prog="pytest-perfgate",
        description="Helps with suites, baselines and reports. Measuring is done by pytest --perf.",
    )
    parser.add_argument("--version", action="version", version=f"pytest-perfgate {__version__}")
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

    explain = commands.add_parser(
        "explain",
        help="measure a recipe's chain link by link: what each did to every metric",
        description=_EXPLAIN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    explain.add_argument("recipe", help="its name, or suite/recipe")
    explain.add_argument(
        "--suites", type=Path, default=Path("suites"), metavar="DIR", help="default: suites"
    )
    explain.add_argument(
        "--seconds", type=_duration, default=60.0, metavar="S", help="to measure (default: 60)"
    )
    explain.add_argument(
        "--wait",
        type=_duration,
        default=0.0,
        metavar="S",
        help="how long to wait for a session that is measuring now (default: 0, refuse at once)",
    )
    explain.set_defaults(run=_explain)

    freeze.add_command(commands)
    report.add_command(commands)
    history.add_commands(commands)
    baselines.add_commands(commands, _store_option)
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


_EXPLAIN = """\
Cuts the recipe's chain after every link, builds and measures the pieces beside each
other in one session, and says what each link changed, in numbers, and which of them
lost a budget that is broken.

exit code: 0 no budget of the recipe is broken
           1 one is, or a piece could not be measured
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
    from pytest_perfgate.cli import scaffold
    from pytest_perfgate.suite import reading
    from pytest_perfgate.suite.requirements import missing_packages

    written = scaffold.write(asked.folder)
    for file in written:
        print(f"wrote {asked.folder / file}")
    read = reading.read(
        asked.folder / "suites" / "example" / "recipes.toml", asked.folder.resolve()
    )
    if read.suite is not None:
        missing = {
            each.install
            for recipe in read.suite.recipes.values()
            for each in missing_packages(read.suite, recipe)
        }
        for command in sorted(missing):
            print(f"install first: {command}")
    print("next: pytest --perf suites/example")
    return 0


def _schema(_: argparse.Namespace) -> int:
    from pytest_perfgate.suite.json_schema import suite_schema

    print(json.dumps(suite_schema(), indent=2))
    return 0


def _doctor(asked: argparse.Namespace) -> int:
    from pytest_perfgate import registry
    from pytest_perfgate.baselines.store import Store
    from pytest_perfgate.machine.fingerprint import this_environment, this_machine

    machine = this_machine()
    environment = this_environment()
    print(f"machine   {machine.id}")
    print(f"cpu       {machine.cpu}, {machine.cores} cores, {machine.memory} GiB, {machine.os}")
    gpus = ", ".join(f"{gpu.count} x {gpu.name}" for gpu in machine.gpus)
    print(f"gpu       {gpus or 'none'}")
    for name, version in environment.gpu.items():
        print(f"          {name} {version}")
    print(f"python    {environment.python}")
    for name, version in environment.packages.items():
        print(f"          {name} {version}")
    for group in (registry.STEPS, registry.RUNTIMES, registry.WORKLOADS, registry.TASKS):
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
    from pytest_perfgate.cli.doctor import examine, words

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
        with writing(asked.json, "the JSON file", ReportError):
            put(asked.json, found.model_dump_json(indent=1))
    return 0 if found.calm else 1


def _explain(asked: argparse.Namespace) -> int:
    from pytest_perfgate.cli import explain
    from pytest_perfgate.records.settings import for_command

    root = Path.cwd()
    settings = for_command(
        root, f"pytest-perfgate explain {asked.recipe}", seconds=asked.seconds, wait=asked.wait
    )
    show = _Line()
    said: list[str] = []
    try:
        code = explain.run(asked.recipe, settings, root / asked.suites, show, said.append)
    except KeyboardInterrupt:
        print("interrupted: nothing was found out", file=sys.stderr)
        return 130
    finally:
        show.end()
    print("\n".join(said))
    return code


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


if __name__ == "__main__":
    sys.exit(main())
