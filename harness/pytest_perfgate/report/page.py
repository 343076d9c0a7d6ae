"""The page: one self-contained HTML file that says what is broken first, and works offline."""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_perfgate.metric import Better, Metric, Rule
from pytest_perfgate.records.recipe_record import Failure, Link, RecipeRecord
from pytest_perfgate.records.session import LastSessions, SessionRecord, Spread, SuiteRecord
from pytest_perfgate.records.verdict import MetricSummary, Status, Verdict
from pytest_perfgate.report import (
    chart_list,
    conditions_table,
    profile_table,
    scope_tables,
    search_tables,
    session_line,
    soak_tables,
    target_table,
    templating,
    worst_images,
)
from pytest_perfgate.report.answer import answer
from pytest_perfgate.report.changes_since import since
from pytest_perfgate.report.text import (
    beside,
    limit_text,
    needing,
    needs_attention,
    unaffected,
)
from pytest_perfgate.suite.metrics import class_score_of
from pytest_perfgate.units import Unit, show, show_percent

if TYPE_CHECKING:
    import jinja2

_COLUMNS = 7  # metrics that fit beside each other on 1,200 pixels
_CLASSES = 12  # the same for the score of a class


@dataclass(frozen=True)
class Cell:
    """One metric of one recipe in the table."""

    value: str
    number: float | None
    interval: str
    to_reference: str
    to_baseline: str
    to_base: str
    limits: str
    status: Status | None
    line: str = ""
    since: str = ""


@dataclass(frozen=True)
class Table:
    """Some metrics of all recipes of a suite."""

    columns: tuple[Metric, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Row:
    """One recipe in the table; `problem` when it was not measured."""

    name: str
    is_reference: bool
    cells: tuple[Cell | None, ...]
    problem: str


def render(session: SessionRecord, metrics: Mapping[str, Metric]) -> str:
    """The whole page."""
    verdicts = [verdict for suite in session.suites for verdict in suite.verdicts]
    counts = Counter(verdict.status for verdict in verdicts)
    needs = _needs(session)
    broken = any(need[1].status in {Status.ERROR, Status.FAIL} for need in needs)
    return (
        _templates()
        .get_template("page.html")
        .render(
            session=session,
            answer=answer(session),
            worst=min((verdict.status for verdict in verdicts), key=lambda s: s.rank, default=None),
            counts=[(status, counts[status]) for status in Status if counts[status]],
            since=since(session, metrics),
            needs_title="What is broken" if broken else "What was not measured",
            needs=[need for need in needs if need[1].status is not Status.INCONCLUSIVE],
            undecided=[need for need in needs if need[1].status is Status.INCONCLUSIVE],
            targets=target_table.target_tables(session),
            machines=target_table.machines(session),
            suites=[_suite(suite, metrics) for suite in session.suites],
            metrics=[metric for metric in metrics.values() if metric.scope is None],
            script=templating.script("table.js"),
        )
    )


@functools.cache
def _templates() -> jinja2.Environment:
    """The environment of this page, which compiles its templates once in a process."""
    environment = templating.environment()
    environment.filters["limit"] = _limit_text
    environment.filters["quantity"] = lambda value, unit: show(value, Unit(unit))
    environment.filters["measured"] = _measured
    return environment


def _needs(session: SessionRecord) -> list[tuple[str, Verdict, Failure | None, str]]:
    """What needs attention, worst first over all suites: suite, verdict, failure, and the budgets
    that have that cause, in words.
    """
    pairs = [(suite, verdict) for suite in session.suites for verdict in suite.verdicts]
    pairs.sort(key=lambda pair: pair[1].status.rank)
    return [
        (suite.title, verdict, _failure(suite, verdict.recipe), needing(suite, verdict, count))
        for suite, verdict, count in needs_attention(pairs)
    ]


def _failure(suite: SuiteRecord, recipe: str) -> Failure | None:
    return next((record.failure for record in suite.recipes if record.name == recipe), None)


def _measured(verdict: Verdict) -> str:
    text = show(verdict.value, Unit(verdict.unit))
    if verdict.low is None or verdict.high is None:
        return text
    low, high = (show(end, Unit(verdict.unit)) for end in (verdict.low, verdict.high))
    return f"{text} ({low} … {high})"


def _suite(suite: SuiteRecord, metrics: Mapping[str, Metric]) -> dict[str, Any]:
    measured = {
        summary.metric for summaries in suite.summaries.values() for summary in summaries
    } | {verdict.metric for verdict in suite.verdicts}
    judged = {verdict.metric for verdict in suite.verdicts}
    shown = [
        metric
        for metric in metrics.values()
        if metric.name in measured and (metric.scope is None or metric.name in judged)
    ]
    columns = _ordered(shown, suite)
    leading, others = _halves(columns, suite)
    by_place = {(verdict.recipe, verdict.metric): verdict for verdict in suite.verdicts}
    return {
        "record": suite,
        "tables": [_table(part, suite, by_place) for part in _parts(leading)],
        "more": [_table(part, suite, by_place) for part in _parts(others)],
        "more_metrics": len(others),
        "charts": chart_list.pictures(suite, metrics),
        "absent": chart_list.absent(suite),
        "conditions": conditions_table.table(suite),
        "policy": conditions_table.policy(suite),
        "lineage": [
            (record, [_link(link) for link in record.lineage], _to_parent(record, suite, columns))
            for record in suite.recipes
        ],
        "beside": beside(suite, metrics),
        "unaffected": unaffected(suite),
        "classes": _classes(suite),
        "scopes": scope_tables.tables(suite, metrics),
        "shifts": scope_tables.shifts(suite, metrics),
        "profiles": profile_table.tables(suite),
        "clock": profile_table.clock(suite),
        "soaks": soak_tables.tables(suite),
        "searches": search_tables.tables(suite),
        "worse": worst_images.worse(suite),
        "thumbnails": worst_images.used(suite),
        "overlaid": worst_images.overlaid(suite),
        "posed": worst_images.posed(suite),
        "named": worst_images.named(suite),
        "broken_accuracy": {
            verdict.recipe
            for verdict in suite.verdicts
            if verdict.status is Status.FAIL and verdict.unit == Unit.SCORE.value
        },
        "spreads": [(name, _spread(spread)) for name, spread in suite.spreads.items()],
        "evidence": sorted(
            (verdict for verdict in suite.verdicts if verdict.limits),
            key=lambda verdict: verdict.status.rank,
        ),
    }


def _classes(suite: SuiteRecord) -> dict[str, Any] | None:
    """The score of each class by recipe, with the difference to the reference; None: none.

    A class that a recipe has no value for has an empty cell.
    """
    scores = {
        record.name: record.accuracy.per_category for record in suite.recipes if record.accuracy
    }
    names = list(dict.fromkeys(name for score in scores.values() for name in score))
    if not names:
        return None
    rows = []
    for record in suite.recipes:
        own = scores.get(record.name)
        if not own:
            continue
        its = scores.get(record.reference, {}) if record.reference != record.name else {}
        rows.append(
            (
                record.name,
                [
                    (
                        f"{own[name]:.4f}" if name in own else "",
                        f"{own[name] - its[name]:+.4f}" if name in own and name in its else "",
                    )
                    for name in names
                ],
            )
        )
    return {"score": class_score_of(suite.task), "parts": _class_parts(names, rows)}


def _class_parts(names: list[str], rows: list[Any]) -> list[tuple[list[str], list[Any]]]:
    """Tables of some classes each: heads, and rows of a name and its cells."""
    return [
        (
            names[at : at + _CLASSES],
            [(name, cells[at : at + _CLASSES]) for name, cells in rows],
        )
        for at in range(0, len(names), _CLASSES)
    ]


def _spread(spread: Spread) -> tuple[str, ...]:
    """Cells: samples of a launch, launches, and three standard deviations in percent."""
    parts = (spread.within, spread.between, spread.launch)
    return (
        f"{spread.samples:.0f}",
        str(spread.launches),
        *(f"{math.expm1(part) * 100:.2f} %" for part in parts),
    )


def _ordered(columns: list[Metric], suite: SuiteRecord) -> list[Metric]:
    """The task's first score, what budgets hold, what stands for speed, and then the others."""
    judged = {verdict.metric for verdict in suite.verdicts}

    def place(metric: Metric) -> int:
        held = (metric is columns[0], metric.name in judged, metric.headline)
        return held.index(True) if any(held) else len(held)

    return sorted(columns, key=place)


def _halves(columns: list[Metric], suite: SuiteRecord) -> tuple[list[Metric], list[Metric]]:
    """The metrics that the page shows at once, and those that it folds away: no budget holds them,
    and they do not stand for speed.
    """
    judged = {verdict.metric for verdict in suite.verdicts}
    leading = [
        metric
        for metric in columns
        if metric is columns[0] or metric.name in judged or metric.headline
    ]
    return leading, [metric for metric in columns if metric not in leading]


def _parts(columns: Sequence[Metric]) -> list[Sequence[Metric]]:
    """The columns of tables that need no sideways scrolling, about equally many in each."""
    count = -(-len(columns) // _COLUMNS)
    ends = [round(len(columns) * part / count) for part in range(count + 1)] if count else []
    return [columns[begin:end] for begin, end in itertools.pairwise(ends)]


def _table(
    columns: Sequence[Metric], suite: SuiteRecord, by_place: Mapping[tuple[str, str], Verdict]
) -> Table:
    return Table(
        tuple(columns),
        tuple(_row(record, suite, columns, by_place) for record in suite.recipes),
    )


def _row(
    record: RecipeRecord,
    suite: SuiteRecord,
    columns: Sequence[Metric],
    by_place: Mapping[tuple[str, str], Verdict],
) -> Row:
    summaries = {summary.metric: summary for summary in suite.summaries.get(record.name, ())}
    return Row(
        name=record.name,
        is_reference=bool(record.reference) and not record.parent,
        cells=tuple(
            _cell(
                metric,
                summaries.get(metric.name),
                by_place.get((record.name, metric.name)),
                suite.last_sessions.get(record.name, {}).get(metric.name),
            )
            for metric in columns
        ),
        problem=_problem(record.failure, suite),
    )


def _problem(failure: Failure | None, suite: SuiteRecord) -> str:
    if failure is None:
        return ""
    return "the whole suite failed" if failure == suite.failure else failure.problem


def _cell(
    metric: Metric,
    summary: MetricSummary | None,
    verdict: Verdict | None,
    line: LastSessions | None,
) -> Cell | None:
    if summary is None and verdict is None:
        return None
    # A score over several sets or slices has no summary: the verdict says the worst of them.
    value = summary.value if summary else verdict.value if verdict else None
    interval = ""
    if summary is not None and summary.low is not None and summary.high is not None:
        interval = f"{show(summary.low, metric.unit)} … {show(summary.high, metric.unit)}"
    limits = ""
    if verdict is not None:
        limits = ", ".join(f"{limit.kind} {limit.text}" for limit in verdict.limits)
    return Cell(
        value=show(value, metric.unit) if value is not None else "not measured",
        number=value,
        interval=interval,
        to_reference=_moved(metric, summary, summary.reference if summary else None),
        to_baseline=_moved(metric, summary, summary.baseline if summary else None),
        to_base=_moved(metric, summary, summary.base if summary else None),
        limits=limits,
        status=verdict.status if verdict else None,
        line=session_line.svg(line, verdict.status) if line and verdict else "",
        since=session_line.since(line, verdict.status) if line and verdict else "",
    )


def _moved(metric: Metric, summary: MetricSummary | None, other: float | None) -> str:
    """How a value stands to another: a factor for speed, a percentage or a difference else."""
    if summary is None or other is None or metric.alone:
        return ""
    if not metric.relative:
        return f"{summary.value - other:+.4f}"
    if not other or not summary.value:
        return ""
    if metric.unit in {Unit.SECONDS, Unit.IMAGES_PER_SECOND} and metric.rule is Rule.LAUNCHES:
        faster = other / summary.value if metric.better is Better.LOWER else summary.value / other
        return f"{faster:.2f}x as fast"
    return show_percent(summary.value / other - 1)


def _link(link: Link) -> dict[str, Any]:
    return {
        "step": link.step,
        "options": ", ".join(f"{key}={value}" for key, value in link.options.items()),
        "effect": [(key.replace("_", " "), _effect(value)) for key, value in link.effect.items()],
        "of": link,
    }


def _to_parent(
    record: RecipeRecord, suite: SuiteRecord, columns: list[Metric]
) -> list[tuple[str, str]]:
    """What the recipe's own steps did to every metric that it and its parent have."""
    ours = {summary.metric: summary for summary in suite.summaries.get(record.name, ())}
    theirs = {summary.metric: summary.value for summary in suite.summaries.get(record.parent, ())}
    moved = [
        (metric.name, _moved(metric, ours.get(metric.name), theirs.get(metric.name)))
        for metric in columns
    ]
    return [(name, text) for name, text in moved if text]


def _effect(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {_before_after(part)}" for key, part in value.items())
    return str(value)


def _before_after(value: Any) -> str:
    pair = isinstance(value, list) and len(value) == 2
    return " → ".join(map(_effect, value)) if pair else _effect(value)


def _limit_text(limit: Any, unit: str) -> str:
    return limit_text(limit, Unit(unit) if unit else None)
