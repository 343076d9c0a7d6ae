"""Converters that do not install beside what else is used here: programs of another interpreter."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pytest_perfgate.errors import BuildError
from pytest_perfgate.registry import Requirement

_LAST = 600  # characters of what the converter says


class Interpreter(Requirement):
    """A Python interpreter by its path; `module` is how it is named."""

    @property
    def missing(self) -> bool:
        """Whether there is none."""
        return shutil.which(self.module) is None

    @property
    def reason(self) -> str:
        """Why the recipe is skipped."""
        return f"there is no Python interpreter {self.module!r}"


def interpreter(python: str, packages: str) -> Interpreter:
    """The interpreter of a path, with the command that makes an environment of these packages."""
    environment = Path(python).parent.parent
    return Interpreter(
        python, f"python -m venv {environment} && {python} -m pip install {packages}"
    )


def converted(
    name: str, python: str, arguments: Sequence[str], target: Path, packages: str
) -> Path:
    """The file that a converter writes; `name` is the converter's.

    Raises:
        BuildError: it writes none; with its last words.
    """
    done = subprocess.run(
        [python, *arguments], capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode or not target.is_file():
        words = (done.stderr or done.stdout).strip()[-_LAST:]
        absent = "No module named" in words
        raise BuildError(
            f"{name} ended with exit code {done.returncode}: {words}",
            where=python,
            next_step=f"{python} -m pip install {packages}" if absent else "",
        )
    return target
