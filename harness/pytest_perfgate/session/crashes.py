"""Errors that end a suite, in the words of a user; unexpected ones with tracebacks in files."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.files import put, short_path
from pytest_perfgate.machine.cache_folders import keep_out_of_git
from pytest_perfgate.machine.processes import is_of_the_machine, problem_of
from pytest_perfgate.plain_text import encodable, without_secrets


class Crashes:
    """The errors of one session.

    Args:
        cache: the folder of the cache, which gets the tracebacks.
        root: the project's root.
        name: gives the session's.
    """

    def __init__(self, cache: Path, root: Path, name: Callable[[], str]) -> None:
        self._cache = cache
        self._root = root
        self._name = name
        self._count = 0

    def failure(self, error: Exception) -> PerfgateError:
        """An error in the words of a user."""
        if isinstance(error, PerfgateError):
            return error
        if is_of_the_machine(error):
            problem, next_step = problem_of(error)
            return PerfgateError(problem, next_step=next_step)
        return self.crash(error)

    def crash(self, error: Exception) -> PerfgateError:
        """An error that nobody expected, with its traceback in a file."""
        self._count += 1
        number = f"_{self._count}" if self._count > 1 else ""
        file = self._cache / "crashes" / f"{self._name()}{number}.txt"
        place = f"its traceback is in {short_path(file, self._root)}"
        try:
            keep_out_of_git(self._cache)
            file.parent.mkdir(exist_ok=True)
            put(file, without_secrets(encodable("".join(traceback.format_exception(error)))))
        except OSError as unwritten:
            place = f"its traceback could not be written: {unwritten.strerror}"
        first = next(iter(str(error).splitlines()), "")
        return PerfgateError(
            f"unexpected {type(error).__name__}: {first} ({place})",
            next_step="report it to the project, or to the author of the extension that it names",
        )
