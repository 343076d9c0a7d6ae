"""The one picture of a session, for a comment: how far budgets are from their limits, and which
operators are slower.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pytest_perfgate.metric import Better, Metric
from pytest_perfgate.records.session import SessionRecord, SuiteRecord
from pytest_perfgate.records.verdict import LimitResult, Status, Verdict
from pytest_perfgate.report import drawing, profile_table
from pytest_perfgate.report.drawing import BLUE, GREEN, GREY, ORANGE, PURPLE, name_axis, number_axis

_MOST = 8  # budgets, and operators
_WIDTH = 420  # pixels of a panel
_LABEL = 300
_NAMES = MappingProxyType({"labelLimit": _LABEL, "labelExpr": "slice(datum.label, 3)"})
_LONGEST = 44  # characters of a name
_COLOURS = {
    Status.FAIL.value: ORANGE,
    Status.INCONCLUSIVE.value: PURPLE,
    Status.NO_BASELINE.value: GREY,
    Status.NO_MACHINE.value: GREY,
    Status.PASS.value: GREEN,
}


def png(session: SessionRecord, metrics: Mapping[str, Metric]) -> bytes:
    """The picture as PNG, on white."""
    return drawing.png(spec(session, metrics))


def spec(session: SessionRecord, metrics: Mapping[str, Metric]) -> dict[str, Any]:
    """Budgets with the worst first; below them the operators of the first broken budget on time
    that was profiled.
    """
    panels = [panel for panel in (_budgets(session, metrics), _operators(session)) if panel]
    if not panels:
        panels = [_nothing(session)]
    return {"vconcat": panels, "spacing": 22, "resolve": {"scale": {"color": "independent"}}}


def _budgets(session: SessionRecord, metrics: Mapping[str, Metric]) -> dict[str, Any] | None:
    limits = [
        (suite, verdict, limit)
        for suite in session.suites
        for verdict in suite.verdicts
        for limit in verdict.limits
        if limit.estimate is not None and limit.status.value in _COLOURS
    ]
    limits.sort(key=lambda row: (row[2].status.rank, row[1].status.rank))
    rows = [_row(place, *row, metrics) for place, row in enumerate(limits[:_MOST])]
    if not rows:
        return None
    left = len(limits) - len(rows)
    names = [str(row["budget"]) for row in rows]
    y = name_axis("budget", names, axis=_NAMES)
    shown = {row["verdict"] for row in rows}
    marks = {status: colour for status, colour in _COLOURS.items() if status in shown}
    colour = drawing.with_legend(drawing.by_value("verdict", marks))
    title = "percent beyond the limit (scores: points)"
    axis = number_axis("low", title, axis={"tickCount": 6})
    layers = [
        {
            "mark": {"type": "rule", "strokeWidth": 3},
            "encoding": {"y": y, "x": axis, "x2": {"field": "high"}, "color": colour},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
            "encoding": {"y": y, "x": number_axis("at", title), "color": colour},
        },
        {
            "data": {"values": [{"zero": 0}]},
            "mark": {"type": "rule", "strokeDash": [4, 3]},
            "encoding": {"x": {"field": "zero", "type": "quantitative"}},
        },
    ]
    heading = "Budgets and their limits" + (f" ({left} more in the report)" if left else "")
    return {
        "title": _title(heading),
        "width": _WIDTH,
        "height": {"step": 24},
        "data": {"values": rows},
        "layer": layers,
    }


def _row(
    place: int,
    suite: SuiteRecord,
    verdict: Verdict,
    limit: LimitResult,
    metrics: Mapping[str, Metric],
) -> dict[str, Any]:
    """One limit: its estimate and interval in percent beyond it, worse to the right."""
    low, high = (limit.estimate if end is None else end for end in (limit.low, limit.high))
    at, low, high = (_beyond(limit, value or 0.0) for value in (limit.estimate, low, high))
    metric = metrics.get(verdict.metric)
    turned = metric is not None and metric.better is Better.HIGHER
    if limit.status is Status.FAIL:  # a limit on a ratio may have another good direction
        turned = at < 0
    sign = -1 if turned else 1
    return {
        "budget": _placed(place, f"{suite.title}: {verdict.recipe} {verdict.metric} {limit.kind}"),
        "verdict": limit.status.value,
        "at": sign * at,
        "low": min(sign * low, sign * high),
        "high": max(sign * low, sign * high),
    }


def _beyond(limit: LimitResult, value: float) -> float:
    if limit.scale == "difference" or not limit.limit:
        return 100 * (value - limit.limit)
    return 100 * (value / limit.limit - 1)


def _operators(session: SessionRecord) -> dict[str, Any] | None:
    for suite in session.suites:
        for table in profile_table.tables(suite):
            if table.broken and table.other and table.lines:
                return _bars(suite, table)
    return None


def _bars(suite: SuiteRecord, table: profile_table.Table) -> dict[str, Any]:
    rows = [
        {
            "operator": _placed(place, f"{line.name} ({line.kind})" if line.kind else line.name),
            "bar": line.bar,
            "text": line.moved,
            "what": "slower" if line.bar > 0 else "faster",
        }
        for place, line in enumerate(table.lines[:_MOST])
    ]
    y = name_axis("operator", [str(row["operator"]) for row in rows], axis=_NAMES)
    x = number_axis("bar", None, axis=None, scale={"domain": [-160, 160]})
    return {
        "title": _title(
            _short(f"Operators of {suite.title} {table.recipe} beside {table.other}", 90)
        ),
        "width": _WIDTH,
        "height": {"step": 24},
        "data": {"values": rows},
        "layer": [
            {
                "mark": {"type": "bar", "height": 14},
                "encoding": {
                    "y": y,
                    "x": x,
                    "color": drawing.by_value("what", {"slower": ORANGE, "faster": BLUE}),
                },
            },
            *(
                {
                    "transform": [{"filter": f"datum.bar {side} 0"}],
                    "mark": {"type": "text", "align": align, "dx": dx},
                    "encoding": {"y": y, "x": x, "text": {"field": "text"}},
                }
                for side, align, dx in ((">", "left", 6), ("<=", "right", -6))
            ),
        ],
    }


def _nothing(session: SessionRecord) -> dict[str, Any]:
    from pytest_perfgate.report.answer import answer

    return {
        "width": _WIDTH,
        "height": 40,
        "data": {"values": [{"text": _short(answer(session), 90)}]},
        "mark": {"type": "text", "fontSize": 13},
        "encoding": {"text": {"field": "text"}},
    }


def _title(text: str) -> dict[str, Any]:
    return {"text": text, "anchor": "start", "fontSize": 13}


def _placed(place: int, name: str) -> str:
    """A name behind its place, which the axis cuts off: two names that are shortened alike have
    rows of their own.
    """
    return f"{place:02} {_short(name)}"


def _short(text: str, longest: int = _LONGEST) -> str:
    """A name with its end: that of an operator says which one it is."""
    return text if len(text) <= longest else f"{text[: longest // 3]}…{text[-(longest * 2 // 3) :]}"
