"""Which pictures a suite gets, each with its words: what it shows, and how to read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_perfgate.metric import Metric
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.report import charts, charts_accuracy, charts_session, search_tables


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
    """Those that there is data for, the most wanted first."""
    score = charts.score_of(metrics, suite.recipes)
    name = score.name if score else ""
    offered: list[tuple[str, str, dict[str, Any] | None, str]] = [
        (
            f"{name} over latency",
            f"Scatter plot of {name} over median latency, one point per recipe; the numbers are in "
            "the table above.",
            charts.pareto(suite, score) if score else None,
            "Dots are recipes; the dashed line joins those that no other beats in both. Diamonds "
            "are stored baselines; dotted lines are budgets, where they are near.",
        ),
        *search_tables.pictures(suite, metrics),
        (
            "Latency, every sample",
            "Strip plot of all latency samples, a band per recipe, in it a line per launch.",
            charts.distributions(suite),
            "A band per recipe; in it a line per launch with all its samples and a stroke at its "
            "median. Launches are the unit that verdicts count.",
        ),
        (
            "What every recipe of a line did",
            "Waterfall of median latency from a reference to the recipe at the end of its line.",
            charts_session.waterfall(suite, score),
            "From the reference on, each recipe beside the one that it continues.",
        ),
        (
            "Where the time goes",
            "Bars of median pre-process, inference and post-process time per recipe; the numbers "
            "are in the table above.",
            charts.stages(suite),
            "",
        ),
        (
            "Average precision by class",
            "Heat map of average precision by recipe and class; the numbers are in the table "
            "below.",
            charts_accuracy.classes(suite),
            "Orange lost beside the reference, blue won; where there are many classes, those that "
            "lost most.",
        ),
        (
            "Can scores be believed",
            "Reliability diagrams: share of right detections over their score, one per recipe.",
            charts_accuracy.reliabilities(suite),
            charts_accuracy.RELIABILITY_NOTE,
        ),
        (
            "Memory over the session",
            "Line plot of peak memory of every recipe over the launches.",
            charts_session.memory(suite),
            "Launches that ran a batch need more than those that did not.",
        ),
        (
            "The machine over the session",
            "Small plots of what the machine did, launch by launch; the numbers are in the table "
            "of conditions below.",
            charts_session.machine(suite),
            "Only what was measured and is not always the same. Orange crosses are launches that "
            "do not count.",
        ),
    ]
    return [
        Chart(title, alt, charts.svg(spec), note)
        for title, alt, spec, note in offered
        if spec is not None
    ]


def absent(suite: SuiteRecord) -> list[str]:
    """What pictures would show and was not measured, in words."""
    lines: list[str] = []
    if not any(record.launches for record in suite.recipes):
        return lines
    if not any(each.frequency_mean is not None for each in suite.conditions):
        lines.append("the clock of the cores was not measured: this machine does not tell")
    if not any(launch.peak_memory for record in suite.recipes for launch in record.launches):
        lines.append("peak memory was not measured")
    if not any(charts_accuracy.believed(record) for record in suite.recipes):
        lines.append("the reliability of scores was not measured: no matches were kept")
    return lines
