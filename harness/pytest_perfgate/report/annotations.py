"""Broken budgets as annotations of a GitHub job: lines that its runner reads from the output.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands: a step shows ten
errors at most.
"""

from __future__ import annotations

from pytest_perfgate.plain_text import capped, printable
from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.report.text import needing, needs_attention

MOST = 10
"""What one step may show; the last one says how many are left."""

_LONGEST = 600


def lines(session: SessionRecord, report: str) -> list[str]:
    """A line for each cause of FAIL and ERROR, the worst first, and for what was not measured;
    `report` is the page's path.
    """
    broken = [
        (suite, verdict)
        for suite in session.suites
        for verdict in suite.verdicts
        if verdict.status in {Status.FAIL, Status.ERROR}
    ]
    broken.sort(key=lambda pair: pair[1].status.rank)
    causes = needs_attention(broken)
    every = len(causes) + len(session.absent)
    room = MOST if every <= MOST else MOST - 1
    absent = session.absent[:room]
    shown = causes[: room - len(absent)]
    result = [_line("", "ERROR not measured", text) for text in absent]
    for suite, verdict, count in shown:
        title = f"{verdict.status.value} {suite.title}: {needing(suite, verdict, count)}"
        parts = [verdict.reason, *verdict.slower[:1]]
        if verdict.next_step:
            parts.append(f"next: {verdict.next_step}")
        result.append(_line(f"{suite.folder}/recipes.toml", title, "\n".join(parts)))
    left = every - len(result)
    if left:
        result.append(_line("", f"{left} more causes", f"all of them are in the report {report}"))
    return result


def _line(file: str, title: str, message: str) -> str:
    place = f"file={_property(file)}," if file else ""
    return f"::error {place}title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    """A message as the runner reads it back: three signs are written as their codes."""
    shown = capped(printable(text), _LONGEST)
    return shown.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """A property's value: a colon and a comma would end it."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
