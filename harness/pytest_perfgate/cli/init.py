"""`pytest-perfgate init`: writes a small working suite, or one for a model and its data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pytest_perfgate.cli.init_facts import TASKS
from pytest_perfgate.errors import PerfgateError

_ABOUT = """\
Without options: writes an example that runs as it is (suites/example).

With --model and --data: reads the file and the folder, guesses task, decoder and
pre-processing, and writes a suite with recipes in float32 and in 8 bits. It prints each
guess with its evidence, and what neither the file nor the folder says. Nothing of the
model is run, and no file is replaced.

exit code: 0 the suite was written
           1 the model or the data cannot be used, or a file is there already
           2 wrong usage"""


def add_command(commands: Any) -> None:
    """Adds the command to the subparsers of `pytest-perfgate`."""
    init = commands.add_parser(
        "init",
        help="write a small working suite, or one for your own model and data",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    init.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path(),
        help="folder of the project (default: this folder)",
    )
    init.add_argument("--model", type=Path, metavar="FILE", help="a file (.onnx .xml .tflite)")
    init.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="images and their truth as docs/own_model.md lists them (COCO's JSON, masks, DOTA's "
        "or YOLO's text files, sequences, clips, a folder for each class), or images alone",
    )
    init.add_argument("--task", choices=TASKS, help="default: guessed")
    init.add_argument(
        "--decode", default="", metavar="DECODER", help="decoder of a detector (default: guessed)"
    )
    init.add_argument(
        "--name", default="", metavar="NAME", help="name of the suite (default: the model file's)"
    )
    init.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from pytest_perfgate.cli import scaffold

    project = arguments.folder
    if arguments.model is None and arguments.data is None:
        files = scaffold.write(project)
        suite = Path("suites", "example")
    else:
        suite, files = _own(arguments)
    for file in files:
        print(f"wrote {project / file}")
    for line in scaffold.ignored(project):
        print(line)
    for command in _missing(project, suite):
        print(f"install first: {command}")
    print(f"next: pytest --perf {suite.as_posix()}")
    return 0


def _own(arguments: argparse.Namespace) -> tuple[Path, list[Path]]:
    """Writes a suite for a model; returns its folder and files, relative to the project.

    Raises:
        PerfgateError: an option is missing or wrong, model or data cannot be used, or a file is
            there already.
    """
    from pytest_perfgate import registry
    from pytest_perfgate.cli import init_suite, scaffold
    from pytest_perfgate.cli.init_data import read_data
    from pytest_perfgate.cli.init_guess import Line, guess, named, wanted
    from pytest_perfgate.cli.init_model import read_model
    from pytest_perfgate.machine.fingerprint import this_machine
    from pytest_perfgate.registry import from_extra
    from pytest_perfgate.suite.tables import NAME

    for option in ("model", "data"):
        if getattr(arguments, option) is None:
            raise PerfgateError(
                f"--{option} is missing", valid="--model FILE.onnx --data FOLDER_OF_IMAGES"
            )
    if arguments.decode:
        registry.find(registry.DECODERS, arguments.decode)
    name = arguments.name or init_suite.suite_name(arguments.model)
    if not NAME.fullmatch(name):
        raise PerfgateError(f"{name!r} cannot be a suite's name", valid=NAME.pattern)
    model = read_model(arguments.model)
    data = named(read_data(arguments.data, wanted(model, arguments.task or "")), model)
    guesses = guess(model, data, arguments.task or "", arguments.decode)
    openvino = not from_extra("openvino", "openvino").missing
    draft = init_suite.draft(
        arguments.folder,
        name,
        model,
        data,
        guesses,
        openvino=openvino,
        features=this_machine().features,
    )
    files = scaffold.write_files(
        arguments.folder,
        {str(draft.folder / file): text for file, text in draft.files.items()},
        {str(draft.folder / name): target for name, target in draft.links.items()},
        next_step=f"--name OTHER: {name!r} is taken",
    )
    known = Line("model", model.file.name, f"{model.image}; {model.format}")
    for line in (known, *guesses.lines, *draft.lines):
        print(f"{line.what:<12} {line.value:<30} {line.why}")
    for note in data.notes:
        print(f"note: {note}")
    for sentence in guesses.unknown:
        print(f"not known: {sentence}")
    return draft.folder, files


def _missing(project: Path, suite: Path) -> list[str]:
    """Commands that install what the suite's recipes need.

    Raises:
        PerfgateError: the suite that was written has an error.
    """
    from pytest_perfgate.suite import reading
    from pytest_perfgate.suite.requirements import missing_packages

    root = project.resolve()
    read = reading.read(root / suite / "recipes.toml", root)
    problems = [*read.suite_problems, *(error for few in read.problems.values() for error in few)]
    if problems or read.suite is None:
        raise problems[0]
    return sorted(
        {
            requirement.install
            for recipe in read.suite.recipes.values()
            for requirement in missing_packages(read.suite, recipe)
        }
    )
