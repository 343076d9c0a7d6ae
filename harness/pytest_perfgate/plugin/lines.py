"""Lines of the terminal: nothing that pytest writes for this plugin controls it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytest_perfgate.plain_text import printable, without_secrets


def lines_of(terminalreporter: Any) -> Callable[..., None]:
    """Writes a text, one line or several, and takes the reporter's own marks (`red=True`)."""

    def write(text: str, **markup: bool) -> None:
        for line in printable(without_secrets(text)).split("\n"):
            terminalreporter.write_line(line, **markup)

    return write
