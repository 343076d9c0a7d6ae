"""Every recipe of the nightly page in a few lines each, worst first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_perfgate.history.analysis import RED
from pytest_perfgate.history.charts import amount, change, sparkline
from pytest_perfgate.history.findings import Analysis, Findings, Move
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.units import show

_POINTS = 150_000  # of all sparklines together, about: what a page can hold
_NOTHING = 2  # the rank of a metric that nothing happened to
_FEWEST_BINS, _MOST_BINS = 16, 120


@dataclass(frozen=True)
class Line:
    """One metric of a recipe in the list of all: what it is now (in its base unit too, None: not
    measured) and what it did.
    """

    metric: str
    spark: str
    now: str
    number: float | None
    did: str
    worse: bool
    status: Status | None


@dataclass(frozen=True)
class Recipe:
    """One recipe in the list of all, its metrics with the worst first; `latency` in seconds."""

    name: str
    suite: str
    worst: Status | None
    head: str
    spark: str
    latency: str | None
    latency_text: str
    lines: tuple[Line, ...]


def recipes(findings: Findings) -> list[Recipe]:
    """Every recipe, worst first: red, then what changed most, then by name."""
    bins = max(_FEWEST_BINS, min(_MOST_BINS, _POINTS // max(1, len(findings.analyses))))
    grouped: dict[tuple[str, str, str], list[Analysis]] = {}
    for analysis in findings.analyses:
        key = (analysis.series.machine, analysis.series.suite, analysis.series.recipe)
        grouped.setdefault(key, []).append(analysis)
    moves: dict[int, list[Move]] = {}
    for event in findings.events:
        for move in event.moves:
            moves.setdefault(id(move.analysis), []).append(move)
    numbered = [
        _recipe(key, analyses, moves, findings, bins)
        for key, analyses in grouped.items()
        if key[2] or analyses
    ]
    return [recipe for _, recipe in sorted(numbered, key=lambda pair: pair[0])]


def _recipe(
    key: tuple[str, str, str],
    analyses: Iterable[Analysis],
    moves: Mapping[int, list[Move]],
    findings: Findings,
    bins: int,
) -> tuple[tuple[int, float, str, str], Recipe]:
    lines = []
    for analysis in analyses:
        rank, weight, line = _line(analysis, moves.get(id(analysis), []), findings, bins)
        lines.append(((rank, weight, analysis.series.metric), line))
    lines.sort(key=lambda pair: pair[0])
    statuses = [line.status for _, line in lines if line.status is not None]
    worst = min(statuses, key=lambda status: status.rank, default=None)
    shown = lines[0][1]
    if not any(line.did for _, line in lines):  # nothing happened: what people look at first
        shown = next((line for _, line in lines if line.metric == "latency_p50"), shown)
    machine, suite, name = key
    where = suite if len(findings.newest) == 1 else f"{suite} · {machine}"
    head = f"{shown.metric} {shown.now}, {shown.did}" if shown.did else ""
    if shown.status in RED and not head:
        head = f"{shown.metric} {shown.now}"
    latency = next((line for _, line in lines if line.metric == "latency_p50"), None)
    return (lines[0][0][0], lines[0][0][1], suite, name), Recipe(
        name=name,
        suite=where,
        worst=worst,
        head=head,
        spark=shown.spark,
        latency=None if latency is None or latency.number is None else f"{latency.number:.6g}",
        latency_text=latency.now if latency else "",
        lines=tuple(line for _, line in lines),
    )


def _line(
    analysis: Analysis, moves: Sequence[Move], findings: Findings, bins: int
) -> tuple[int, float, Line]:
    """One metric with its rank (0: red, 1: something happened) and how much worse it got."""
    series = analysis.series
    nights = findings.past.nights
    did = [f"{change(move)} on {nights[move.night].started:%Y-%m-%d}" for move in moves[:2]]
    if len(moves) > 2:
        did.append(f"{len(moves) - 2} more")
    if analysis.trend.drift is not None and analysis in findings.drifting:
        did.append(f"drifts {amount(analysis.trend.drift.total, relative=series.relative)}")
    now, number = "not measured", None
    if len(analysis.places) and analysis.places[-1] == len(series.nights) - 1 and series.unit:
        number = float(series.value[-1])
        now = show(number, series.unit)
    current = analysis.night == findings.newest[series.machine]
    if not current:
        did.append(f"not since {nights[analysis.night].started:%Y-%m-%d}")
    status = analysis.status if current else None
    worse = [move for move in moves if move.worse]
    weight = -max((move.weight for move in worse), default=0.0)
    rank = 0 if status in RED else 1 if did else _NOTHING
    return (
        rank,
        weight,
        Line(
            metric=series.metric,
            spark=sparkline(analysis, bins, with_band=rank < _NOTHING),
            now=now,
            number=number,
            did=", ".join(did),
            worse=bool(worse),
            status=status,
        ),
    )


def place(analysis: Analysis, findings: Findings) -> str:
    """The name of a series, with its suite and machine where there are several."""
    series = analysis.series
    name = f"{series.suite} {series.name}" if findings.several_suites else series.name
    return f"{name} on {series.machine}" if len(findings.newest) > 1 else name
