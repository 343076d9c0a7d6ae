"""Searches as people read them: a line for each, a table of its trials, and a picture of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_perfgate.metric import Metric, headlines
from pytest_perfgate.records.search import Search, Trial, beside
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.report.drawing import (
    BLUE,
    DESCRIBED,
    GREEN,
    GREY,
    by_value,
    number_axis,
    panels,
    with_legend,
)
from pytest_perfgate.units import Unit, show, show_plain

_MARKS = {
    "color": with_legend(by_value("state", {"won": GREEN, "kept": BLUE, "broken": GREY})),
    "shape": with_legend(
        by_value("state", {"won": "diamond", "kept": "circle", "broken": "cross"})
    ),
}
_SCALES = {Unit.SECONDS: (1e3, "ms"), Unit.BYTES: (1e-6, "MB")}
_DECADE = 8  # numbers this far apart are spread out by orders of magnitude


@dataclass(frozen=True)
class Row:
    """One trial, as text."""

    number: int
    cells: tuple[str, ...]
    wins: bool
    fits: bool


@dataclass(frozen=True)
class Table:
    """One recipe's trials, the fastest first; those that were not measured last."""

    recipe: str
    words: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]


def lines(suite: SuiteRecord) -> list[str]:
    """What every search came to, one line each."""
    return [f"{name}: {_words(search)}" for name, search in _searches(suite).items()]


def tables(suite: SuiteRecord) -> list[Table]:
    """Every search with its trials."""
    tables = []
    for name, search in _searches(suite).items():
        places = list(dict.fromkeys(place for trial in search.trials for place in trial.values))
        heads = (
            *places,
            search.metric,
            f"better than {search.reference} by"
            if _of_score(search)
            else f"as fast as {search.reference}",
            search.score,
            "seconds",
            "",
        )
        trials = sorted(search.trials, key=lambda trial: (trial.ratio is None, trial.ratio or 0.0))
        rows = tuple(
            Row(
                trial.number,
                _cells(trial, places, search),
                trial.number == search.winner,
                trial.feasible,
            )
            for trial in trials
        )
        tables.append(Table(name, _words(search), heads, rows))
    return tables


Picture = tuple[str, str, dict[str, Any] | None, str]


def pictures(suite: SuiteRecord, metrics: Mapping[str, Metric]) -> list[Picture]:
    """Title, alternative text, specification and note of the pictures of each search."""
    return [*_scatters(suite), *_sweeps(suite, metrics)]


def _sweeps(suite: SuiteRecord, metrics: Mapping[str, Metric]) -> list[Picture]:
    pictures: list[Picture] = []
    for name, search in _searches(suite).items():
        places = {place for trial in search.trials for place in trial.values}
        if len(places) == 1:
            (place,) = places
            pictures.append(
                (
                    f"{name} over {place}",
                    f"Small plots of the measurements of trials of {name} over {place}; the "
                    "numbers are in the table of trials below.",
                    _curves(search, place, metrics),
                    "Blue trials keep the budgets, grey ones do not; the green one won.",
                )
            )
    return pictures


def _scatters(suite: SuiteRecord) -> list[Picture]:
    return [
        (
            f"Trials of {name}",
            f"Scatter plot of {search.score} over {search.metric}, one point per trial; the "
            "numbers are in the table of trials below.",
            _scatter(search),
            "Blue trials keep the budgets, grey ones do not; the green one won. The dashed line "
            "joins those that no other beats in both. Times are of a trial's two launches; they "
            "choose values and judge no budget.",
        )
        for name, search in _searches(suite).items()
    ]


def _searches(suite: SuiteRecord) -> Mapping[str, Search]:
    return {recipe.name: recipe.search for recipe in suite.recipes if recipe.search is not None}


def _words(search: Search) -> str:
    fit = sum(trial.feasible for trial in search.trials)
    spent = sum(trial.seconds for trial in search.trials)
    what = (
        f"{len(search.trials)} of {search.asked} trials in {spent:.0f} s "
        f"({search.fresh or 'none'} of them in this session), {fit} keep the budgets"
    )
    best = next((trial for trial in search.trials if trial.number == search.winner), None)
    if best is None:
        return f"no trial won: {what}"
    return f"values of trial {best.number} ({_values(best.values)}), which won: {what}"


def _of_score(search: Search) -> bool:
    return search.unit == Unit.SCORE


def _values(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{place} {show_plain(value)}" for place, value in values.items())


def _cells(trial: Trial, places: list[str], search: Search) -> tuple[str, ...]:
    known = [show_plain(trial.values[place]) if place in trial.values else "" for place in places]
    return (
        *known,
        show(trial.level, Unit(search.unit)) if trial.level is not None else "",
        beside(trial.ratio, search.unit).partition(" ")[0] if trial.ratio is not None else "",
        f"{trial.score:.4f}" if trial.score is not None else "",
        f"{trial.seconds:.0f}",
        "won" if trial.number == search.winner else trial.reason,
    )


def _curves(search: Search, place: str, metrics: Mapping[str, Metric]) -> dict[str, Any] | None:
    """What trials were measured by over the one number in which they differ; None: it is none."""
    numbers = {
        trial.number: value
        for trial in search.trials
        if isinstance(value := trial.values[place], (int, float)) and not isinstance(value, bool)
    }
    if len(set(numbers.values())) < 2:
        return None
    points = _curve_points(search, place, numbers, metrics)
    if not points:
        return None
    ticks = sorted(set(numbers.values()))
    apart = ticks[0] > 0 and ticks[-1] / ticks[0] >= _DECADE
    scale = {"type": "log", "base": 2, "nice": False} if apart else {"zero": False}
    encoding = {
        "x": number_axis("at", place, scale=scale, axis={"values": ticks, "format": "~g"}),
        "y": number_axis("value", None),
    }
    line = {"type": "line", "color": BLUE, "opacity": 0.5, "strokeWidth": 1.2}
    spec = {
        "width": 250,
        "height": 150,
        "layer": [
            {"mark": line, "encoding": encoding},
            {
                "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
                "encoding": {**encoding, **_MARKS, **DESCRIBED},
            },
        ],
    }
    names = list(dict.fromkeys(point["panel"] for point in points))
    return {**panels(points, names, 2, spec), "resolve": {"scale": {"y": "independent"}}}


def _curve_points(
    search: Search, place: str, numbers: Mapping[int, float], metrics: Mapping[str, Metric]
) -> list[dict[str, Any]]:
    """A row per trial and metric: what is searched for, headlines, memory, and what limits hold."""
    held = [limit.partition(" ")[0] for trial in search.trials for limit in trial.constraints]
    points: list[dict[str, Any]] = []
    for name in dict.fromkeys((search.metric, *headlines(metrics), "peak_memory", *held)):
        metric = metrics.get(name)
        scale, unit = _SCALES.get(metric.unit, (1.0, metric.unit.value)) if metric else (1.0, "")
        points += [
            {
                "at": numbers[trial.number],
                "value": trial.levels[name] * scale,
                "panel": f"{name}, {unit}",
                "state": _state(trial, search),
                "words": f"{place} {show_plain(trial.values[place])}: {name} "
                + (show(trial.levels[name], metric.unit) if metric else str(trial.levels[name]))
                + (f"; {trial.reason}" if trial.reason else ""),
            }
            for trial in search.trials
            if name in trial.levels and trial.number in numbers
        ]
    return points


def _state(trial: Trial, search: Search) -> str:
    if trial.number == search.winner:
        return "won"
    return "kept" if trial.feasible else "broken"


def _scatter(search: Search) -> dict[str, Any] | None:
    """Every measured trial, feasible or not; None: there is none."""
    points = [
        {
            "x": -trial.ratio if _of_score(search) else 1.0 / trial.ratio,
            "y": trial.score,
            "state": _state(trial, search),
            "front": trial.number in search.front,
            "words": f"trial {trial.number}: {show(trial.level, Unit(search.unit))}, "
            f"{beside(trial.ratio, search.unit)}, {search.score} {trial.score:.4f}; "
            f"{_values(trial.values)}" + (f"; {trial.reason}" if trial.reason else ""),
        }
        for trial in search.trials
        if trial.ratio is not None and trial.score is not None
    ]
    if not points:
        return None
    scale = {"zero": False, "padding": 20}
    faster = f"times as fast as {search.reference} by {search.metric} (right is better)"
    if _of_score(search):
        faster = f"{search.metric} better than {search.reference} by (right is better)"
    x = number_axis("x", faster, scale=scale)
    y = number_axis("y", f"{search.score} (up is better)", scale=scale, axis={"format": ".3f"})
    return {
        "width": 560,
        "height": 280,
        "layer": [
            {
                "data": {"values": [point for point in points if point["front"]]},
                "mark": {"type": "line", "color": BLUE, "opacity": 0.6, "strokeDash": [5, 4]},
                "encoding": {"x": x, "y": y},
            },
            {
                "data": {"values": points},
                "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
                "encoding": {"x": x, "y": y, **_MARKS, **DESCRIBED},
            },
        ],
    }
