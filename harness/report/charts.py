"""The page's pictures: Vega-Lite specifications drawn as SVG, labels in the page's own colours."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from harness.metric import Metric
from harness.record import RecipeRecord, SuiteRecord
from harness.units import Unit
from harness.values import launch_value

# Okabe & Ito's palette: told apart by the colour-blind, and readable on light and dark.
BLUE, ORANGE, GREEN, PURPLE, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9"

_CONFIG: dict[str, Any] = {
    "background": "transparent",
    "padding": {"left": 16, "right": 16, "top": 6, "bottom": 6},
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "domainColor": "currentColor",
        "tickColor": "currentColor",
        "gridColor": "currentColor",
        "gridOpacity": 0.12,
        "domainOpacity": 0.4,
        "tickOpacity": 0.4,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 180,
    },
    "legend": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "text": {"color": "currentColor", "fontSize": 12},
}

_WIDTH = 640


def svg(spec: Mapping[str, Any]) -> str:
    """A specification drawn as an SVG element; text in it is escaped by the renderer."""
    import vl_convert

    text: str = vl_convert.vegalite_to_svg(json.dumps(_drawable({"config": _CONFIG, **spec})))
    return text


def _drawable(data: Any) -> Any:
    """`data` without the control characters that XML cannot hold: the renderer dies of them."""
    if isinstance(data, str):
        return "".join(each if each.isprintable() else "\ufffd" for each in data)
    if isinstance(data, Mapping):
        return {_drawable(key): _drawable(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_drawable(each) for each in data]
    return data


def pareto(suite: SuiteRecord, score: Metric) -> dict[str, Any] | None:
    """Accuracy over latency: recipes, the front that none of them beats, stored baselines."""
    points: list[dict[str, Any]] = []
    stored: list[dict[str, Any]] = []
    for record in suite.recipes:
        found = {each.metric: each for each in suite.summaries.get(record.name, ())}
        if score.name not in found or "latency_p50" not in found:
            continue
        time, value = found["latency_p50"], found[score.name]
        points.append({"recipe": record.name, "ms": time.value * 1e3, "score": value.value})
        if time.baseline is not None and value.baseline is not None:
            stored.append(
                {"recipe": record.name, "ms": time.baseline * 1e3, "score": value.baseline}
            )
    if not points:
        return None
    front = [
        point
        for point in points
        if not any(
            other["ms"] <= point["ms"]
            and other["score"] >= point["score"]
            and (other["ms"], other["score"]) != (point["ms"], point["score"])
            for other in points
        )
    ]
    x = {
        "field": "ms",
        "type": "quantitative",
        "title": "latency_p50, ms (left is better)",
        "scale": {"zero": True},
    }
    y = {
        "field": "score",
        "type": "quantitative",
        "title": f"{score.name} (up is better)",
        "scale": {"domain": _around([each["score"] for each in points + stored])},
        "axis": {"format": ".3f"},
    }
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": sorted(front, key=lambda point: point["ms"])},
            "mark": {"type": "line", "color": BLUE, "opacity": 0.6, "strokeDash": [5, 4]},
            "encoding": {"x": x, "y": y},
        },
        {
            "data": {"values": points},
            "mark": {"type": "point", "filled": True, "size": 90, "color": BLUE, "opacity": 1},
            "encoding": {"x": x, "y": y},
        },
        {
            "data": {"values": points},
            "mark": {"type": "text", "dy": -11, "align": "center"},
            "encoding": {"x": x, "y": y, "text": {"field": "recipe"}},
        },
    ]
    if stored:
        layers.append(
            {
                "data": {"values": stored},
                "mark": {"type": "point", "shape": "diamond", "size": 70, "color": ORANGE},
                "encoding": {"x": x, "y": y},
            }
        )
    return {"width": _WIDTH - 60, "height": 300, "layer": layers}


def distributions(suite: SuiteRecord) -> dict[str, Any] | None:
    """Every latency sample: a band per recipe, a line of it per launch, a stroke at its median."""
    values, medians = [], []
    for record in suite.recipes:
        for launch in record.launches:
            values += [
                {"recipe": record.name, "launch": launch.index, "ms": round(seconds * 1e3, 3)}
                for seconds in launch.latency
            ]
            middle = launch_value(launch, "latency_p50")
            if middle is not None:
                medians.append({"recipe": record.name, "launch": launch.index, "ms": middle * 1e3})
    if not values:
        return None
    names = [record.name for record in suite.recipes if record.launches]
    encoding = {
        "y": {"field": "recipe", "type": "nominal", "sort": names, "title": None},
        "yOffset": {"field": "launch", "type": "ordinal"},
        "x": {"field": "ms", "type": "quantitative", "title": "latency per image, ms"},
    }
    return {
        "width": _WIDTH - 130,
        "height": {"step": max(5, min(9, 60 // max(1, len(suite.yardstick))))},
        "layer": [
            {
                "data": {"values": values},
                "mark": {
                    "type": "point",
                    "filled": True,
                    "size": 9,
                    "opacity": 0.5,
                    "color": BLUE,
                },
                "encoding": encoding,
            },
            {
                "data": {"values": medians},
                "mark": {"type": "tick", "thickness": 2.5, "color": ORANGE, "size": 8},
                "encoding": encoding,
            },
        ],
    }


def stages(suite: SuiteRecord) -> dict[str, Any] | None:
    """The three stages of a recipe's latency, medians side by side."""
    listed = (("preprocess", GREEN), ("inference", BLUE), ("postprocess", ORANGE))
    values = []
    for record in suite.recipes:
        found = {each.metric: each.value for each in suite.summaries.get(record.name, ())}
        for order, (stage, _) in enumerate(listed):
            if f"{stage}_p50" in found:
                values.append(
                    {
                        "recipe": record.name,
                        "stage": stage,
                        "order": order,
                        "ms": found[f"{stage}_p50"] * 1e3,
                    }
                )
    if not values:
        return None
    return {
        "width": _WIDTH - 130,
        "height": {"step": 22},
        "data": {"values": values},
        "mark": {"type": "bar", "height": 14},
        "encoding": {
            "y": {
                "field": "recipe",
                "type": "nominal",
                "sort": [record.name for record in suite.recipes],
                "title": None,
            },
            "x": {"field": "ms", "type": "quantitative", "title": "median per image, ms"},
            "color": {
                "field": "stage",
                "scale": {
                    "domain": [stage for stage, _ in listed],
                    "range": [colour for _, colour in listed],
                },
                "legend": {"orient": "top", "title": None},
            },
            "order": {"field": "order"},
        },
    }


def _around(scores: Sequence[float]) -> list[float]:
    """A domain that leaves room around the scores, also when they are all the same."""
    low, high = min(scores), max(scores)
    room = max(0.01, 0.15 * (high - low))
    return [max(0.0, low - room), min(1.0, high + room)]


def score_of(metrics: Mapping[str, Metric], records: Sequence[RecipeRecord]) -> Metric | None:
    """The first metric of accuracy that was measured: the one that pictures are drawn over."""
    for metric in metrics.values():
        if metric.unit is Unit.SCORE and any(
            record.accuracy and metric.name in record.accuracy.values for record in records
        ):
            return metric
    return None
