"""Runs the lint commands of tox.ini, and at the same time the command that it is given.

    python -m tests.beside_lint pytest -n 2 tests/verdicts

mypy uses one core for half a minute, which the tests' processes leave free between them. A lint
command that fails ends the other at once.
"""

from __future__ import annotations

import configparser
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from tests.conftest import hear_ctrl_c

TOX = Path(__file__).parents[1] / "tox.ini"
CACHE = "MYPY_CACHE_DIR"


def lint_commands(file: Path) -> list[list[str]]:
    """The commands of the environment `lint`, one list of words each."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(file, encoding="utf-8")
    lines = tox["testenv:lint"]["commands"].strip().splitlines()
    return [shlex.split(line) for line in lines]


def environment() -> dict[str, str]:
    """The variables of lint. A cache of mypy that cannot be made, in a home that is not there or is
    another user's, is left out: mypy would end with an internal error, and has one in the checkout.
    """
    env = dict(os.environ)
    if CACHE in env:
        folder = Path(env[CACHE])
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError:
            del env[CACHE]
    return env


def lint(commands: list[list[str]]) -> str:
    """Runs commands one after the other, up to the first that fails: that one and its output, ""
    where all passed.
    """
    env = environment()
    for command in commands:
        done = subprocess.run(
            command,
            cwd=TOX.parent,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode:
            return f"$ {shlex.join(command)}\n{done.stdout.decode(errors='replace')}"
    return ""


def main(command: list[str], commands: list[list[str]]) -> int:
    """The exit code of `command`; 1 where a lint command failed, which ends `command` as Ctrl-C
    does. What failed is written last.
    """
    failures: list[str] = []
    with subprocess.Popen(
        command,
        cwd=TOX.parent,
        preexec_fn=hear_ctrl_c,  # noqa: PLW1509 - no threads here
    ) as process:

        def beside() -> None:
            failures.append(lint(commands))
            if failures[0]:
                process.send_signal(signal.SIGINT)

        linting = threading.Thread(target=beside)
        linting.start()
        process.wait()
        linting.join()
    if failures[0]:
        sys.stdout.write(f"\nlint failed, and ended the command beside it:\n{failures[0]}\n")
        return 1
    sys.stdout.write("lint: passed\n")
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], lint_commands(TOX)))
