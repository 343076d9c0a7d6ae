"""What a terminal shows: worst first, at most 100 columns, the page's words and numbers."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping

from harness.changes import table as change_table
from harness.compare import log_ratios
from harness.metric import Better, Metric
from harness.record import Failure, LimitResult, SessionRecord, Status, SuiteRecord, Verdict
from harness.units import Unit, show, show_percent

WIDTH = 100

Write = Callable[..., None]
"""Writes one line; keywords are pytest's markup (`red=True`)."""

_MARKUP = {
    Status.ERROR: {"red": True, "bold": True},
    Status.FAIL: {"red": True, "bold": True},
    Status.INCONCLUSIVE: {"yellow": True},
    Status.NO_BASELINE: {"yellow": True},
    Status.SKIPPED: {},
    Status.PASS: {"green": True},
}

_COLUMNS = (
    "map",
    "accuracy",
    "latency_p50",
    "latency_p95",
    "throughput",
    "peak_memory",
    "artifact_size",
)


def write(
    session: SessionRecord,
    out: Write,
    *,
    metrics: Mapping[str, Metric],
    verbosity: int,
    update: bool,
) -> None:
    """The summary of a session: counts with `-q`, every verdict with `-vv`."""
    verdicts = [verdict for suite in session.suites for verdict in suite.verdicts]
    if verbosity >= 0:
        for suite in session.suites:
            _suite(suite, out, metrics, verbosity, update)
            _changes(suite, out, update, verbosity)
    out(counts(verdicts))


def counts(verdicts: list[Verdict]) -> str:
    """How many verdicts there are of each kind, worst first."""
    found = Counter(verdict.status for verdict in verdicts)
    return "verdicts: " + ", ".join(
        f"{found[status]} {status.value}" for status in Status if found[status]
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
    rows.append(("why", verdict.reason))
    rows += [("slower" if index == 0 else "", line) for index, line in enumerate(verdict.slower)]
    if failure is not None and failure.last_words:
        rows.append(("last words", failure.last_words))
    if verdict.next_step:
        rows.append(("next", verdict.next_step))
    head = f"{verdict.status.value}  {verdict.recipe or 'suite'}  {verdict.metric}"
    return "\n".join([head, *(_row(name, text) for name, text in rows)])


def limit_text(limit: LimitResult, unit: Unit | None) -> str:
    """A limit with what was compared: "speedup 1.5: 1.32 (1.28 … 1.36) to reference fp32"."""
    text = f"{limit.kind} {limit.text}"
    if limit.estimate is None:
        return text
    against = f" to its {limit.against}" if limit.against else ""
    return f"{text}: {_scaled(limit, limit.estimate, unit)}{_between(limit, unit)}{against}"


def _between(limit: LimitResult, unit: Unit | None) -> str:
    if limit.low is None or limit.high is None or limit.low == limit.high:
        return ""
    return f" ({_scaled(limit, limit.low, unit)} … {_scaled(limit, limit.high, unit)})"


def _scaled(limit: LimitResult, value: float, unit: Unit | None) -> str:
    if limit.scale == "ratio":
        return show_percent(value - 1)
    if limit.scale == "difference" or unit is None:
        return f"{value:+.4f}"
    return show(value, unit)


def measured_text(verdict: Verdict) -> str:
    """What was measured with its interval: "36.9 ms (36.2 ms … 37.6 ms)"."""
    if not verdict.unit or verdict.value is None:
        return "not measured"
    unit = Unit(verdict.unit)
    text = show(verdict.value, unit)
    if verdict.low is None or verdict.high is None:
        return text
    return f"{text} ({show(verdict.low, unit)} … {show(verdict.high, unit)})"


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


def _suite(
    suite: SuiteRecord, out: Write, metrics: Mapping[str, Metric], verbosity: int, update: bool
) -> None:
    seconds = ", ".join(f"{name} {value:.0f} s" for name, value in suite.phases.items())
    launches = len(suite.yardstick)
    head = f"suite {suite.name}" + (f": {launches} launches ({seconds})" if seconds else "")
    for line in textwrap.wrap(head, WIDTH):
        out(line)
    for line in table(suite, metrics):
        out(line)
    for line in (*beside(suite, metrics), *suite.notes):
        for part in textwrap.wrap(line, WIDTH, subsequent_indent="  "):
            out(part)
    shown = sorted(suite.verdicts, key=lambda verdict: verdict.status.rank)
    said: set[tuple[str, str]] = set()
    for verdict in shown:
        if verdict.status in {Status.PASS, Status.SKIPPED} and verbosity < 2:
            continue
        if verdict.status is Status.NO_BASELINE and verbosity < 1:
            continue
        # One reason for a whole recipe is said once.
        key = (verdict.recipe, verdict.reason)
        if verdict.status is Status.ERROR and key in said:
            continue
        said.add(key)
        name = f"{verdict.recipe} {verdict.metric}".strip()
        out(f"{verdict.status.value:<12} {name}", **_MARKUP[verdict.status])
        for line in _row("", verdict.reason).splitlines():
            out(line)
        for index, text in enumerate(verdict.slower):
            out(_row("" if index else "slower", text))
        if verdict.next_step and verdict.status is not Status.PASS:
            out(_row("next", verdict.next_step))
    missing = sum(verdict.status is Status.NO_BASELINE for verdict in suite.verdicts)
    if missing and verbosity < 1 and not update:
        out(
            f"NO BASELINE  for {missing} budgets on this machine; pytest --perf --perf-update "
            "records them",
            **_MARKUP[Status.NO_BASELINE],
        )
    for line in suite.suspects:
        out(_row("differs", line))


def beside(suite: SuiteRecord, metrics: Mapping[str, Metric]) -> list[str]:
    """What was measured beside the recipes: other code, and unchanged copies, each in a line."""
    lines = []
    if suite.base is not None:
        how = "in the same launches"
        if suite.base.python:
            how += f", every arm a program of its own, the base's by {suite.base.python}"
        name = suite.base.commit[:10]
        if not suite.base.commit.startswith(suite.base.ref):
            name = f"{suite.base.ref} ({name})"
        lines.append(f"compared with the code of {name}, {how}")
        lines += [f"not compared: {text}" for text in suite.base.problems.values()]
    records = {record.name: record for record in suite.recipes}
    metric = metrics.get("latency_p50")
    for copy in suite.controls:
        record = records.get(copy.name)
        counted = copy.without(suite.discarded)
        ratios = log_ratios(metric, counted, record) if metric and record else []
        if ratios:
            ratios.sort()
            off = show_percent(math.expm1(ratios[len(ratios) // 2]))
            low, high = (show_percent(math.expm1(ratios[at])) for at in (0, -1))
            lines.append(
                f"unchanged copy of {copy.name}: latency_p50 {off} to it ({low} … {high} over "
                f"{len(ratios)} launches)"
            )
    return lines


def table(suite: SuiteRecord, metrics: Mapping[str, Metric]) -> list[str]:
    """Recipe by metric; a time shows its speed-up over the reference."""
    known = {each.metric for found in suite.summaries.values() for each in found}
    columns = [name for name in _COLUMNS if name in metrics and name in known]
    rows = []
    for record in suite.recipes:
        if record.failure is not None:
            continue
        found = {summary.metric: summary for summary in suite.summaries.get(record.name, ())}
        cells = []
        for name in columns:
            summary = found.get(name)
            if summary is None:
                cells.append("-")
                continue
            metric = metrics[name]
            text = show(summary.value, metric.unit)
            if name == "latency_p50" and summary.reference and summary.value:
                ratio = summary.reference / summary.value
                text += f" {ratio if metric.better is Better.LOWER else 1 / ratio:.2f}x"
            cells.append(text)
        rows.append((record.name, cells))
    if not rows:
        return []
    wide = [
        max(len(title), *(len(cells[index]) for _, cells in rows))
        for index, title in enumerate(columns)
    ]
    name_width = max(6, *(len(name) for name, _ in rows))
    while columns and name_width + sum(width + 2 for width in wide) > WIDTH:
        columns.pop()  # the page has them all; no number is cut
        wide.pop()
    head = "recipe".ljust(name_width)
    for title, width in zip(columns, wide, strict=True):
        head += "  " + title.rjust(width)
    lines = [head]
    for name, cells in rows:
        line = name.ljust(name_width)
        for cell, width in zip(cells, wide, strict=False):
            line += "  " + cell.rjust(width)
        lines.append(line)
    return lines


def _changes(suite: SuiteRecord, out: Write, update: bool, verbosity: int) -> None:
    if not suite.changes:
        return
    notable = [change for change in suite.changes if change.kind != "create" or verbosity > 1]
    created = Counter(change.recipe for change in suite.changes if change.kind == "create")
    if not update and not notable:
        return
    out("baselines written:" if update else "baselines that could be written (--perf-update):")
    if created and verbosity <= 1:
        listed = ", ".join(f"{name} ({count} metrics)" for name, count in created.items())
        out(_row("create", listed))
    if notable:
        for line in change_table(notable):
            out("  " + line)
