"""Broken budgets as lines that GitHub's runner reads."""

from __future__ import annotations

import re

import pytest
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.report import annotations

from tests.report import sessions

_COMMAND = re.compile(r"::error (?:file=([^,]*),)?title=([^,:]*)::([^\n]*)")


def read(line: str) -> tuple[str, str, str]:
    """File, title and message as the runner takes a line apart, codes read back."""
    match = _COMMAND.fullmatch(line)
    assert match, line
    codes = {"%0A": "\n", "%0D": "\r", "%3A": ":", "%2C": ",", "%25": "%"}
    parts = []
    for part in match.groups(default=""):
        parts.append(re.sub("%(?:0A|0D|3A|2C|25)", lambda code: codes[code[0]], part))
    return parts[0], parts[1], parts[2]


def test_each_broken_budget_is_an_error_at_its_suite_file() -> None:
    """The reason, where the time went, and the next command; green and undecided ones are none."""
    lines = annotations.lines(sessions.broken(), "reports/a.html")
    shown = [read(line) for line in lines]
    assert [title for _, title, _ in shown] == [
        "ERROR digits: int8 latency_p50",
        "FAIL digits: onnx latency_p95",
    ]
    assert {file for file, _, _ in shown} == {"suites/digits/recipes.toml"}
    assert "next: pytest --perf -k onnx" in shown[1][2]
    assert annotations.lines(sessions.healthy(), "") == []


@pytest.mark.parametrize("text", [*sessions.HOSTILE, "a%0A::error::b", ",x=1:2", "\r\n::stop::"])
def test_no_text_ends_a_line_or_begins_another(text: str) -> None:
    """Names and messages come from suites and workers."""
    for line in annotations.lines(sessions.broken(text), ""):
        read(line)


def test_a_step_shows_ten_and_the_last_says_how_many_are_left() -> None:
    """GitHub drops what is beyond ten without a word."""
    broken = tuple(
        sessions.verdict(f"recipe{number}", "latency_p50", Status.FAIL) for number in range(25)
    )
    lines = annotations.lines(sessions.session(broken), "reports/a.html")
    assert len(lines) == annotations.MOST
    assert read(lines[-1]) == ("", "16 more causes", "all of them are in the report reports/a.html")
