"""Git, asked about the repository around a folder, whoever called this program."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from pytest_perfgate.errors import PerfgateError

_LOCATION = {
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
}
"""Git tells its hooks by these which repository they are called for, relative to a folder of its
own choice: the repository is the one around the folder that is asked about (githooks(5))."""

_REMEDIES = {
    "promisor": "git fetch --refetch --no-filter  # this is a partial clone, without all objects",
    "missing blob": "git fetch --refetch --no-filter  # this is a partial clone",
    "git-lfs": "git lfs install --local && git lfs fetch --all",
    "smudge filter lfs failed": "git lfs fetch --all",
    "No space left": "free the disk",
}
"""What mends a failure, by words of git's message."""


def environment(**more: str) -> dict[str, str]:
    """The environment variables for git, without those of a hook that called this program."""
    kept = {name: value for name, value in os.environ.items() if name not in _LOCATION}
    return {**kept, "LC_ALL": "C", **more}


def run(
    folder: Path, *arguments: str, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A finished `git` in a folder, with `more` variables.

    Raises:
        PerfgateError: git is not installed.
    """
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=environment(**(more or {})),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise PerfgateError(
            f"git cannot be run: {error.strerror}", next_step="install git"
        ) from error


def answer(folder: Path, *arguments: str) -> str | None:
    """What git prints, None when it fails.

    Raises:
        PerfgateError: git is not installed.
    """
    done = run(folder, *arguments)
    return done.stdout.strip() if done.returncode == 0 else None


def failure(done: subprocess.CompletedProcess[str], where: str) -> PerfgateError:
    """A failed command in git's own words, with the command that mends it where that is known."""
    words = done.stderr.strip()
    if "dubious ownership" in words:
        # Git prints the whole remedy: "git config --global --add safe.directory FOLDER".
        first, _, rest = words.partition("\n")
        remedy = next((line.strip() for line in rest.splitlines() if "safe.directory" in line), "")
        return PerfgateError(f"git: {first.removeprefix('fatal: ')}", where=where, next_step=remedy)
    last = (words.splitlines() or ["no message"])[-1]
    remedy = next((text for part, text in _REMEDIES.items() if part in words), "")
    return PerfgateError(f"git {done.args[1]} failed: {last}", where=where, next_step=remedy)
