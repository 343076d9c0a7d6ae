"""What a terminal shows: worst first, at most 100 columns, the page's words and numbers."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence

from pytest_perfgate.baselines.changes import table as change_table
from pytest_perfgate.metric import Metric
from pytest_perfgate.plain_text import printable
from pytest_perfgate.records.recipe_record import Failure
from pytest_perfgate.records.session import SessionRecord, SuiteRecord
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.report.text import (
    WIDTH,
    Write,
    beside,
    cause,
    limit_text,
    measured_text,
    needing,
    table,
)
from pytest_perfgate.units import Unit, count_of, show

_MARKUP = {
    Status.ERROR: {"red": True, "bold": True},
    Status.FAIL: {"red": True, "bold": True},
    Status.INCONCLUSIVE: {"yellow": True},
    Status.NO_BASELINE: {"yellow": True},
    Status.NO_MACHINE: {"yellow": True},
    Status.SKIPPED: {},
    Status.UNAFFECTED: {},
    Status.PASS: {"green": True},
}


def write(
    session: SessionRecord,
    out: Write,
    *,
    metrics: Mapping[str, Metric],
    verbosity: int,
    update: bool,
) -> None:
    """The summary of a session: counts with `-q`; else the answer, what needs attention, worst
    first over all suites, then each suite's numbers; every verdict and every number with `-vv`.
    """
    from pytest_perfgate.report.answer import answer

    def line(text: str, **markup: bool) -> None:
        for row in text.split("\n"):
            out(printable(row), **markup)

    pairs = [(suite, verdict) for suite in session.suites for verdict in suite.verdicts]
    pairs.sort(key=lambda pair: pair[1].status.rank)
    if verbosity >= 0:
        markup = _MARKUP[pairs[0][1].status] if pairs else {}
        for part in _wrapped(answer(session)):
            line(part, **markup)
        for part in _wrapped(session.changed) if session.changed else ():
            line(part, yellow=True)
        _verdicts(pairs, line, verbosity, update, several=len(session.suites) > 1)
        for suite in session.suites:
            _suite(suite, line, metrics, verbosity)
            _changes(suite, line, update, verbosity)
    for part in _missing(session):
        line(part)
    for part in _wrapped(counts([verdict for _, verdict in pairs])):
        line(part)


def _missing(session: SessionRecord) -> list[str]:
    """What skipped recipes need and this machine has not, in one line; nothing when none is."""
    failures = [recipe.failure for suite in session.suites for recipe in suite.recipes]
    names = dict.fromkeys(name for failure in failures if failure for name in failure.missing)
    if not names:
        return []
    return [
        f"missing: {', '.join(sorted(names))}; pytest -rs prints the commands that install them"
    ]


def counts(verdicts: list[Verdict]) -> str:
    """How many verdicts there are of each kind, worst first."""
    counts = Counter(verdict.status for verdict in verdicts)
    return "verdicts: " + ", ".join(
        f"{counts[status]} {status.value}" for status in Status if counts[status]
    )


def explain(verdict: Verdict, failure: Failure | None) -> str:
    """The short table that a failing test prints."""
    unit = Unit(verdict.unit) if verdict.unit else None
    rows: list[tuple[str, str]] = [("metric", verdict.metric)]
    if unit is not None and verdict.value is not None:
        rows.append(("measured", measured_text(verdict)))
    for limit in verdict.limits:
        rows.append((limit.status.value, limit_text(limit, unit)))
    if unit is not None and verdict.baseline is not None:
        age = "" if verdict.baseline_age is None else f", {verdict.baseline_age:.0f} days old"
        rows.append(("baseline", f"{show(verdict.baseline, unit)}{age}"))
    rows.append(("reason", verdict.reason))
    rows += [("slower" if index == 0 else "", line) for index, line in enumerate(verdict.slower)]
    if failure is not None and failure.last_words:
        rows.append(("last output", failure.last_words))
    if verdict.next_step:
        rows.append(("next", verdict.next_step))
    head = f"{verdict.status.value}  {verdict.recipe or 'suite'}  {verdict.metric}"
    if len(head) > WIDTH:
        head = "\n".join(_wrapped(head))
    return printable("\n".join([head, *(_row(name, text) for name, text in rows)]))


def _row(name: str, text: str) -> str:
    wide = WIDTH - 14
    lines = [
        part
        for line in text.splitlines()
        for part in (textwrap.wrap(line, wide, break_on_hyphens=False) or [""])
    ]
    return "\n".join(
        f"  {name if index == 0 else '':<12}{line}" for index, line in enumerate(lines or [""])
    )


def _wrapped(text: str, indent: str = "  ") -> list[str]:
    return textwrap.wrap(
        printable(text), WIDTH, subsequent_indent=indent, break_on_hyphens=False
    ) or [""]


def _verdicts(
    pairs: list[tuple[SuiteRecord, Verdict]],
    out: Write,
    verbosity: int,
    update: bool,
    *,
    several: bool,
) -> None:
    """What needs attention, with evidence and the next command; with `-vv` every verdict."""
    alike = Counter(cause(*pair) for pair in pairs)
    shown: set[tuple[str, ...]] = set()
    for suite, verdict in pairs:
        if not _is_shown(verdict, verbosity):
            continue
        count = 1
        if verdict.status is Status.ERROR or verbosity < 2:  # one cause is one entry
            if cause(suite, verdict) in shown:
                continue
            count = alike[cause(suite, verdict)]
        shown.add(cause(suite, verdict))
        _head(suite.title if several else "", verdict, needing(suite, verdict, count), out)
        _evidence(verdict, verbosity, out)
    missing = sum(verdict.status is Status.NO_BASELINE for _, verdict in pairs)
    if missing and verbosity < 1 and not update:
        text = (
            f"NO BASELINE   for {count_of(missing, 'budget')} on this machine; "
            "pytest --perf --perf-update records them"
        )
        out(text, **_MARKUP[Status.NO_BASELINE])
        for note in _elsewhere(pairs):
            out(_row("", note))


def _elsewhere(pairs: Sequence[tuple[SuiteRecord, Verdict]]) -> list[str]:
    """What is stored in place of the baselines that are missing."""
    notes = (
        note
        for _, verdict in pairs
        for limit in verdict.limits
        if limit.status is Status.NO_BASELINE
        for note in limit.notes
    )
    return list(dict.fromkeys(notes))


def _is_shown(verdict: Verdict, verbosity: int) -> bool:
    if verdict.status in {Status.PASS, Status.SKIPPED} or verdict.is_proven_earlier:
        return verbosity > 1
    return verdict.status is not Status.NO_BASELINE or verbosity > 0


def _head(suite: str, verdict: Verdict, budgets: str, out: Write) -> None:
    text = (
        f"{verdict.status.value:<13} {suite} {budgets}"
        if suite
        else (f"{verdict.status.value:<13} {budgets}")
    )
    for part in _wrapped(text, " " * 14):
        out(part, **_MARKUP[verdict.status])


def _evidence(verdict: Verdict, verbosity: int, out: Write) -> None:
    """The reason, the comparisons that led to it, and the next command."""
    out(_row("", verdict.reason))
    if verdict.status in {Status.FAIL, Status.INCONCLUSIVE} or verbosity > 1:
        unit = Unit(verdict.unit) if verdict.unit else None
        for limit in verdict.limits:
            if limit.estimate is not None and (limit.status is verdict.status or verbosity > 1):
                out(_row("compared", limit_text(limit, unit)))
    for index, text in enumerate(verdict.slower):
        out(_row("" if index else "slower", text))
    if verdict.next_step and verdict.status is not Status.PASS:
        out(_row("next", verdict.next_step))


def _suite(suite: SuiteRecord, out: Write, metrics: Mapping[str, Metric], verbosity: int) -> None:
    """The numbers of a suite, how they were measured, and what differs from the baselines'."""
    seconds = ", ".join(f"{name} {value:.0f} s" for name, value in suite.phases.items())
    launches = count_of(len(suite.yardstick), "launch", "launches")
    head = f"suite {suite.title}" + (f": {launches} ({seconds})" if seconds else "")
    for line in (*_wrapped(head), *table(suite, metrics)):
        out(line)
    if verbosity > 1:
        _every_number(suite, out, metrics)
    for text in (*beside(suite, metrics), *suite.notes):
        for line in _wrapped(text):
            out(line)
    if suite.suspects:
        for line in _wrapped(f"differs from the baselines: {'; '.join(suite.suspects)}"):
            out(line)


def _every_number(suite: SuiteRecord, out: Write, metrics: Mapping[str, Metric]) -> None:
    """Every metric of every recipe with its interval."""
    for name, summaries in suite.summaries.items():
        for line in _wrapped(f"{name}:"):
            out(line)
        for summary in summaries:
            if summary.metric not in metrics:
                continue
            unit = metrics[summary.metric].unit
            text = show(summary.value, unit)
            if summary.low is not None and summary.high is not None:
                text += f" ({show(summary.low, unit)} … {show(summary.high, unit)})"
            out(f"  {summary.metric:<16} {text}")


def _changes(suite: SuiteRecord, out: Write, update: bool, verbosity: int) -> None:
    if not suite.changes:
        return
    notable = [change for change in suite.changes if change.kind != "create" or verbosity > 1]
    created = Counter(change.recipe for change in suite.changes if change.kind == "create")
    if not update and not notable:
        return
    written = any(change.written for change in suite.changes)
    if written:
        out("baselines written:")
    elif update:
        out("baselines NOT written:", **_MARKUP[Status.ERROR])
    else:
        out("baselines that could be written (--perf-update):")
    if created and verbosity <= 1:
        listed = ", ".join(f"{name} ({count} metrics)" for name, count in created.items())
        out(_row("create", listed))
    if notable:
        for line in change_table(notable):
            out("  " + line)
