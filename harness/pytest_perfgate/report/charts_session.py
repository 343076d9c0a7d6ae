"""Pictures of a session in time, and of a chain: memory, the machine's state, what steps did."""

from __future__ import annotations

from typing import Any

from pytest_perfgate.machine.conditions import Conditions
from pytest_perfgate.metric import Metric
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.report.charts import BLUE, GREY, ORANGE, PALETTE
from pytest_perfgate.units import show_percent

_KEYS = {
    "index",
    "seconds",
    "cores",
    "discarded",
    "readings",
    "rounds",
}  # these tell of the launch, not of the machine
_UNITS = {
    "frequency": (1e9, "GHz"),
    "sm_clock": (1e9, "GHz"),
    "memory_clock": (1e9, "GHz"),
    "temperature": (1.0, "degrees C"),
    "power": (1.0, "W"),
    "energy": (1.0, "J"),
    "used_memory": (1e9, "GB"),
    "throttled": (1.0, "share of the readings"),
} | dict.fromkeys(
    ("stolen", "others", "waited", "cpu_pressure", "memory_pressure", "quota_stopped"),
    (1.0, "share of the time"),
)
_COUNTS = {"others": "processes_of_others"}  # a GPU's; the machine's are a share
_RECIPES = 8  # lines that colours can tell apart


def memory(suite: SuiteRecord) -> dict[str, Any] | None:
    """Peak memory of every recipe over the launches of the session; None: not measured."""
    values = []
    for record in suite.recipes[:_RECIPES]:
        for launch in record.launches:
            if launch.peak_memory is not None:
                megabytes = launch.peak_memory / 1e6
                values.append(
                    {
                        "recipe": record.name,
                        "s": launch.started,
                        "MB": round(megabytes, 2),
                        "told": f"{record.name}, launch {launch.index}: {megabytes:.1f} MB",
                    }
                )
    if not values:
        return None
    names = list(dict.fromkeys(each["recipe"] for each in values))
    encoding = {
        "x": {"field": "s", "type": "quantitative", "title": "seconds since the first launch"},
        "y": {"field": "MB", "type": "quantitative", "title": "peak memory, MB"},
        "color": {
            "field": "recipe",
            "scale": {"domain": names, "range": list(PALETTE[: len(names)])},
            "legend": {"orient": "top", "title": None, "columns": 4},
        },
    }
    return {
        "width": 520,
        "height": 200,
        "data": {"values": values},
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 1.2, "opacity": 0.6}, "encoding": encoding},
            {
                "mark": {"type": "point", "filled": True, "size": 30, "opacity": 1},
                "encoding": {**encoding, "description": {"field": "told"}},
            },
        ],
    }


def _numbers(conditions: Conditions) -> dict[str, float]:
    """All that was measured in one launch of the machine and, behind its number, of each GPU."""
    parts: list[tuple[str, Any]] = [("", conditions)]
    several = len(conditions.devices) > 1
    for number, device in enumerate(conditions.devices):
        parts.append((f"GPU {number}: " if several else "GPU: ", device))
    return {
        f"{where}{_COUNTS.get(name, name) if where else name}": float(value)
        for where, part in parts
        for name, value in part
        if name not in _KEYS and isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def machine(suite: SuiteRecord) -> dict[str, Any] | None:
    """What the machine did, launch by launch, a panel for everything that was measured and is not
    always the same; None: nothing.
    """
    values = []
    told = {each.index: _numbers(each) for each in suite.conditions}
    for name in dict.fromkeys(name for each in told.values() for name in each):
        known = {index: each[name] for index, each in told.items() if name in each}
        if len(known) < 2 or len(set(known.values())) < 2:
            continue
        scale, unit = next(
            (each for word, each in _UNITS.items() if name.rpartition(": ")[2].startswith(word)),
            (1.0, ""),
        )
        panel = name.replace("_", " ") + (f", {unit}" if unit else "")
        discarded = suite.discarded
        values += [
            {
                "panel": panel,
                "launch": index,
                "value": value / scale,
                "kept": index not in discarded,
                "told": f"launch {index}: {panel} {value / scale:.4g}",
            }
            for index, value in known.items()
        ]
    if not values:
        return None
    panels = list(dict.fromkeys(each["panel"] for each in values))
    return {
        "data": {"values": values},
        "facet": {
            "field": "panel",
            "type": "nominal",
            "sort": panels,
            "title": None,
            "header": {"labelColor": "currentColor", "labelFontSize": 12},
        },
        "columns": 3,
        "spacing": 18,
        "resolve": {"scale": {"y": "independent"}},
        "spec": {
            "width": 170,
            "height": 70,
            "mark": {"type": "point", "filled": True, "size": 26},
            "encoding": {
                "x": {
                    "field": "launch",
                    "type": "quantitative",
                    "title": "launch",
                    "axis": {"tickMinStep": 1, "tickCount": 5},
                },
                "y": {
                    "field": "value",
                    "type": "quantitative",
                    "title": None,
                    "axis": {"tickCount": 3},
                },
                "color": {
                    "field": "kept",
                    "scale": {"domain": [True, False], "range": [BLUE, ORANGE]},
                    "legend": None,
                },
                "shape": {
                    "field": "kept",
                    "scale": {"domain": [True, False], "range": ["circle", "cross"]},
                    "legend": None,
                },
                "description": {"field": "told"},
            },
        },
    }


def waterfall(suite: SuiteRecord, score: Metric | None) -> dict[str, Any] | None:
    """From a reference to each recipe at the end of a line: what every recipe of the line did to
    latency, and to the score. None when no line has two recipes beside its reference.
    """
    records = {record.name: record for record in suite.recipes if record.name in suite.summaries}
    parents = {record.parent for record in records.values()}
    values: list[dict[str, Any]] = []
    lines: list[str] = []
    for leaf in records.values():
        line = _line(leaf, records)
        if leaf.name in parents or len(line) < 3:
            continue
        panel = f"{line[0].name} to {leaf.name}"
        lines.append(panel)
        before: RecipeRecord | None = None
        for record in line:
            values.append(_bar(suite, panel, record, before, score))
            before = record
    if not values:
        return None
    longest = max(len(part) for each in values for part in each["step"].split(": "))
    y = {
        "field": "step",
        "type": "nominal",
        "sort": None,
        "title": None,
        "axis": {
            "labelLimit": 330,
            "labelExpr": "split(datum.label, ': ')",
            "labelFontSize": 11,
            "minExtent": min(
                330, 6.3 * longest
            ),  # a reader's font may be wider than the renderer's
        },
    }
    return {
        "data": {"values": values},
        "facet": {
            "row": {
                "field": "panel",
                "type": "nominal",
                "sort": lines,
                "title": None,
                "header": {
                    "labelOrient": "top",
                    "labelAnchor": "start",
                    "labelColor": "currentColor",
                    "labelFontSize": 12,
                    "labelFontWeight": "bold",
                },
            }
        },
        "spacing": 14,
        "resolve": {"scale": {"y": "independent"}},
        "spec": {
            "width": 300,
            "height": {"step": 34},
            "layer": [
                {
                    "mark": {"type": "bar", "height": 14, "minWidth": 2},
                    "encoding": {
                        "y": y,
                        "x": {
                            "field": "from",
                            "type": "quantitative",
                            "title": "latency_p50, ms",
                            "scale": {"domain": [0, 2.3 * max(each["right"] for each in values)]},
                            "axis": {"tickCount": 6},
                        },
                        "x2": {"field": "to"},
                        "color": {
                            "field": "what",
                            "scale": {
                                "domain": ["start", "faster", "slower"],
                                "range": [GREY, BLUE, ORANGE],
                            },
                            "legend": {"orient": "top", "title": None},
                        },
                        "description": {"field": "told"},
                    },
                },
                {
                    "mark": {"type": "text", "align": "left", "dx": 6, "fontSize": 11},
                    "encoding": {
                        "y": y,
                        "x": {"field": "right", "type": "quantitative"},
                        "text": {"field": "text"},
                    },
                },
            ],
        },
    }


def _line(leaf: RecipeRecord, records: dict[str, RecipeRecord]) -> list[RecipeRecord]:
    """The recipe and those that it continues, the reference first."""
    line, seen = [leaf], {leaf.name}
    while line[0].parent in records and line[0].parent not in seen:
        line.insert(0, records[line[0].parent])
        seen.add(line[0].name)
    return line


def _bar(
    suite: SuiteRecord,
    panel: str,
    record: RecipeRecord,
    before: RecipeRecord | None,
    score: Metric | None,
) -> dict[str, Any]:
    """One bar: the level of the first recipe, or the change that the next one is."""
    mine = {each.metric: each.value for each in suite.summaries[record.name]}
    now = mine.get("latency_p50", 0.0) * 1e3
    if before is None:
        text, bar = f"{now:.3g} ms", {"from": 0.0, "to": now, "what": "start"}
        return {"panel": panel, "step": record.name, "text": text, "right": now, **bar} | {
            "told": f"{record.name}: {text}"
        }
    theirs = {each.metric: each.value for each in suite.summaries[before.name]}
    was = theirs.get("latency_p50", 0.0) * 1e3
    text = f"{now:.3g} ms"
    if was:
        text += f" ({show_percent(now / was - 1)})"
    if score is not None and score.name in mine and score.name in theirs:
        text += f", {score.name} {mine[score.name] - theirs[score.name]:+.3f}"
    steps = [link.step for link in record.lineage[len(before.lineage) :]]
    runtime = (record.spec.get("runtime") or {}).get("name", "")
    moved = [runtime] if runtime != (before.spec.get("runtime") or {}).get("name", "") else []
    label = f"{record.name}: + {', '.join([*steps, *moved]) or 'options'}"
    return {
        "panel": panel,
        "step": label,
        "from": min(was, now),
        "to": max(was, now),
        "right": max(was, now),
        "what": "faster" if now <= was else "slower",
        "text": text,
        "told": f"{label}: {text}",
    }
