"""What a session shows while it measures: a line that is written over, and lines that stay."""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Iterator

import pytest

from pytest_perfgate.plugin.lines import lines_of
from pytest_perfgate.plugin.signals import Interrupts
from pytest_perfgate.report.progress import ProgressLine
from pytest_perfgate.report.text import WIDTH


class Progress:
    """Progress of one pytest process; quiet in workers of pytest-xdist and with `-q`."""

    def __init__(self, config: pytest.Config) -> None:
        self._plugins = config.pluginmanager
        self._quiet = hasattr(config, "workerinput") or config.get_verbosity() < 0
        self._line = ProgressLine(self.say)
        self.interrupts = Interrupts()

    @contextlib.contextmanager
    def uncaptured(self) -> Iterator[None]:
        """Lets lines through to the terminal while the block runs."""
        manager = self._plugins.get_plugin("capturemanager")
        with manager.global_and_fixture_disabled() if manager else contextlib.nullcontext():
            yield
            self._line.end()

    def show(self, text: str) -> None:
        """One line that is written over on a terminal; in a log one a minute stays.

        Raises:
            KeyboardInterrupt: one was lost, see `Interrupts`: whatever takes long shows progress.
        """
        self.interrupts.raise_lost()
        if not self._quiet:
            self._line(text)

    def say(self, text: str) -> None:
        """A line that stays, in the log of a CI run too."""
        self._line.end()
        reporter = self._plugins.get_plugin("terminalreporter")
        if reporter is not None and not self._quiet:
            reporter.ensure_newline()
            write = lines_of(reporter)
            for line in textwrap.wrap(text, WIDTH, subsequent_indent="  "):
                write(line)
