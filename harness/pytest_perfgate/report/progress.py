"""Progress of long work: on a terminal one line that the next one replaces, in a log now and then
a line that stays.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from pytest_perfgate.plain_text import printable

_LONGEST = 99
"""Columns: a line that wraps could not be written over."""

EVERY = 60.0
"""Seconds between two lines in a log. CI services end a job that prints nothing for some minutes,
and who reads its log wants to see what it does; more lines than this would bury the verdicts.
"""


class ProgressLine:
    """A line on the process's own stderr. On a terminal it begins with a carriage return, which the
    stderr of commands lets nobody write; elsewhere it stays, at most one a minute.

    Args:
        log: writes a line that stays; None: to stderr.
    """

    def __init__(self, log: Callable[[str], None] | None = None) -> None:
        self._shown = 0
        self._out = sys.__stderr__
        self._log = log or self._write
        self._began = self._last = time.monotonic()

    def __call__(self, text: str) -> None:
        """Shows `text` in place of the line before."""
        line = printable(text).replace("\n", " ")
        if self._out is not None and self._out.isatty():
            self._out.write("\r" + line[:_LONGEST].ljust(self._shown))
            self._out.flush()
            self._shown = len(line[:_LONGEST])
            return
        now = time.monotonic()
        if now - self._last >= EVERY:
            self._last = now
            minutes, seconds = divmod(round(now - self._began), 60)
            self._log(f"[{minutes}:{seconds:02}] {line}")

    def _write(self, line: str) -> None:
        if self._out is not None:
            self._out.write(line + "\n")
            self._out.flush()

    def end(self) -> None:
        """Wipes the line of a terminal."""
        if self._out is not None and self._shown:
            self._out.write("\r" + " " * self._shown + "\r")
            self._out.flush()
            self._shown = 0
