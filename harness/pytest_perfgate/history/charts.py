"""Pictures of series: one large chart of what changed, and a small path for everything else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from pytest_perfgate.history.analysis import RED
from pytest_perfgate.history.findings import Analysis, Gate, Move
from pytest_perfgate.history.nights import STATUSES, Array, Night
from pytest_perfgate.report.drawing import BLUE, DESCRIBED, ORANGE, SKY, number_axis
from pytest_perfgate.units import Unit, show, show_percent

_WIDTH, _HEIGHT = 370, 140
_POINTS = 366  # of a chart; more nights than that are drawn by their medians
_WITH_TOOLTIP = 30  # nights of a chart that have a tooltip, the newest
_LONG = 120.0  # seconds from which on a time is told in minutes
_GATE = 0.05  # the smallest step of the gate's time, as a log ratio, that anyone minds
_SMALL = (120, 24)  # width and height of a sparkline

_SCALES = {
    Unit.SECONDS: ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")),
    Unit.BYTES: ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")),
}


def in_units(analysis: Analysis) -> tuple[Array, Array, Array]:
    """A series and its interval in the metric's own unit, as they would be at the machine's usual
    speed: what is compared, times the median of what the machine made of it.
    """
    series = analysis.series
    factor = 1.0
    if series.beside:
        with np.errstate(divide="ignore", invalid="ignore"):
            factors = series.value[analysis.places] / series.compared[analysis.places]
        factors = factors[np.isfinite(factors) & (factors > 0)]
        factor = float(np.median(factors)) if len(factors) else 1.0
    places = analysis.places
    return (
        series.compared[places] * factor,
        series.low[places] * factor,
        series.high[places] * factor,
    )


def trend_chart(
    analysis: Analysis, moves: Sequence[Move], nights: Sequence[Night]
) -> dict[str, Any]:
    """The series with its band, a line at each move, a cross at each red verdict."""
    series = analysis.series
    middle, low, high = in_units(analysis)
    unit, name = _unit(series.unit, middle)
    rows: list[dict[str, Any]] = []
    fresh = len(middle) - _WITH_TOOLTIP
    for at, place in enumerate(analysis.places):
        night = nights[int(series.nights[place])]
        row: dict[str, Any] = {"t": night.started.isoformat(), "y": _short(middle[at] / unit)}
        if np.isfinite(low[at]) and np.isfinite(high[at]):
            row |= {"low": _short(low[at] / unit), "high": _short(high[at] / unit)}
        if at >= fresh:
            amount_then = show(float(middle[at]), series.unit) if series.unit else ""
            row["words"] = f"{night.started:%Y-%m-%d %H:%M}: {amount_then}"
            row["words"] += f", {night.commit[:10]}" if night.commit else ""
        rows.append(row)
    at_night = dict(
        zip((int(series.nights[place]) for place in analysis.places), rows, strict=True)
    )
    red = [STATUSES.index(status) for status in RED]
    crosses = [
        {**at_night[int(night)], "words": f"{at_night[int(night)]['t'][:10]}: verdict red"}
        for night, code in zip(series.nights, series.status, strict=True)
        if int(code) in red and int(night) in at_night
    ]
    lines = [
        {
            "t": nights[move.night].started.isoformat(),
            "text": change(move),
            "words": f"{change(move)} since {nights[move.night].started:%Y-%m-%d}",
        }
        for move in moves
    ]
    title = f"{series.metric}{f', {name}' if name else ''}"
    return _layers(rows, title, lines, crosses[-_POINTS:])


def gate_chart(gate: Gate, nights: Sequence[Night]) -> dict[str, Any]:
    """The time that the gate took, night by night."""
    long = float(np.median(gate.seconds)) >= _LONG
    unit = 60.0 if long else 1.0
    rows = []
    fresh = len(gate.places) - _WITH_TOOLTIP
    for at, (place, seconds) in enumerate(zip(gate.places, gate.seconds, strict=True)):
        row: dict[str, Any] = {"t": nights[place].started.isoformat(), "y": _short(seconds / unit)}
        if at >= fresh:
            row["words"] = f"{nights[place].started:%Y-%m-%d}: {duration(seconds)}"
        rows.append(row)
    lines = [
        {
            "t": nights[gate.places[step.at]].started.isoformat(),
            "text": show_percent(math.expm1(step.size)),
            "words": f"{show_percent(math.expm1(step.size))} since "
            f"{nights[gate.places[step.at]].started:%Y-%m-%d}",
        }
        for step in gate.trend.steps
        if abs(step.size) >= _GATE
    ]
    return _layers(rows, "minutes" if long else "seconds", lines, [], zero=True)


def _layers(
    rows: list[dict[str, Any]],
    title: str,
    lines: list[dict[str, Any]],
    crosses: list[dict[str, Any]],
    *,
    zero: bool = False,
) -> dict[str, Any]:
    """The band, the line, its last night, red verdicts and steps, from back to front."""
    axis = {"grid": False, "tickCount": 4, "labelOverlap": True}
    x = {"field": "t", "type": "temporal", "scale": {"type": "utc"}, "title": None, "axis": axis}
    y = number_axis("y", title, scale={"zero": zero, "nice": True})
    place = {"x": x, "y": y}
    line = [{"t": row["t"], "y": row["y"]} for row in rows]
    dot = {"type": "point", "filled": True, "color": BLUE}
    layers = _band(rows, x, y)
    layers += [
        _layer(line, {"type": "line", "color": BLUE, "strokeWidth": 1.5}, place),
        _layer(
            [row for row in rows if "words" in row],
            {**dot, "size": 70, "opacity": 0},
            {**place, **DESCRIBED},
        ),
        _layer(line[-1:], {**dot, "size": 30, "opacity": 1}, place),
    ]
    if crosses:
        cross = {"type": "point", "shape": "cross", "angle": 45, "size": 60, "filled": True}
        mark = {**cross, "color": ORANGE, "opacity": 1}
        layers.append(_layer(crosses, mark, {**place, **DESCRIBED}))
    if lines:
        rule = {"type": "rule", "color": ORANGE, "strokeDash": [5, 3], "strokeWidth": 1.5}
        text = {"type": "text", "align": "center", "y": -8, "fontWeight": "bold"}
        steps = [
            {"mark": rule, "encoding": {"x": x, **DESCRIBED}},
            {"mark": text, "encoding": {"x": x, "text": {"field": "text"}}},
        ]
        layers.append({"data": {"values": lines}, "layer": steps})
    return {"width": _WIDTH, "height": _HEIGHT, "layer": layers}


def _band(rows: list[dict[str, Any]], x: dict[str, Any], y: dict[str, Any]) -> list[dict[str, Any]]:
    """The interval of each night; nothing where no night has one."""
    band = [{key: row[key] for key in ("t", "low", "high")} for row in rows if "low" in row]
    if not band:
        return []
    mark = {"type": "area", "color": SKY, "opacity": 0.3}
    return [_layer(band, mark, {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}})]


def _layer(
    values: list[dict[str, Any]], mark: dict[str, Any], encoding: dict[str, Any]
) -> dict[str, Any]:
    return {"data": {"values": values}, "mark": mark, "encoding": encoding}


def duration(seconds: float) -> str:
    """A time of the gate for people: minutes, where it is long."""
    return f"{seconds / 60:.1f} min" if seconds >= _LONG else f"{seconds:.1f} s"


def change(move: Move) -> str:
    """How much a move is, for people: relative, or the difference of scores."""
    return amount(move.size, relative=move.analysis.series.relative)


def amount(size: float, *, relative: bool) -> str:
    """A size on the scale of comparisons for people."""
    return show_percent(math.expm1(size)) if relative else f"{size:+.4f}"


def sparkline(analysis: Analysis, bins: int, *, with_band: bool = True) -> str:
    """A path of the middle, behind it one of the band: at most `bins` points, whole numbers, 120
    by 24.
    """
    middle, low, high = in_units(analysis)
    if not len(middle):
        return ""
    if analysis.series.relative:
        middle, low, high = (np.log(np.maximum(line, 1e-300)) for line in (middle, low, high))
    low = np.where(np.isfinite(low), low, middle)
    high = np.where(np.isfinite(high), high, middle)
    count = min(bins, len(middle))
    edges = np.linspace(0, len(middle), count + 1).astype(int)
    line, under, over = (
        np.add.reduceat(line, edges[:-1]) / np.diff(edges) for line in (middle, low, high)
    )
    # The last night stands for itself: it is what people look for.
    line[-1], under[-1], over[-1] = middle[-1], low[-1], high[-1]
    bottom, top = float(under.min()), float(over.max())
    least = 0.02 if analysis.series.relative else 0.002
    room = max(top - bottom, least)
    centre = (top + bottom) / 2
    width, height = _SMALL

    def down(values: Array) -> list[int]:
        scaled = (height / 2 - (values - centre) / room * (height - 4)).round()
        return [int(height) for height in scaled]

    across = [int(place) for place in np.linspace(1, width - 1, max(2, count)).round()]
    ys, lows, highs = down(line), down(under), down(over)
    if count == 1:
        ys, lows, highs = ys * 2, lows * 2, highs * 2
    band = ""
    if with_band and lows != highs:
        around = list(zip(across, highs, strict=True)) + list(zip(across, lows, strict=True))[::-1]
        band = f'<path class=b d="{_path(around)}z"/>'
    return f'{band}<path d="{_path(list(zip(across, ys, strict=True)))}"/>'


def _path(points: list[tuple[int, int]]) -> str:
    """Moves from point to point, relative, with as few characters as there can be."""
    first = points[0]
    text = f"M{first[0]} {first[1]}l"
    for (x0, y0), (x1, y1) in pairwise(points):
        step = f"{x1 - x0}{'' if y1 < y0 else ' '}{y1 - y0}"
        text += step if text.endswith("l") or step.startswith("-") else f" {step}"
    return text


def _unit(unit: Unit | None, values: Array) -> tuple[float, str]:
    """A scale that makes values readable, and its name."""
    largest = float(np.max(np.abs(values))) if len(values) else 0.0
    scales = _SCALES.get(unit) if unit else None
    if not scales:
        return 1.0, unit.value if unit in {Unit.IMAGES_PER_SECOND} else ""
    for scale, name in scales:
        if largest >= scale:
            return scale, name
    return scales[-1]


def _short(value: float) -> float:
    return float(f"{value:.5g}")
