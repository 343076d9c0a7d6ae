"""What changed since the base or the baselines, in the few lines that a page begins with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_perfgate.metric import Better, Metric
from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.records.verdict import MetricSummary
from pytest_perfgate.units import Unit, show, show_percent

_NOTICED = 0.01  # a smaller relative change is not worth a line
_NAMED = 3  # changes for the worse, and as many suspects, at most
_LISTED = ("throughput", "peak_memory", "artifact_size")  # besides scores and what leads


@dataclass(frozen=True)
class Since:
    """What the session is compared with, and what moved.

    Attributes:
        what: what the session is compared with: "the code of main" or "the stored baselines".
        worse, better: the largest changes, one text each.
        environment: differences of the environment.
    """

    what: str
    worse: tuple[str, ...]
    better: tuple[str, ...]
    environment: tuple[str, ...]


def since(session: SessionRecord, metrics: Mapping[str, Metric]) -> Since:
    """What the session is compared with and what moved most, for the worse and for the better."""
    moved: list[tuple[float, str]] = []
    for suite in session.suites:
        for name, summaries in suite.summaries.items():
            for summary in summaries:
                metric = metrics.get(summary.metric)
                if metric is not None and (
                    metric.headline or metric.unit is Unit.SCORE or metric.name in _LISTED
                ):
                    change = _worse_by(metric, summary)
                    if abs(change) >= _NOTICED:
                        text = f"{suite.title} {name} {metric.name} {_words(metric, summary)}"
                        moved.append((change, text))
    moved.sort(key=lambda row: -row[0])
    suspects = [line for suite in session.suites for line in suite.suspects]
    environment = list(dict.fromkeys(suspects))
    if len(environment) > _NAMED:
        environment[_NAMED:] = [f"{len(environment) - _NAMED} more, listed below"]
    return Since(
        what=_what(session),
        worse=tuple(text for change, text in moved if change > 0)[:_NAMED],
        better=tuple(text for change, text in reversed(moved) if change < 0)[:_NAMED],
        environment=tuple(environment),
    )


def _what(session: SessionRecord) -> str:
    bases = [suite.base for suite in session.suites if suite.base is not None]
    if bases:
        return f"{bases[0].name}, measured in the same launches"
    ages = [
        verdict.baseline_age
        for suite in session.suites
        for verdict in suite.verdicts
        if verdict.baseline_age is not None
    ]
    known = any(
        summary.baseline is not None
        for suite in session.suites
        for summaries in suite.summaries.values()
        for summary in summaries
    )
    if not ages and not known:
        return ""
    if not ages:
        return "the stored baselines"
    low, high = min(ages), max(ages)
    days = f"{high:.0f}" if round(low) == round(high) else f"{low:.0f} to {high:.0f}"
    return f"the stored baselines, {days} days old"


def _other(summary: MetricSummary) -> float | None:
    return summary.base if summary.base is not None else summary.baseline


def _worse_by(metric: Metric, summary: MetricSummary) -> float:
    """The relative change, positive for the worse; 0 when there is nothing to compare with."""
    other = _other(summary)
    if not other or metric.alone:
        return 0.0
    change = summary.value / other - 1
    return change if metric.better is Better.LOWER else -change


def _words(metric: Metric, summary: MetricSummary) -> str:
    other = _other(summary)
    assert other is not None  # noqa: S101 - what is not compared has not moved
    text = f"{show(other, metric.unit)} → {show(summary.value, metric.unit)}"
    if not metric.relative:
        return f"{text} ({summary.value - other:+.4f})"
    return f"{text} ({show_percent(summary.value / other - 1)})"
