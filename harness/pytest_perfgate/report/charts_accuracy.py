"""Pictures of accuracy: average precision by class, and how far scores can be believed."""

from __future__ import annotations

from typing import Any

from pytest_perfgate.records.accuracy import Matches
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.report.charts import BLUE, GREY, ORANGE
from pytest_perfgate.stats.reliability import BINS, Reliability, reliability

_CLASSES = 24  # columns of a picture, at most: those that lost most
_OVERLAP = 0.5  # a detection is right when it overlaps its object by this


def classes(suite: SuiteRecord) -> dict[str, Any] | None:
    """Average precision by recipe and class; the colour is the difference to the reference."""
    scores = {
        record.name: record.accuracy.per_category for record in suite.recipes if record.accuracy
    }
    values: list[dict[str, Any]] = []
    for record in suite.recipes:
        its = scores.get(record.reference, {})
        for name, value in scores.get(record.name, {}).items():
            moved = value - its[name] if name in its else 0.0
            values.append(
                {
                    "recipe": record.name,
                    "class": name,
                    "text": f"{value:.2f}",
                    "moved": round(moved, 4),
                    "told": f"{record.name}, class {name}: {value:.4f}, {moved:+.4f} to reference",
                }
            )
    lost: dict[str, float] = {}
    for each in values:
        lost[each["class"]] = min(lost.get(each["class"], 0.0), each["moved"])
    if len(lost) < 2:
        return None
    shown = list(lost)
    if len(shown) > _CLASSES:
        shown = sorted(lost, key=lambda name: lost[name])[:_CLASSES]
    values = [each for each in values if each["class"] in shown]
    most = max(0.01, *(abs(each["moved"]) for each in values))
    names = [record.name for record in suite.recipes if scores.get(record.name)]
    place = {
        "y": {"field": "recipe", "type": "nominal", "sort": names, "title": None},
        "x": {
            "field": "class",
            "type": "nominal",
            "sort": shown,
            "title": "class",
            "axis": {"labelAngle": 0 if max(map(len, shown)) < 4 else -40, "orient": "top"},
        },
    }
    return {
        "width": {"step": 44},
        "height": {"step": 26},
        "data": {"values": values},
        "layer": [
            {
                "mark": {"type": "rect", "cornerRadius": 2},
                "encoding": {
                    **place,
                    "color": {
                        "field": "moved",
                        "type": "quantitative",
                        "title": "to reference",
                        "scale": {
                            "domain": [-most, 0, most],
                            "range": [ORANGE, "#f4f4f2", BLUE],
                        },
                        "legend": {"format": "+.2f"},
                    },
                    "description": {"field": "told"},
                },
            },
            {
                "mark": {"type": "text", "fontSize": 11},
                "encoding": {
                    **place,
                    "text": {"field": "text"},
                    # Dark on pale fields, white on strong ones, on every background of the page.
                    "color": {
                        "condition": {
                            "test": f"abs(datum.moved) > {0.55 * most}",
                            "value": "#ffffff",
                        },
                        "value": "#1d2126",
                    },
                },
            },
        ],
    }


def believed(record: RecipeRecord) -> Reliability | None:
    """The reliability of a recipe's scores; None when its matches were not kept."""
    if record.accuracy is None or record.accuracy.matches is None:
        return None
    scores, right = _right(record.accuracy.matches)
    return reliability(scores, right)


def _right(matches: Matches) -> tuple[Any, Any]:
    """Scores of all detections that count, and whether each found an object."""
    bit = 1 << matches.thresholds.index(_OVERLAP)
    counts = (matches.ignored.array() & bit) == 0
    return matches.score.array()[counts], (matches.hits.array()[counts] & bit) > 0


def reliabilities(suite: SuiteRecord) -> dict[str, Any] | None:
    """Share of right detections over their score, a panel per recipe, its reference in grey."""
    found = {record.name: believed(record) for record in suite.recipes}
    values: list[dict[str, Any]] = []
    panels: list[str] = []
    for record in suite.recipes:
        mine = found[record.name]
        if mine is None:
            continue
        panel = f"{record.name}: ECE {mine.error:.3f}"
        panels.append(panel)
        sides = [("recipe", mine)]
        its = found.get(record.reference)
        if its is not None and record.reference != record.name:
            sides.insert(0, ("reference", its))
        for side, each in sides:
            values += [
                {
                    "panel": panel,
                    "side": side,
                    "score": each_bin.score,
                    "right": each_bin.right,
                    "count": each_bin.count,
                    "told": f"{record.name if side == 'recipe' else record.reference}: "
                    f"{each_bin.count} detections with a mean score of {each_bin.score:.2f}, "
                    f"{each_bin.right:.0%} of them right",
                }
                for each_bin in each.bins
            ]
        values += [
            {"panel": panel, "side": "diagonal", "score": at, "right": at, "told": ""}
            for at in (0.0, 1.0)
        ]
    if not values:
        return None
    x = {
        "field": "score",
        "type": "quantitative",
        "title": "score",
        "scale": {"domain": [0, 1]},
        "axis": {"values": [0, 0.5, 1]},
    }
    y = {
        "field": "right",
        "type": "quantitative",
        "title": "share that is right",
        "scale": {"domain": [0, 1]},
        "axis": {"values": [0, 0.5, 1], "format": ".0%"},
    }
    sides_scale = {
        "domain": ["diagonal", "reference", "recipe"],
        "range": [GREY, GREY, BLUE],
    }
    return {
        "data": {"values": values},
        "facet": {
            "field": "panel",
            "type": "nominal",
            "sort": panels,
            "title": None,
            "header": {"labelColor": "currentColor", "labelFontSize": 12},
        },
        "columns": min(4, len(panels)),
        "spacing": 18,
        "spec": {
            "width": 120,
            "height": 120,
            "layer": [
                {
                    "mark": {"type": "line", "strokeWidth": 1.5},
                    "encoding": {
                        "x": x,
                        "y": y,
                        "color": {"field": "side", "scale": sides_scale, "legend": None},
                        "strokeDash": {
                            "field": "side",
                            "scale": {
                                "domain": ["diagonal", "reference", "recipe"],
                                "range": [[2, 3], [1, 0], [1, 0]],
                            },
                            "legend": None,
                        },
                    },
                },
                {
                    "transform": [{"filter": "datum.side == 'recipe'"}],
                    "mark": {"type": "point", "filled": True, "size": 28, "color": BLUE},
                    "encoding": {"x": x, "y": y, "description": {"field": "told"}},
                },
            ],
        },
    }


RELIABILITY_NOTE = (
    f"Detections in {BINS} bins of their score; on the dotted line scores are what they say. The "
    "reference is grey. ECE: expected calibration error (Naeini et al. 2015; Guo et al. 2017); "
    f"right: matched to an object at an overlap of {_OVERLAP} (Küppers et al. 2020)."
)
