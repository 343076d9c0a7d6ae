"""The picture of a chain: what every recipe of a line did to latency and to the score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_perfgate.metric import Metric
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
    with_legend,
)
from pytest_perfgate.units import show_percent

_LABEL = 330  # pixels, at most
_LETTER = 6.3  # pixels: a reader's font may be wider than the renderer's


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
    return _picture(values, lines) if values else None


def _picture(values: Sequence[Mapping[str, Any]], lines: Sequence[str]) -> dict[str, Any]:
    """The bars of every line, a panel for each line."""
    longest = max(len(part) for row in values for part in row["step"].split(": "))
    axis = {
        "labelLimit": _LABEL,
        "labelExpr": "split(datum.label, ': ')",
        "labelFontSize": 11,
        "minExtent": min(_LABEL, _LETTER * longest),
    }
    y = name_axis("step", None, axis=axis)
    span = {"domain": [0, 2.3 * max(row["right"] for row in values)]}
    header = {
        "labelOrient": "top",
        "labelAnchor": "start",
        "labelColor": "currentColor",
        "labelFontSize": 12,
        "labelFontWeight": "bold",
    }
    bars = {
        "mark": {"type": "bar", "height": 14, "minWidth": 2},
        "encoding": {
            "y": y,
            "x": number_axis("from", "latency_p50, ms", scale=span, axis={"tickCount": 6}),
            "x2": {"field": "to"},
            "color": with_legend(
                by_value("what", {"start": GREY, "faster": BLUE, "slower": ORANGE})
            ),
            **DESCRIBED,
        },
    }
    texts = {
        "mark": {"type": "text", "align": "left", "dx": 6, "fontSize": 11},
        "encoding": {
            "y": y,
            "x": {"field": "right", "type": "quantitative"},
            "text": {"field": "text"},
        },
    }
    return {
        "data": {"values": list(values)},
        "facet": {"row": name_axis("panel", lines, header=header)},
        "spacing": 14,
        "resolve": {"scale": {"y": "independent"}},
        "spec": {"width": 300, "height": {"step": 34}, "layer": [bars, texts]},
    }


def _line(leaf: RecipeRecord, records: dict[str, RecipeRecord]) -> list[RecipeRecord]:
    """The recipe and those that it continues, the reference first."""
    line, visited = [leaf], {leaf.name}
    while line[0].parent in records and line[0].parent not in visited:
        line.insert(0, records[line[0].parent])
        visited.add(line[0].name)
    return line


def _bar(
    suite: SuiteRecord,
    panel: str,
    record: RecipeRecord,
    before: RecipeRecord | None,
    score: Metric | None,
) -> dict[str, Any]:
    """One bar: the level of the first recipe, or the change that the next one is."""
    ours = {summary.metric: summary.value for summary in suite.summaries[record.name]}
    now = ours.get("latency_p50", 0.0) * 1e3
    if before is None:
        text, bar = f"{now:.3g} ms", {"from": 0.0, "to": now, "what": "start"}
        return {"panel": panel, "step": record.name, "text": text, "right": now, **bar} | {
            "words": f"{record.name}: {text}"
        }
    theirs = {summary.metric: summary.value for summary in suite.summaries[before.name]}
    was = theirs.get("latency_p50", 0.0) * 1e3
    text = f"{now:.3g} ms"
    if was:
        text += f" ({show_percent(now / was - 1)})"
    if score is not None and score.name in ours and score.name in theirs:
        text += f", {score.name} {ours[score.name] - theirs[score.name]:+.3f}"
    steps = [link.step for link in record.lineage[len(before.lineage) :]]
    runtime = record.runtime_name
    moved = [runtime] if runtime != before.runtime_name else []
    label = f"{record.name}: + {', '.join([*steps, *moved]) or 'options'}"
    return {
        "panel": panel,
        "step": label,
        "from": min(was, now),
        "to": max(was, now),
        "right": max(was, now),
        "what": "faster" if now <= was else "slower",
        "text": text,
        "words": f"{label}: {text}",
    }
