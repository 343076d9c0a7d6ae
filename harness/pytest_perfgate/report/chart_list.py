"""The pictures of a suite, each with what it shows and how to read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_perfgate.metric import Metric
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.report import (
    charts,
    charts_accuracy,
    charts_pareto,
    charts_rates,
    charts_session,
    charts_waterfall,
    drawing,
    search_tables,
)
from pytest_perfgate.suite.metrics import class_score_of


@dataclass(frozen=True)
class Chart:
    """A picture with its words; `reached`: the keyboard visits its marks."""

    title: str
    alt: str
    svg: str
    note: str

    @property
    def reached(self) -> bool:
        """Whether its marks can be visited one by one."""
        return "tabindex=" in self.svg


def pictures(suite: SuiteRecord, metrics: Mapping[str, Metric]) -> list[Chart]:
    """The charts that there is data for, the most wanted first."""
    score = charts.score_of(metrics, suite.recipes)
    offered = (*_of_recipes(suite, metrics, score), *_of_accuracy(suite), *_of_session(suite))
    return [
        Chart(title, alt, drawing.svg(spec), note)
        for title, alt, spec, note in offered
        if spec is not None
    ]


Offer = tuple[str, str, dict[str, Any] | None, str]
"""Title, description for whoever cannot see it, specification (None: no data), how to read it."""


def _of_recipes(
    suite: SuiteRecord, metrics: Mapping[str, Metric], score: Metric | None
) -> Iterator[Offer]:
    name = score.name if score else ""
    front = charts_pareto.pareto(suite, score) if score else None
    yield (
        f"{name} over latency",
        f"Scatter plot of {name} over median latency, one point per recipe; the table above has "
        "the numbers.",
        front.spec if front else None,
        "Dots are recipes. The dashed line joins the recipes that no other beats in both values. "
        "Diamonds are stored baselines. Dotted lines are budgets near the recipes."
        + (front.note if front else ""),
    )
    yield from search_tables.pictures(suite, metrics)
    yield (
        "Latency, every sample",
        "Strip plot of all latency samples: a band per recipe, a line per launch.",
        charts.distributions(suite),
        "Each band is a recipe. Each line in it is a launch with all its samples; the stroke is "
        "its median. Verdicts count launches, not samples.",
    )
    yield (
        "Latency over the offered rate",
        "Line plot of the 99th percentile of the latency over the rate of requests, a line per "
        "recipe.",
        charts_rates.latency_over_rate(suite),
        "Runs of the search for the highest rate, of all launches. Where a line bends upwards, the "
        "service is full. Runs that ended early because they broke the limit are left out.",
    )
    yield (
        "What each recipe of a chain changed",
        "Waterfall of median latency from a reference to the last recipe of its chain.",
        charts_waterfall.waterfall(suite, score),
        "Each recipe is compared with the recipe that it continues, from the reference on.",
    )
    yield (
        "Where the time goes",
        "Bars of median pre-process, inference and post-process time per recipe; the table above "
        "has the numbers.",
        charts.stages(suite),
        "",
    )


def _of_accuracy(suite: SuiteRecord) -> Iterator[Offer]:
    score = class_score_of(suite.task)
    yield (
        f"{score[0].upper()}{score[1:]} by class",
        f"Heat map of {score} by recipe and class; the table below has the numbers.",
        charts_accuracy.classes(suite),
        "Orange: lower than the reference. Blue: higher. Of many classes, those with the largest "
        "losses are shown.",
    )
    yield (
        "Share of the score kept under corruptions",
        "Heat map of the share of the score that each recipe keeps under each corruption.",
        charts_accuracy.corruptions(suite),
        "1: as on the same images without corruption. Orange: less is kept than by the reference. "
        "Blue: more.",
    )
    yield (
        "Reliability of scores",
        "Reliability diagrams: share of correct predictions over their score, one per recipe.",
        charts_accuracy.reliabilities(suite),
        charts_accuracy.RELIABILITY_NOTE,
    )


def _of_session(suite: SuiteRecord) -> Iterator[Offer]:
    yield (
        "Memory over the session",
        "Line plot of peak memory of every recipe over the launches.",
        charts_session.memory(suite),
        "A launch that ran a batch needs more memory than one that did not.",
    )
    yield (
        "The machine over the session",
        "Small plots of the machine's state, launch by launch; the table of conditions below has "
        "the numbers.",
        charts_session.machine(suite),
        "Values that never changed are left out. Orange crosses are discarded launches.",
    )


def absent(suite: SuiteRecord) -> list[str]:
    """The pictures that are missing, with what was not measured for them."""
    lines: list[str] = []
    if not any(record.launches for record in suite.recipes):
        return lines
    if not any(condition.frequency_mean is not None for condition in suite.conditions):
        lines.append("the clock of the cores was not measured: this machine does not report it")
    if not any(launch.peak_memory for record in suite.recipes for launch in record.launches):
        lines.append("peak memory was not measured")
    if not any(charts_accuracy.believed(record) for record in suite.recipes):
        lines.append("the reliability of scores was not measured: matches were not stored")
    return lines
