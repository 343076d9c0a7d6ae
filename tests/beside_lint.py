"""Runs the lint commands of tox.ini, and at the same time the command that it is given.

    python -m tests.beside_lint pytest -n 2 tests/verdicts

mypy uses one core for half a minute, which the tests' processes leave free between them.
"""

from __future__ import annotations

import configparser
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOX = Path(__file__).parents[1] / "tox.ini"


def lint_commands(file: Path) -> list[list[str]]:
    """The commands of the environment `lint`, one list of words each."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(file, encoding="utf-8")
    lines = tox["testenv:lint"]["commands"].strip().splitlines()
    return [shlex.split(line) for line in lines]


def lint(commands: list[list[str]]) -> list[str]:
    """Runs commands one after the other; returns the words of those that failed. Their output is
    written at the end of each, so that it does not mix with the tests'.
    """
    failed = []
    for command in commands:
        done = subprocess.run(
            command, cwd=TOX.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        if done.returncode:
            failed.append(shlex.join(command))
            sys.stdout.write(f"\n$ {failed[-1]}\n{done.stdout.decode(errors='replace')}\n")
    return failed


def main(command: list[str]) -> int:
    """The exit code of `command`; 1 where only lint failed."""
    with ThreadPoolExecutor(1) as pool:
        linted = pool.submit(lint, lint_commands(TOX))
        code = subprocess.run(command, cwd=TOX.parent, check=False).returncode
        failed = linted.result()
    sys.stdout.write(f"lint: {'failed: ' + '; '.join(failed) if failed else 'passed'}\n")
    return code or int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
