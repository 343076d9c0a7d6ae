"""The page's pictures: Vega-Lite specifications drawn as SVG, labels in the page's own colours."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_perfgate.metric import Metric
from pytest_perfgate.records.launch_values import launch_value
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.units import Unit, show

# Okabe & Ito's palette: told apart by the colour-blind, and readable on light and dark.
BLUE, ORANGE, GREEN, PURPLE, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9"
GREY = "#8a929c"
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, SKY, "#e69f00", "#b8a800", GREY)

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

    drawable = json.dumps(_drawable({"config": _CONFIG, **spec}), ensure_ascii=False)
    try:
        text: str = vl_convert.vegalite_to_svg(drawable)
    except ValueError:
        # A label that is too long may be cut between the two halves of such a character.
        plain = _BEYOND.sub("\N{WHITE SQUARE}", drawable)
        if plain == drawable:
            raise
        text = vl_convert.vegalite_to_svg(plain)
    return _with_titles(text)


_BEYOND = re.compile("[\U00010000-\U0010ffff]")
"""Characters that JavaScript keeps in two halves."""


_REACHED = 80  # marks of a picture that the keyboard visits one by one, at most
_SVG = "http://www.w3.org/2000/svg"
_TOLD = "told: "  # in front of what a mark is described by, to know it from the renderer's default


def _with_titles(text: str) -> str:
    """The picture with tooltips that need no script: what a mark is described by is its title too.

    Where there are few marks, the keyboard reaches each; more would be in the way of whoever wants
    to get past the picture.
    """
    from xml.etree import ElementTree

    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ElementTree.fromstring(text)  # noqa: S314 - what the renderer has just written
    told = []
    for each in root.iter():
        if each.get("role") != "graphics-symbol":
            continue
        label = each.get("aria-label", "")
        for name in ("aria-label", "aria-roledescription", "role"):
            each.attrib.pop(name, None)
        if label.startswith(_TOLD) and label != _TOLD:
            told.append(each)
            title = ElementTree.SubElement(each, f"{{{_SVG}}}title")
            title.text = label.removeprefix(_TOLD)
        else:  # a default description is a list of the data's own field names
            each.set("aria-hidden", "true")
    if len(told) <= _REACHED:
        for each in told:
            each.set("role", "img")
            each.set("aria-label", str(each[0].text))
            each.set("tabindex", "0")
    return ElementTree.tostring(root, encoding="unicode")


def _drawable(data: Any) -> Any:
    """`data` without the control characters that XML cannot hold: the renderer dies of them."""
    if isinstance(data, str):
        return "".join(each if each.isprintable() else "\ufffd" for each in data)
    if isinstance(data, Mapping):
        return {
            _drawable(key): f"{_TOLD}{_drawable(value)}" if key == "told" else _drawable(value)
            for key, value in data.items()
        }
    if isinstance(data, (list, tuple)):
        return [_drawable(each) for each in data]
    return data


def pareto(suite: SuiteRecord, score: Metric) -> dict[str, Any] | None:
    """Accuracy over latency: recipes, the front that none of them beats, stored baselines, and the
    budget lines that are near enough to be seen.
    """
    points: list[dict[str, Any]] = []
    stored: list[dict[str, Any]] = []
    for record in suite.recipes:
        found = {each.metric: each for each in suite.summaries.get(record.name, ())}
        if score.name not in found or "latency_p50" not in found:
            continue
        time, value = found["latency_p50"], found[score.name]
        points.append(_point(record.name, time.value, value.value, score))
        if time.baseline is not None and value.baseline is not None:
            stored.append(_point(record.name, time.baseline, value.baseline, score, "baseline of "))
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
    low, high = _around([each["score"] for each in points + stored])
    widest = 1.15 * max(each["ms"] for each in points + stored)
    times, scores = _budget_lines(suite, score)
    times = [each for each in times if each["ms"] <= 1.3 * widest]
    scores = [each for each in scores if low - 0.3 * (high - low) <= each["score"] <= high]
    low = min([low, *(each["score"] - 0.005 for each in scores)])
    widest = max([widest, *(1.05 * each["ms"] for each in times)])
    width, height = _WIDTH - 60, 320
    _place_labels(points, (widest, high - low), (width, height))
    x = {
        "field": "ms",
        "type": "quantitative",
        "title": "latency_p50, ms (left is better)",
        "scale": {"domain": [0, widest], "nice": False},
    }
    y = {
        "field": "score",
        "type": "quantitative",
        "title": f"{score.name} (up is better)",
        "scale": {"domain": [low, high], "nice": False},
        "axis": {"format": ".3f"},
    }
    for number, each in enumerate(sorted(times, key=lambda at: at["ms"])):
        each["y"] = 8 + 13 * (number % 4)  # names of near lines do not lie on each other
    for number, each in enumerate(sorted(scores, key=lambda at: -at["score"])):
        each["x"] = 4 + (number % 3) * width // 3
    told = {"description": {"field": "told"}}
    rule = {"type": "rule", "strokeDash": [2, 3], "color": PURPLE, "strokeWidth": 1.5}
    line_text = {"type": "text", "fontSize": 11, "opacity": 0.8, "align": "left"}
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": times},
            "layer": [
                {"mark": rule, "encoding": {"x": x, **told}},
                *(
                    {
                        "data": {"values": [each]},
                        "mark": {
                            **line_text,
                            "y": each["y"],
                            **(
                                {"align": "right", "dx": -4}
                                if each["ms"] > widest / 2
                                else {"dx": 4}
                            ),
                        },
                        "encoding": {"x": x, "text": {"field": "text"}},
                    }
                    for each in times
                ),
            ],
        },
        {
            "data": {"values": scores},
            "layer": [
                {"mark": rule, "encoding": {"y": y, **told}},
                *(
                    {
                        "data": {"values": [each]},
                        "mark": {**line_text, "x": each["x"], "dy": -6},
                        "encoding": {"y": y, "text": {"field": "text"}},
                    }
                    for each in scores
                ),
            ],
        },
        {
            "data": {"values": sorted(front, key=lambda point: point["ms"])},
            "mark": {"type": "line", "color": BLUE, "opacity": 0.6, "strokeDash": [5, 4]},
            "encoding": {"x": x, "y": y},
        },
        {
            "data": {"values": points},
            "mark": {"type": "point", "filled": True, "size": 90, "color": BLUE, "opacity": 1},
            "encoding": {"x": x, "y": y, **told},
        },
        *(
            {
                "data": {"values": [each]},
                "mark": {"type": "text", "dy": each["dy"], "align": "center"},
                "encoding": {"x": x, "y": y, "text": {"field": "recipe"}},
            }
            for each in points
        ),
    ]
    if stored:
        layers.append(
            {
                "data": {"values": stored},
                "mark": {"type": "point", "shape": "diamond", "size": 70, "color": ORANGE},
                "encoding": {"x": x, "y": y, **told},
            }
        )
    return {"width": width, "height": height, "layer": layers}


def _point(
    name: str, seconds: float, value: float, score: Metric, what: str = ""
) -> dict[str, Any]:
    return {
        "recipe": name,
        "ms": seconds * 1e3,
        "score": value,
        "told": f"{what}{name}: {show(seconds, Unit.SECONDS)}, {score.name} {value:.4f}",
    }


def _budget_lines(
    suite: SuiteRecord, score: Metric
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Limits on latency_p50 and on the score as places on the axes, one for recipes that share it:
    absolute ones, and those that are held to a reference.
    """
    values = {
        (name, each.metric): each.value
        for name, summaries in suite.summaries.items()
        for each in summaries
    }
    references = {record.name: record.reference for record in suite.recipes}
    found: dict[tuple[str, float], list[str]] = {}
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
                found.setdefault(place, []).append(f"{verdict.recipe} {limit.kind} {limit.text}")
    times, scores = [], []
    for (metric, at), asked in found.items():
        text = asked[0] if len(asked) == 1 else f"{asked[0]}, {len(asked) - 1} more"
        told = f"budget on {metric}: {', '.join(asked)}"
        if metric == "latency_p50":
            times.append({"ms": at * 1e3, "text": text, "told": told})
        else:
            scores.append({"score": at, "text": text, "told": told})
    return times, scores


def _place_labels(
    points: list[dict[str, Any]], span: tuple[float, float], size: tuple[int, int]
) -> None:
    """Sets every point's `dy`, so that the names of near points do not lie on each other."""
    taken: list[tuple[float, float, float]] = []
    for point in sorted(points, key=lambda each: (-each["score"], each["ms"])):
        across = point["ms"] / span[0] * size[0]
        down = -point["score"] / span[1] * size[1]
        half = 3.5 * len(point["recipe"])
        for dy in (-11, 16, -24, 29, -37, 42):
            box = (across, down + dy, half)
            if not any(
                abs(box[0] - x) < box[2] + wide and abs(box[1] - y) < 12 for x, y, wide in taken
            ):
                break
        taken.append(box)
        point["dy"] = dy


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
                told = f"{record.name}, launch {launch.index}: median {middle * 1e3:.3g} ms"
                medians.append(
                    {
                        "recipe": record.name,
                        "launch": launch.index,
                        "ms": middle * 1e3,
                        "told": told,
                    }
                )
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
                "encoding": {**encoding, "description": {"field": "told"}},
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
                        "told": f"{record.name}: {stage} "
                        f"{show(found[f'{stage}_p50'], Unit.SECONDS)}",
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
            "description": {"field": "told"},
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
