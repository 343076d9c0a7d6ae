"""Progress on a terminal: one line that the next one replaces."""

from __future__ import annotations

import sys

_LONGEST = 99
"""Columns: a line that wraps could not be written over."""


class ProgressLine:
    """A line on stderr; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        self._shown = 0

    def __call__(self, text: str) -> None:
        """Shows `text` in place of the line before."""
        if sys.stderr.isatty():
            line = text[:_LONGEST]
            sys.stderr.write("\r" + line.ljust(self._shown))
            sys.stderr.flush()
            self._shown = len(line)

    def end(self) -> None:
        """Wipes the line."""
        if self._shown:
            sys.stderr.write("\r" + " " * self._shown + "\r")
            sys.stderr.flush()
            self._shown = 0
