"""The picture of accuracy over latency: recipes, the front, stored baselines and budget lines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_perfgate.metric import Metric
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.report.drawing import (
    BLUE,
    DESCRIBED,
    ORANGE,
    PURPLE,
    WIDTH,
    number_axis,
)
from pytest_perfgate.units import Unit, show

_SIZE = (WIDTH - 60, 320)
_LINE_NAME = {"type": "text", "fontSize": 11, "opacity": 0.8, "align": "left"}
_RULE = {"type": "rule", "strokeDash": [2, 3], "color": PURPLE, "strokeWidth": 1.5}

Row = dict[str, Any]


def pareto(suite: SuiteRecord, score: Metric) -> dict[str, Any] | None:
    """Accuracy over latency; None: no recipe has both."""
    points, stored = _points(suite, score)
    if not points:
        return None
    frame, times, scores = _framed(points + stored, *_budget_lines(suite, score))
    _place_labels(points, frame)
    x = number_axis(
        "ms",
        "latency_p50, ms (left is better)",
        scale={"domain": [0, frame.widest], "nice": False},
    )
    y = number_axis(
        "score",
        f"{score.name} (up is better)",
        scale={"domain": [frame.low, frame.high], "nice": False},
        axis={"format": ".3f"},
    )
    layers = [
        _time_lines(times, x, frame),
        _score_lines(scores, y),
        {
            "data": {"values": _front(points)},
            "mark": {"type": "line", "color": BLUE, "opacity": 0.6, "strokeDash": [5, 4]},
            "encoding": {"x": x, "y": y},
        },
        {
            "data": {"values": points},
            "mark": {"type": "point", "filled": True, "size": 90, "color": BLUE, "opacity": 1},
            "encoding": {"x": x, "y": y, **DESCRIBED},
        },
        *(
            {
                "data": {"values": [point]},
                "mark": {"type": "text", "dy": point["dy"], "align": "center"},
                "encoding": {"x": x, "y": y, "text": {"field": "recipe"}},
            }
            for point in points
        ),
    ]
    if stored:
        layers.append(
            {
                "data": {"values": stored},
                "mark": {"type": "point", "shape": "diamond", "size": 70, "color": ORANGE},
                "encoding": {"x": x, "y": y, **DESCRIBED},
            }
        )
    return {"width": _SIZE[0], "height": _SIZE[1], "layer": layers}


@dataclass(frozen=True)
class _Frame:
    """What the axes span: latency from 0 to `widest` ms, scores from `low` to `high`."""

    widest: float
    low: float
    high: float


def _points(suite: SuiteRecord, score: Metric) -> tuple[list[Row], list[Row]]:
    """The recipes that have both values, and the stored baselines of those that have one."""
    points, stored = [], []
    for record in suite.recipes:
        known = {summary.metric: summary for summary in suite.summaries.get(record.name, ())}
        if score.name not in known or "latency_p50" not in known:
            continue
        time, value = known["latency_p50"], known[score.name]
        points.append(_point(record.name, time.value, value.value, score))
        if time.baseline is not None and value.baseline is not None:
            stored.append(_point(record.name, time.baseline, value.baseline, score, "baseline of "))
    return points, stored


def _point(name: str, seconds: float, value: float, score: Metric, what: str = "") -> Row:
    return {
        "recipe": name,
        "ms": seconds * 1e3,
        "score": value,
        "words": f"{what}{name}: {show(seconds, Unit.SECONDS)}, {score.name} {value:.4f}",
    }


def _front(points: Sequence[Row]) -> list[Row]:
    """The points that no other beats in both, by latency."""

    def beaten(point: Row) -> bool:
        place = (point["ms"], point["score"])
        return any(
            other["ms"] <= point["ms"]
            and other["score"] >= point["score"]
            and (other["ms"], other["score"]) != place
            for other in points
        )

    return sorted((point for point in points if not beaten(point)), key=lambda point: point["ms"])


def _framed(
    points: Sequence[Row], times: list[Row], scores: list[Row]
) -> tuple[_Frame, list[Row], list[Row]]:
    """The frame around the points, and the budget lines that are near enough to be in it."""
    low, high = _around([point["score"] for point in points])
    widest = 1.15 * max(point["ms"] for point in points)
    times = [point for point in times if point["ms"] <= 1.3 * widest]
    scores = [point for point in scores if low - 0.3 * (high - low) <= point["score"] <= high]
    low = min([low, *(point["score"] - 0.005 for point in scores)])
    widest = max([widest, *(1.05 * point["ms"] for point in times)])
    return _Frame(widest, low, high), times, scores


def _around(scores: Sequence[float]) -> list[float]:
    """A domain that leaves room around the scores, also when they are all the same."""
    low, high = min(scores), max(scores)
    room = max(0.01, 0.15 * (high - low))
    return [max(0.0, low - room), min(1.0, high + room)]


def _time_lines(times: list[Row], x: Mapping[str, Any], frame: _Frame) -> dict[str, Any]:
    names = []
    for number, line in enumerate(sorted(times, key=lambda at: at["ms"])):
        inward = {"align": "right", "dx": -4} if line["ms"] > frame.widest / 2 else {"dx": 4}
        height = 8 + 13 * (number % 4)  # names of near lines do not lie on each other
        names.append(_line_name(line, {"x": x}, {"y": height, **inward}))
    rules = {"mark": _RULE, "encoding": {"x": x, **DESCRIBED}}
    return {"data": {"values": times}, "layer": [rules, *names]}


def _score_lines(scores: list[Row], y: Mapping[str, Any]) -> dict[str, Any]:
    names = [
        _line_name(line, {"y": y}, {"x": 4 + (number % 3) * _SIZE[0] // 3, "dy": -6})
        for number, line in enumerate(sorted(scores, key=lambda at: -at["score"]))
    ]
    rules = {"mark": _RULE, "encoding": {"y": y, **DESCRIBED}}
    return {"data": {"values": scores}, "layer": [rules, *names]}


def _line_name(line: Row, place: Mapping[str, Any], mark: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "data": {"values": [line]},
        "mark": {**_LINE_NAME, **mark},
        "encoding": {**place, "text": {"field": "text"}},
    }


def _budget_lines(suite: SuiteRecord, score: Metric) -> tuple[list[Row], list[Row]]:
    """Limits on latency_p50 and on the score as places on the axes, one for recipes that share it:
    absolute ones, and those that are held to a reference.
    """
    values = {
        (name, summary.metric): summary.value
        for name, summaries in suite.summaries.items()
        for summary in summaries
    }
    references = {record.name: record.reference for record in suite.recipes}
    listed: dict[tuple[str, float], list[str]] = {}
    for verdict in suite.verdicts:
        if verdict.metric not in {"latency_p50", score.name}:
            continue
        against = values.get((references.get(verdict.recipe, ""), verdict.metric))
        for limit in verdict.limits:
            at = None
            if limit.scale == "value" and limit.kind in {"max", "min"}:
                at = limit.limit
            elif limit.kind in {"drop", "speedup"} and against is not None:
                at = against + limit.limit if limit.scale == "difference" else against * limit.limit
            if at is not None and math.isfinite(at) and at > 0:
                place = (verdict.metric, float(f"{at:.4g}"))
                listed.setdefault(place, []).append(f"{verdict.recipe} {limit.kind} {limit.text}")
    times, scores = [], []
    for (metric, at), budgets in listed.items():
        text = budgets[0] if len(budgets) == 1 else f"{budgets[0]}, {len(budgets) - 1} more"
        words = f"budget on {metric}: {', '.join(budgets)}"
        if metric == "latency_p50":
            times.append({"ms": at * 1e3, "text": text, "words": words})
        else:
            scores.append({"score": at, "text": text, "words": words})
    return times, scores


def _place_labels(points: list[Row], frame: _Frame) -> None:
    """Sets every point's `dy`, so that the names of near points do not lie on each other."""
    taken: list[tuple[float, float, float]] = []
    for point in sorted(points, key=lambda point: (-point["score"], point["ms"])):
        across = point["ms"] / frame.widest * _SIZE[0]
        down = -point["score"] / (frame.high - frame.low) * _SIZE[1]
        half = 3.5 * len(point["recipe"])
        for dy in (-11, 16, -24, 29, -37, 42):
            box = (across, down + dy, half)
            if not any(
                abs(box[0] - x) < box[2] + wide and abs(box[1] - y) < 12 for x, y, wide in taken
            ):
                break
        taken.append(box)
        point["dy"] = dy
