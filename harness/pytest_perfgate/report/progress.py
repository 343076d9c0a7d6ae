"""Progress on a terminal: one line that the next one replaces."""

from __future__ import annotations

import sys

from pytest_perfgate.plain_text import printable

_LONGEST = 99
"""Columns: a line that wraps could not be written over."""


class ProgressLine:
    """A line on the process's own stderr, where that is a terminal: it begins with a carriage
    return, which the stderr of commands lets nobody write.
    """

    def __init__(self) -> None:
        self._shown = 0
        self._out = sys.__stderr__

    def __call__(self, text: str) -> None:
        """Shows `text` in place of the line before."""
        if self._out is not None and self._out.isatty():
            line = printable(text).replace("\n", " ")[:_LONGEST]
            self._out.write("\r" + line.ljust(self._shown))
            self._out.flush()
            self._shown = len(line)

    def end(self) -> None:
        """Wipes the line."""
        if self._out is not None and self._shown:
            self._out.write("\r" + " " * self._shown + "\r")
            self._out.flush()
            self._shown = 0
