"""Pictures of accuracy: scores by class, and how far scores can be believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_perfgate.corruptions import NAMES
from pytest_perfgate.records.calibration import OVERLAP, counted
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.report.drawing import (
    BLUE,
    DESCRIBED,
    GREY,
    ORANGE,
    by_value,
    name_axis,
    number_axis,
    panels,
)
from pytest_perfgate.stats.reliability import BINS, Reliability, reliability

_CLASSES = 24  # columns of a picture, at most: those that lost most


def classes(suite: SuiteRecord) -> dict[str, Any] | None:
    """The score of each class by recipe; the colour is the difference to the reference."""
    return _heat_map(suite, {one.name: _per_class(one) for one in suite.recipes}, "class")


def corruptions(suite: SuiteRecord) -> dict[str, Any] | None:
    """The share of the score that each recipe keeps under each corruption."""
    return _heat_map(suite, {one.name: kept_under(one) for one in suite.recipes}, "corruption")


def kept_under(record: RecipeRecord) -> dict[str, float]:
    """The share of the score of clean images that a recipe keeps, by corruption."""
    values = record.accuracy.values if record.accuracy else {}
    parts = ((name.partition("@"), value) for name, value in values.items())
    return {
        corruption: value / values[main]
        for (main, at, corruption), value in parts
        if at and corruption in NAMES and values.get(main)
    }


def _heat_map(
    suite: SuiteRecord, scores: Mapping[str, Mapping[str, float]], noun: str
) -> dict[str, Any] | None:
    """Scores by recipe and `noun`; None for fewer than two of it."""
    values = _rows(suite, scores, noun)
    lost: dict[str, float] = {}
    for row in values:
        lost[row["class"]] = min(lost.get(row["class"], 0.0), row["moved"])
    if len(lost) < 2:
        return None
    shown = list(lost)
    if len(shown) > _CLASSES:
        shown = sorted(lost, key=lambda name: lost[name])[:_CLASSES]
    values = [row for row in values if row["class"] in shown]
    most = max(0.01, *(abs(row["moved"]) for row in values))
    names = [record.name for record in suite.recipes if scores[record.name]]
    axis = {"labelAngle": 0 if max(map(len, shown)) < 4 else -40, "orient": "top"}
    place = {
        "y": name_axis("recipe", names),
        "x": name_axis("class", shown, axis=axis) | {"title": noun},
    }
    scale = {"domain": [-most, 0, most], "range": [ORANGE, "#f4f4f2", BLUE]}
    moved = number_axis("moved", "to reference", scale=scale, legend={"format": "+.2f"})
    # Dark on pale fields, white on strong ones, on every background of the page.
    strong = {"test": f"abs(datum.moved) > {0.55 * most}", "value": "#ffffff"}
    ink = {"condition": strong, "value": "#1d2126"}
    return {
        "width": {"step": 44},
        "height": {"step": 26},
        "data": {"values": values},
        "layer": [
            {
                "mark": {"type": "rect", "cornerRadius": 2},
                "encoding": {**place, "color": moved, **DESCRIBED},
            },
            {
                "mark": {"type": "text", "fontSize": 11},
                "encoding": {**place, "text": {"field": "text"}, "color": ink},
            },
        ],
    }


def _rows(
    suite: SuiteRecord, scores: Mapping[str, Mapping[str, float]], noun: str
) -> list[dict[str, Any]]:
    """A row per recipe and `noun`."""
    values = []
    for record in suite.recipes:
        reference = scores.get(record.reference, {})
        for name, value in scores[record.name].items():
            moved = value - reference[name] if name in reference else 0.0
            place = f"{record.name}, {noun} {name}"
            values.append(
                {
                    "recipe": record.name,
                    "class": name,
                    "text": f"{value:.2f}",
                    "moved": round(moved, 4),
                    "words": f"{place}: {value:.4f}, {moved:+.4f} to reference",
                }
            )
    return values


def _per_class(record: RecipeRecord) -> Mapping[str, float]:
    return record.accuracy.per_category if record.accuracy else {}


def believed(record: RecipeRecord) -> Reliability | None:
    """The reliability of a recipe's scores; None when its matches were not kept, or not for an
    overlap of one half.
    """
    matches = record.accuracy.matches if record.accuracy else None
    if matches is None or OVERLAP not in matches.thresholds:
        return None
    _, scores, right = counted(matches)
    return reliability(scores, right)


def reliabilities(suite: SuiteRecord) -> dict[str, Any] | None:
    """Share of right detections over their score, a panel per recipe, its reference in grey."""
    values, names = _reliability_rows(suite)
    if not values:
        return None
    axis = {"values": [0, 0.5, 1]}
    scale = {"domain": [0, 1]}
    x = number_axis("score", "score", scale=scale, axis=axis)
    y = number_axis("right", "share correct", scale=scale, axis={**axis, "format": ".0%"})
    sides = by_value("side", {"diagonal": GREY, "reference": GREY, "recipe": BLUE})
    dashes = by_value("side", {"diagonal": [2, 3], "reference": [1, 0], "recipe": [1, 0]})
    lines = {
        "mark": {"type": "line", "strokeWidth": 1.5},
        "encoding": {"x": x, "y": y, "color": sides, "strokeDash": dashes},
    }
    bins = {
        "transform": [{"filter": "datum.side == 'recipe'"}],
        "mark": {"type": "point", "filled": True, "size": 28, "color": BLUE},
        "encoding": {"x": x, "y": y, **DESCRIBED},
    }
    spec = {"width": 120, "height": 120, "layer": [lines, bins]}
    return panels(values, names, min(4, len(names)), spec)


def _reliability_rows(suite: SuiteRecord) -> tuple[list[dict[str, Any]], list[str]]:
    """The bins of every recipe and of its reference, with the diagonal; the names of the panels."""
    known = {record.name: believed(record) for record in suite.recipes}
    values: list[dict[str, Any]] = []
    names: list[str] = []
    for record in suite.recipes:
        own = known[record.name]
        if own is None:
            continue
        panel = f"{record.name}: ECE {own.error:.3f}"
        names.append(panel)
        sides = [("recipe", record.name, own)]
        reference = known.get(record.reference)
        if reference is not None and record.reference != record.name:
            sides.insert(0, ("reference", record.reference, reference))
        values += [
            {
                "panel": panel,
                "side": side,
                "score": counted.score,
                "right": counted.right,
                "count": counted.count,
                "words": f"{name}: {counted.count} detections with a mean score of "
                f"{counted.score:.2f}, {counted.right:.0%} of them correct",
            }
            for side, name, result in sides
            for counted in result.bins
        ]
        values += [
            {"panel": panel, "side": "diagonal", "score": at, "right": at, "words": ""}
            for at in (0.0, 1.0)
        ]
    return values, names


RELIABILITY_NOTE = (
    f"Predictions are sorted into {BINS} bins by score. On the dotted line a score equals the "
    "share of correct ones. The reference is grey. ECE: expected calibration error (Naeini et al. "
    "2015; Guo et al. 2017). A detection is correct when it matches an object at an overlap of "
    f"{OVERLAP} (Küppers et al. 2020), an image when its top class is the true one."
)
