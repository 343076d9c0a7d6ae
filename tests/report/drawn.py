"""Pages of the sessions of tests, drawn once in a process: drawing takes most of a test's time."""

from __future__ import annotations

import functools

from pytest_perfgate.report.page import render

from tests.report import sessions


@functools.cache
def healthy_page() -> str:
    """The page of `sessions.healthy`."""
    return render(sessions.healthy(), sessions.METRICS)


@functools.cache
def broken_page(text: str = "") -> str:
    """The page of `sessions.broken` with these words of a user in it."""
    return render(sessions.broken(text), sessions.METRICS)
