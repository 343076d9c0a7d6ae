"""`pytest-perfgate doctor`: what is installed, and which tolerances this machine can verify."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from pytest_perfgate.cli import options
from pytest_perfgate.errors import ReportError
from pytest_perfgate.files import put, writing

_ABOUT = """\
Lists what is installed and describes this machine. Then measures the machine: it runs
launches like those of a suite, whose arms are all the same numpy workload. It needs no
suite and no framework. Differences between identical arms are noise; doctor derives from
it which tolerances this machine can verify, and in how many seconds. At the end it
lists what would make the machine calmer, the greatest effect first.

exit code: 0 this machine decides a tolerance of 5 % within 60 s, and most launches were steady
           1 it does not, or most launches were disturbed, or it could not be measured
           2 wrong usage"""


def add_command(commands: Any) -> None:
    """Adds the command to the subparsers of `pytest-perfgate`."""
    doctor = commands.add_parser(
        "doctor",
        help="list what is installed, and measure how calm this machine is",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_seconds(doctor)
    doctor.add_argument("--json", type=Path, metavar="FILE", help="write all results as JSON, too")
    options.add_wait(doctor)
    doctor.add_argument(
        "--installed", action="store_true", help="list what is installed, and measure nothing"
    )
    options.add_baselines(doctor)
    doctor.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    _list_machine()
    _list_extensions()
    _list_baselines(arguments.baselines)
    return 0 if arguments.installed else _examine(arguments)


def _list_machine() -> None:
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


def _list_extensions() -> None:
    from pytest_perfgate import registry

    for group in (registry.STEPS, registry.RUNTIMES, registry.WORKLOADS, registry.TASKS):
        for name in registry.names(group):
            kind = group.rpartition(".")[2].rstrip("s")
            needs = [package for package in registry.find(group, name).requires if package.missing]
            state = f"needs {needs[0].module}: {needs[0].install}" if needs else "ready"
            print(f"{kind:<9} {name:<16} {state}")


def _list_baselines(folder: Path) -> None:
    from pytest_perfgate.baselines.store import Store
    from pytest_perfgate.machine.fingerprint import this_machine

    machine = this_machine().id
    count = sum(file.parts[-3] == machine for file in Store(folder).files())
    print(f"baselines {count} for this machine in {folder}")
    if not count:
        print("next: pytest --perf --perf-update records some")


def _examine(arguments: argparse.Namespace) -> int:
    """Measures the machine, prints the results, and writes them where `--json` names a file."""
    from pytest_perfgate.cli.doctor_examination import examine
    from pytest_perfgate.cli.doctor_words import words
    from pytest_perfgate.report.progress import ProgressLine

    file: Path | None = arguments.json
    if file is not None and not file.absolute().parent.is_dir():
        raise ReportError(
            "its folder does not exist", where=str(file), next_step="name another: --json FILE"
        )
    progress = ProgressLine()
    try:
        result = examine(arguments.seconds, arguments.wait, progress)
    except KeyboardInterrupt:
        print("interrupted: no result", file=sys.stderr)
        return 130
    finally:
        progress.end()
    print()
    print("\n".join(words(result)))
    if file is not None:
        with writing(file, "the JSON file", ReportError):
            put(file, result.model_dump_json(indent=1))
    return 0 if result.calm else 1
