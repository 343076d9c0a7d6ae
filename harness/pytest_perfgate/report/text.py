"""What a session says in words and tables, for the terminal, the page and Markdown alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from pytest_perfgate.metric import Better, Metric, Rule, headlines
from pytest_perfgate.records.robustness import ROBUSTNESS
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.records.verdict import LimitResult, MetricSummary, Status, Verdict
from pytest_perfgate.report import search_tables
from pytest_perfgate.units import Unit, count_of, show, show_percent
from pytest_perfgate.verdicts.accuracy_intervals import doubted
from pytest_perfgate.verdicts.limit_bounds import log_ratios
from pytest_perfgate.verdicts.tail_bounds import changes_of

WIDTH = 100


Write = Callable[..., None]
"""Writes one line; keywords are pytest's markup (`red=True`)."""


_SCORES = ("map", "mask_map", "oks_map", "accuracy", "miou", "pq", ROBUSTNESS)


_WIDE = 0.1  # of a value, from which on half its interval stands beside it


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
        lines.append(f"compared with {suite.base.name}, {how}")
        lines += [f"not compared: {text}" for text in suite.base.problems.values()]
        lines += _beside_base(suite)
    lines += _unaffected(suite)
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


def unaffected(suite: SuiteRecord) -> list[tuple[Verdict, str]]:
    """Verdicts on budgets that were not measured, each with the session that measured it."""
    origins = {one.recipe: one.origin for one in suite.unaffected}
    return [
        (verdict, origins.get(verdict.recipe, "not known"))
        for verdict in suite.verdicts
        if verdict.status is Status.UNAFFECTED
    ]


def _unaffected(suite: SuiteRecord) -> list[str]:
    """Recipes that were not measured, a line for those that one session measured."""
    names: dict[str, list[str]] = {}
    for one in suite.unaffected:
        names.setdefault(one.origin, []).append(one.recipe)
    return [f"unaffected: {', '.join(own)}: measured in {origin}" for origin, own in names.items()]


def _beside_base(suite: SuiteRecord) -> list[str]:
    """How the tail and the median of each recipe's latency stand to the base's, in one line."""
    bases = (
        {record.name: record.without(suite.discarded) for record in suite.base.recipes}
        if (suite.base)
        else {}
    )
    texts = []
    for record in suite.recipes:
        base = bases.get(record.name)
        change = changes_of(record.without(suite.discarded), base) if base else None
        if change is not None:
            texts.append(
                f"{record.name} {show_percent(change.tail)} ({show_percent(change.median)})"
            )
    return [f"slowest twentieth beside the base (median): {', '.join(texts)}"] if texts else []


def table(suite: SuiteRecord, metrics: Mapping[str, Metric]) -> list[str]:
    """Recipe by metric; a headline shows its speed-up over the reference. Columns that would not
    fit into `WIDTH` are left out: the page has them all, and no number is cut.
    """
    columns = _columns(suite, metrics)
    rows = [
        (record.name, _cells(suite, record.name, columns))
        for record in suite.recipes
        if record.failure is None
    ]
    if not rows:
        return []
    heads = [metric.name for metric in columns]
    widths = [
        max(len(head), *(len(cells[index]) for _, cells in rows))
        for index, head in enumerate(heads)
    ]
    name_width = max(6, *(len(name) for name, _ in rows))
    while widths and name_width + sum(width + 2 for width in widths) > WIDTH:
        widths.pop()
    return [
        name.ljust(name_width)
        + "".join(f"  {cell:>{width}}" for cell, width in zip(cells, widths, strict=False))
        for name, cells in [("recipe", heads), *rows]
    ]


def _columns(suite: SuiteRecord, metrics: Mapping[str, Metric]) -> list[Metric]:
    """Scores, headlines and sizes, as far as any recipe has them."""
    known = {summary.metric for summaries in suite.summaries.values() for summary in summaries}
    names = (*_SCORES, *headlines(metrics), *_COLUMNS)
    return [metrics[name] for name in names if name in metrics and name in known]


def _cells(suite: SuiteRecord, recipe: str, columns: Sequence[Metric]) -> list[str]:
    summaries = {summary.metric: summary for summary in suite.summaries.get(recipe, ())}
    return [_cell(metric, summaries.get(metric.name)) for metric in columns]


def _cell(metric: Metric, summary: MetricSummary | None) -> str:
    if summary is None:
        return "-"
    text = show(summary.value, metric.unit) + _scatter(metric, summary)
    if not (metric.headline and summary.reference and summary.value):
        return text
    ratio = summary.reference / summary.value
    return f"{text} {ratio if metric.better is Better.LOWER else 1 / ratio:.2f}x"


def _scatter(metric: Metric, summary: MetricSummary) -> str:
    """Half the interval of a value over launches, as " ±12 %", where it is wide."""
    if metric.rule is not Rule.LAUNCHES or summary.low is None or summary.high is None:
        return ""
    half = (summary.high - summary.low) / 2 / summary.value if summary.value else 0.0
    return f" ±{round(100 * half)} %" if half >= _WIDE else ""


_ATTENTION = {Status.ERROR, Status.FAIL, Status.INCONCLUSIVE, Status.NO_MACHINE}
_UNMEASURED = {Status.ERROR, Status.NO_MACHINE}


def needs_attention(
    verdicts: Iterable[tuple[SuiteRecord, Verdict]],
) -> list[tuple[SuiteRecord, Verdict, int]]:
    """Verdicts that need attention, with the number of budgets that each stands for: those with its
    `cause`.
    """
    counted: dict[tuple[str, ...], tuple[SuiteRecord, Verdict, int]] = {}
    for suite, verdict in verdicts:
        was_broken = verdict.status is Status.UNAFFECTED and not verdict.is_proven_earlier
        if verdict.status in _ATTENTION or was_broken:
            key = cause(suite, verdict)
            first, head, count = counted.get(key, (suite, verdict, 0))
            counted[key] = (first, head, count + 1)
    return list(counted.values())


def cause(suite: SuiteRecord, verdict: Verdict) -> tuple[str, ...]:
    """What verdicts with one cause have in common.

    Of an ERROR or NO MACHINE the suite and the reason, and the recipe, unless the suite failed as a
    whole or the reference of several recipes does not work as declared. Where launches are too few
    the suite, their number and what would decide it. Every other verdict has a cause of its own.
    """
    if verdict.status in _UNMEASURED:
        shared = _is_whole(suite, verdict) or is_doubted(suite, verdict)
        recipe = "" if shared else verdict.recipe
        return suite.folder, suite.target, recipe, verdict.reason
    if few := _too_few(verdict):
        return suite.folder, suite.target, f"{few} launches", verdict.next_step
    return suite.folder, suite.target, verdict.recipe, verdict.metric, verdict.status.value


def _too_few(verdict: Verdict) -> int:
    """The launches of a verdict that waits for more of them, not for others' values; else 0."""
    if verdict.status is not Status.INCONCLUSIVE or verdict.unit == Unit.SCORE.value:
        return 0
    from pytest_perfgate.stats.sequential import KEEPING

    samples = {limit.sample for limit in verdict.limits if limit.status is Status.INCONCLUSIVE}
    return max(samples) if samples and max(samples) < KEEPING.first else 0


def needing(suite: SuiteRecord, verdict: Verdict, count: int) -> str:
    """The budgets that a verdict of `needs_attention` stands for, without the suite's name."""
    if _is_whole(suite, verdict):
        return f"suite: {count_of(count, 'budget')}"
    name = f"{verdict.recipe or 'suite'} {verdict.metric}"
    if count == 1:
        return name
    where = "suite" if _too_few(verdict) or is_doubted(suite, verdict) else "recipe"
    return f"{name} and {count_of(count - 1, 'more budget')} of this {where}"


def _is_whole(suite: SuiteRecord, verdict: Verdict) -> bool:
    return suite.failure is not None and verdict.reason == suite.failure.problem


def is_doubted(suite: SuiteRecord, verdict: Verdict) -> bool:
    """Whether the verdict is about a reference whose scores cannot be those of a working model."""
    return any(
        verdict.reason == doubted(record.name, record.accuracy.doubt)
        for record in suite.recipes
        if record.accuracy is not None and record.accuracy.doubt is not None
    )
