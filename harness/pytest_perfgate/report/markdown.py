"""A session in Markdown: for a comment on a pull request and for the summary of a CI job.

GitHub's flavour. Whatever comes from a suite, a worker or a command is text there: no markup, no
HTML, no mention of a person, no link.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from pytest_perfgate.errors import ReportError
from pytest_perfgate.files import writing
from pytest_perfgate.metric import Metric
from pytest_perfgate.records.session import SessionRecord, SuiteRecord
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.report.target_table import TargetTable, target_tables
from pytest_perfgate.report.text import (
    beside,
    limit_text,
    measured_text,
    needing,
    needs_attention,
    table,
)
from pytest_perfgate.units import Unit

COMMENT = 65_536
"""Characters of a comment on GitHub; taken as bytes here, which are never fewer."""

SUMMARY = 1_048_576
"""Bytes of what one step of a GitHub job may write into its summary."""

_ADDRESS = "/:%~"  # what stays as it is in an address; a bracket would end the picture's
_LEFT_OUT = 400  # bytes kept for saying what does not fit, and for the end
_LEAST = 32_000  # bytes that hold the answer whatever its words are
_LONGEST = 1_500  # characters of one text: the page has it in full


def render(
    session: SessionRecord,
    metrics: Mapping[str, Metric],
    *,
    report: str,
    limit: int = COMMENT,
    picture: str = "",
) -> str:
    """The answer, then broken budgets with the next command, worst first, then the rest.

    `picture` is the address or path of the session's picture. The text has at most `limit` bytes of
    UTF-8; what does not fit is counted and left to the page.
    """
    from pytest_perfgate.report.answer import answer, worst

    verdicts = [(suite, verdict) for suite in session.suites for verdict in suite.verdicts]
    verdicts.sort(key=lambda pair: pair[1].status.rank)
    judged = worst(session)
    by_status = Counter(verdict.status for _, verdict in verdicts)
    counts = ", ".join(
        f"{by_status[status]} {status.value}" for status in Status if by_status[status]
    )
    commit = f"commit {code(session.commit[:10])}" if session.commit else "no commit"
    head = [
        f"### perfgate: {judged.value if judged else 'nothing judged'}",
        f"**{escape(answer(session))}**",
        f"verdicts: {counts or 'none'}",
        *([escape(session.changed)] if session.changed else []),
        f"<sub>{commit}{' with local changes' if session.dirty else ''}, machine "
        f"{code(session.machine.id)}, {session.seconds:.0f} s, {code(session.command)}</sub>",
    ]
    end = f"Report: {code(report)}" if report else ""
    page = _Page(limit - _LEFT_OUT - _size(end))
    if picture:
        head.append(f"![Budgets and operators]({quote(picture, safe=_ADDRESS)})")
    page.add("\n\n".join(head))
    page.add_while(f"- **{Status.ERROR.value}** {escape(text)}" for text in session.absent)
    needs = needs_attention(verdicts)
    fit = page.add_while(_need(*need) for need in needs)
    left = sum(alike for _, _, alike in needs[fit:])
    if left:
        page.parts.append(f"… and {left} more that need attention: see the report.")
    for by_target in target_tables(session):
        page.add(_by_target(by_target))
    for suite in session.suites:
        page.add(_suite(suite, metrics))
    page.add_table(
        "All verdicts",
        ("verdict", "suite", "budget", "measured", "limit and comparison"),
        [_cells(suite, verdict) for suite, verdict in verdicts],
    )
    if end:
        page.parts.append(end)
    return "\n\n".join(page.parts) + "\n"


def append_summary(
    file: Path, session: SessionRecord, metrics: Mapping[str, Metric], *, report: str
) -> None:
    """Appends the session to a step's summary, within what is left of its size.

    Raises:
        ReportError: the file cannot be written, or is full.
    """
    remedy = "--perf-step-summary never leaves it alone"
    with writing(file, "the summary", ReportError, next_step=remedy):
        used = file.stat().st_size if file.exists() else 0
        limit = SUMMARY - used - 2
        if limit < _LEAST:
            raise ReportError(f"the summary is full: {used} of {SUMMARY} bytes", where=str(file))
        text = render(session, metrics, report=report, limit=limit)
        with file.open("a", encoding="utf-8") as out:
            out.write(("\n\n" if used else "") + text)


def escape(text: str) -> str:
    """`text` as one line of Markdown that shows it as it is."""
    line = _one_line(text).translate(_SPECIAL)
    line = _SPECIAL_HERE.sub(lambda match: f"&#{ord(match[0])};", line)
    return _START.sub(lambda match: f"{match[1]}&#{ord(match[2])};", line)


def code(text: str) -> str:
    """`text` as a code span: it shows every sign, and nothing in it is linked."""
    line = _one_line(text)
    if not line:
        return ""
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    pad = " " if line[0] == "`" or line[-1] == "`" else ""
    return f"{fence}{pad}{line}{pad}{fence}"


_SPECIAL = {ord(sign): f"&#{ord(sign)};" for sign in "\\`*[]<>&|~#@$"}
# A mention or a reference to an issue is found in the text once it is shown, so an invisible space
# keeps the sign from the name.
_SPECIAL |= {ord(sign): f"&#{ord(sign)};\u200b" for sign in "#@"}
_SPECIAL_HERE = re.compile(r":(?=\S)|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<=[wW]{3})\.")
"""Beside signs that `_SPECIAL` has not changed: what it puts in their place is no letter either."""

_START = re.compile(r"^(\d{0,9})([-+.)])")
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+"
)


def _one_line(text: str) -> str:
    """Without line breaks, control signs and signs that reorder or hide text; not endless."""
    line = " ".join(_UNSEEN.sub(" ", text).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _need(suite: SuiteRecord, verdict: Verdict, alike: int) -> str:
    """One budget that is not as it should be: verdict, evidence, reason and next command."""
    unit = Unit(verdict.unit) if verdict.unit else None
    name = f"{suite.title} {needing(suite, verdict, alike)}"
    lines = [f"- **{verdict.status.value}** {escape(name)}: {escape(verdict.reason)}"]
    lines += [
        f"  - {limit.status.value}: {escape(limit_text(limit, unit))}"
        for limit in verdict.limits
        if limit.status is not Status.PASS
    ]
    lines += [f"  - {escape(line)}" for line in verdict.slower]
    if verdict.next_step:
        lines.append(f"  - next: {code(verdict.next_step)}")
    return "\n".join(lines)


def _by_target(table: TargetTable) -> str:
    """The budgets of a suite beside each other on all targets, the worst first."""
    heads = [f"{escape(one.name)}: {one.worst.value}" for one in table.columns]
    rows = [
        [escape(row.name)]
        + ["not selected" if one is None else _verdict_cell(one) for one in row.cells]
        for row in table.rows
    ]
    lines = [f"| {' | '.join(cells)} |" for cells in (["budget", *heads], *rows)]
    lines.insert(1, "|" + " --- |" * (1 + len(heads)))
    return f"#### {escape(table.suite)} on {len(heads)} targets\n\n" + "\n".join(lines)


def _verdict_cell(verdict: Verdict) -> str:
    if verdict.value is None:
        return verdict.status.value
    return escape(f"{verdict.status.value} {measured_text(verdict)}")


def _suite(suite: SuiteRecord, metrics: Mapping[str, Metric]) -> str:
    """The table of recipes as the terminal has it, and what was measured beside them."""
    rows = table(suite, metrics)
    if not rows:
        return ""
    fence = "`" * (max((len(run) for run in re.findall("`+", "".join(rows))), default=2) + 1)
    fence = fence if len(fence) >= 3 else "```"
    block = "\n".join((fence, *(_UNSEEN.sub(" ", row) for row in rows), fence))
    said = [f"- {escape(line)}" for line in (*beside(suite, metrics), *suite.notes)]
    return "\n\n".join(
        part for part in (f"#### {escape(suite.title)}", block, "\n".join(said)) if part
    )


def _cells(suite: SuiteRecord, verdict: Verdict) -> tuple[str, ...]:
    unit = Unit(verdict.unit) if verdict.unit else None
    limits = "<br>".join(escape(limit_text(limit, unit)) for limit in verdict.limits)
    return (
        verdict.status.value,
        escape(suite.title),
        escape(f"{verdict.recipe} {verdict.metric}".strip()),
        escape(measured_text(verdict)),
        limits,
    )


class _Page:
    """Parts of a text that may not become longer than so many bytes."""

    def __init__(self, room: int) -> None:
        self.parts: list[str] = []
        self._room = room

    def add(self, part: str) -> bool:
        """Adds a part when it fits."""
        if not part or _size(part) > self._room:
            return False
        self._room -= _size(part)
        self.parts.append(part)
        return True

    def add_while(self, parts: Iterable[str]) -> int:
        """Adds parts as long as they fit; returns how many did."""
        count = 0
        for part in parts:
            if not self.add(part):
                break
            count += 1
        return count

    def add_table(self, title: str, heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
        """A table that is folded, with as many rows as fit."""
        lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
        start = f"<details><summary>{title}</summary>\n\n"
        room = self._room - _size("\n".join((start, *lines, "</details>"))) - 2
        fit = 0
        for row in rows:
            line = f"| {' | '.join(row)} |"
            room -= _size(line)
            if room < 0:
                break
            lines.append(line)
            fit += 1
        if not fit:
            return
        more = f"\n\n{len(rows) - fit} more are in the report." if fit < len(rows) else ""
        self.parts.append(start + "\n".join(lines) + f"{more}\n\n</details>")
        self._room = room


def _size(text: str) -> int:
    return len(text.encode()) + 2
