"""What a session says in words and tables, for the terminal, the page and Markdown alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from pytest_perfgate.metric import Better, Metric, headlines
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.records.verdict import LimitResult, Verdict
from pytest_perfgate.report import search_tables
from pytest_perfgate.units import Unit, show, show_percent
from pytest_perfgate.verdicts.limit_bounds import log_ratios

WIDTH = 100


Write = Callable[..., None]
"""Writes one line; keywords are pytest's markup (`red=True`)."""


_SCORES = ("map", "accuracy")


_COLUMNS = (
    "latency_p95",
    "throughput",
    "training_throughput",
    "scaling_efficiency",
    "peak_memory",
    "artifact_size",
)


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


def beside(suite: SuiteRecord, metrics: Mapping[str, Metric]) -> list[str]:
    """How values were found, and what was measured beside the recipes (other code, unchanged
    copies), each in a line.
    """
    lines = search_tables.lines(suite)
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
    for copy in suite.controls:
        record = records.get(copy.name)
        counted = copy.without(suite.discarded)
        for name in headlines(metrics):
            ratios = log_ratios(metrics[name], counted, record) if record else []
            if not ratios:
                continue
            ratios.sort()
            off = show_percent(math.expm1(ratios[len(ratios) // 2]))
            low, high = (show_percent(math.expm1(ratios[at])) for at in (0, -1))
            lines.append(
                f"unchanged copy of {copy.name}: {name} {off} to it ({low} … {high} over "
                f"{len(ratios)} launches)"
            )
    return lines


def table(suite: SuiteRecord, metrics: Mapping[str, Metric]) -> list[str]:
    """Recipe by metric; a time shows its speed-up over the reference."""
    known = {each.metric for found in suite.summaries.values() for each in found}
    shown = (*_SCORES, *headlines(metrics), *_COLUMNS)
    columns = [name for name in shown if name in metrics and name in known]
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
            if metric.headline and summary.reference and summary.value:
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
