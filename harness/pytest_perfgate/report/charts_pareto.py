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
from pytest_perfgate.report.label_places import Box, Places, label, letters, spread
from pytest_perfgate.units import Unit, show

_SIZE = (WIDTH - 60, 320)
_LETTERS = 12  # pixels of the letters of names
_LONGEST = 24  # letters of a name; the tooltip has all
_APART = 15.0  # pixels between the letters of two lines
_LINE_NAME = {"type": "text", "fontSize": 11, "align": "center"}
_RULE = {"type": "rule", "strokeDash": [2, 3], "color": PURPLE, "strokeWidth": 1.5}

Row = dict[str, Any]


@dataclass(frozen=True)
class Pareto:
    """The picture, and what its letters and dots without a name are, in words."""

    spec: dict[str, Any]
    note: str


def pareto(suite: SuiteRecord, score: Metric) -> Pareto | None:
    """Accuracy over latency; None: no recipe has both."""
    points, stored = _points(suite, score)
    if not points:
        return None
    frame, times, scores = _framed(points + stored, *_budget_lines(suite, score))
    _name_lines(times, scores, frame)
    labels = _place_labels(points, stored, frame)
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
        _time_lines(times, x),
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
        *(_label_layer(row, x, y) for row in labels),
    ]
    if stored:
        layers.append(
            {
                "data": {"values": stored},
                "mark": {"type": "point", "shape": "diamond", "size": 70, "color": ORANGE},
                "encoding": {"x": x, "y": y, **DESCRIBED},
            }
        )
    spec = {"width": _SIZE[0], "height": _SIZE[1], "layer": layers}
    return Pareto(spec, _note([*times, *scores], len(points) - len(labels)))


def _label_layer(row: Row, x: Mapping[str, Any], y: Mapping[str, Any]) -> dict[str, Any]:
    mark = {"type": "text", "align": row["align"], "baseline": "alphabetic"}
    return {
        "data": {"values": [{key: row[key] for key in ("recipe", "ms", "score")}]},
        "mark": {**mark, "dx": row["dx"], "dy": row["dy"]},
        "encoding": {"x": x, "y": y, "text": {"field": "recipe"}},
    }


def _note(lines: Sequence[Row], unnamed: int) -> str:
    parts = []
    if lines:
        parts.append("Budgets: " + "; ".join(f"{line['name']} {line['text']}" for line in lines))
    if unnamed:
        dots = "1 dot has" if unnamed == 1 else f"{unnamed} dots have"
        parts.append(f"{dots} no room for a name; point at one to read it")
    return "".join(f" {part}." for part in parts)


@dataclass(frozen=True)
class _Frame:
    """What the axes span: latency from 0 to `widest` ms, scores from `low` to `high`."""

    widest: float
    low: float
    high: float

    def down(self, score: float) -> float:
        """Pixels of a score below the upper edge."""
        return (self.high - score) / (self.high - self.low) * _SIZE[1]


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
    return _Frame(widest or 1.0, low, high), times, scores


def _around(scores: Sequence[float]) -> list[float]:
    """A domain that leaves room around the scores, also when they are all the same."""
    low, high = min(scores), max(scores)
    room = max(0.01, 0.15 * (high - low))
    return [max(0.0, low - room), min(1.0, high + room)]


def _time_lines(times: list[Row], x: Mapping[str, Any]) -> dict[str, Any]:
    names = [_line_name(line, {"x": x}, {"y": -6, "dx": line["shift"]}) for line in times]
    rules = {"mark": _RULE, "encoding": {"x": x, **DESCRIBED}}
    return {"data": {"values": times}, "layer": [rules, *names]}


def _score_lines(scores: list[Row], y: Mapping[str, Any]) -> dict[str, Any]:
    names = [
        _line_name(line, {"y": y}, {"x": _SIZE[0] + 8, "dy": line["shift"] + 4}) for line in scores
    ]
    rules = {"mark": _RULE, "encoding": {"y": y, **DESCRIBED}}
    return {"data": {"values": scores}, "layer": [rules, *names]}


def _line_name(line: Row, place: Mapping[str, Any], mark: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "data": {"values": [line]},
        "mark": {**_LINE_NAME, **mark},
        "encoding": {**place, "text": {"field": "name"}},
    }


def _name_lines(times: list[Row], scores: list[Row], frame: _Frame) -> None:
    """Gives every line its letter, from left to right and then from the top down, and the pixels
    that the letter is moved by for a neighbour's.
    """
    times.sort(key=lambda line: line["ms"])
    scores.sort(key=lambda line: -line["score"])
    across = [line["ms"] / frame.widest * _SIZE[0] for line in times]
    down = [frame.down(line["score"]) for line in scores]
    at = [*spread(across, _APART), *spread(down, _APART)]
    for number, (line, place, moved) in enumerate(
        zip([*times, *scores], [*across, *down], at, strict=True)
    ):
        line["name"] = letters(number)
        line["shift"] = moved - place


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


def _place_labels(points: list[Row], stored: Sequence[Row], frame: _Frame) -> list[Row]:
    """The names that have room beside their points, each with its place; the best recipes first."""
    dots = {id(point): _dot(point, frame) for point in (*points, *stored)}
    places = Places(Box(0, 0, *_SIZE), list(dots.values()))
    labels = []
    for point in sorted(points, key=lambda point: (-point["score"], point["ms"])):
        dot, text = dots[id(point)], _shortened(point["recipe"])
        x, y = (dot.left + dot.right) / 2, (dot.top + dot.bottom) / 2
        place = places.first_free(
            [
                *(label(text, x, y + dy, "center", _LETTERS) for dy in (-9, 18)),
                *(label(text, x + 9, y + dy, "left", _LETTERS) for dy in (4, -9, 18)),
                *(label(text, x - 9, y + dy, "right", _LETTERS) for dy in (4, -9, 18)),
                *(label(text, x, y + dy, "center", _LETTERS) for dy in (-24, 33)),
                *(label(text, x + 9, y + dy, "left", _LETTERS) for dy in (-24, 33)),
                *(label(text, x - 9, y + dy, "right", _LETTERS) for dy in (-24, 33)),
            ]
        )
        if place is not None:
            labels.append(
                {
                    **point,
                    "recipe": text,
                    "dx": place.x - x,
                    "dy": place.y - y,
                    "align": place.align,
                }
            )
    return labels


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _dot(point: Row, frame: _Frame) -> Box:
    x, y = point["ms"] / frame.widest * _SIZE[0], frame.down(point["score"])
    return Box(x - 6, y - 6, x + 6, y + 6)
