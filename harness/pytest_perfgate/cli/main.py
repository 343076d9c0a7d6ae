"""The command `pytest-perfgate`: what users do beside a run of pytest."""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from collections.abc import Sequence
from typing import TextIO

from pytest_perfgate import __version__
from pytest_perfgate.cli import (
    ab,
    alerts,
    baselines,
    bisect,
    cache,
    canary,
    confirm,
    doctor,
    drift,
    explain,
    freeze,
    history,
    init,
    lock,
    merge,
    plan,
    prove,
    report,
    schema,
)
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.plain_text import printable

_COMMANDS = (
    *(init, lock, schema, doctor, prove, explain, freeze, bisect, ab),
    *(report, merge, plan, history, confirm, alerts, baselines, cache, drift, canary),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; 0: it succeeded, 1: there is a problem, 2: wrong usage. Where 1 is a verdict
    of the command, its default `problem_code` is for problems.
    """
    out, err = _Printable(sys.stdout), _Printable(sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        parser = _parser()
        parsed = parser.parse_args(arguments)
        if not hasattr(parsed, "run"):
            parser.print_help()
            return 2
        try:
            code: int = parsed.run(parsed)
        except PerfgateError as error:
            print(error, file=sys.stderr)
            problem: int = getattr(parsed, "problem_code", 1)
            return problem
        except BrokenPipeError:
            return 0
        return code


class _Printable(io.TextIOBase):
    """Standard output, or standard error, without characters that control a terminal: names in
    stored files are of whoever wrote them.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        """Writes `text`, printable."""
        self._out.write(printable(text))
        return len(text)

    def flush(self) -> None:
        """Flushes the output behind it."""
        self._out.flush()

    def isatty(self) -> bool:
        """Whether a terminal is behind it."""
        return self._out.isatty()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pytest-perfgate",
        description="Helps with suites, baselines and reports. pytest --perf does the measuring.",
    )
    parser.add_argument("--version", action="version", version=f"pytest-perfgate {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in _COMMANDS:
        command.add_command(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
