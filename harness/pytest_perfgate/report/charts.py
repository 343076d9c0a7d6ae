"""Pictures of a suite's latency: every sample, and the stages of one inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_perfgate.metric import Metric
from pytest_perfgate.records.launch_values import launch_value
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.report.drawing import (
    BLUE,
    DESCRIBED,
    GREEN,
    ORANGE,
    WIDTH,
    by_value,
    name_axis,
    number_axis,
    with_legend,
)
from pytest_perfgate.units import Unit, show


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
                words = f"{record.name}, launch {launch.index}: median {middle * 1e3:.3g} ms"
                medians.append(
                    {
                        "recipe": record.name,
                        "launch": launch.index,
                        "ms": middle * 1e3,
                        "words": words,
                    }
                )
    if not values:
        return None
    names = [record.name for record in suite.recipes if record.launches]
    encoding = {
        "y": name_axis("recipe", names),
        "yOffset": {"field": "launch", "type": "ordinal"},
        # A last number that is moved inwards lies on the one before it.
        "x": number_axis("ms", "latency per image, ms", axis={"labelFlush": False}),
    }
    return {
        "width": WIDTH - 130,
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
                "encoding": {**encoding, **DESCRIBED},
            },
        ],
    }


def stages(suite: SuiteRecord) -> dict[str, Any] | None:
    """The three stages of a recipe's latency, medians side by side."""
    colours = {"preprocess": GREEN, "inference": BLUE, "postprocess": ORANGE}
    values = []
    for record in suite.recipes:
        medians = {
            summary.metric: summary.value for summary in suite.summaries.get(record.name, ())
        }
        for order, stage in enumerate(colours):
            seconds = medians.get(f"{stage}_p50")
            if seconds is not None:
                values.append(
                    {
                        "recipe": record.name,
                        "stage": stage,
                        "order": order,
                        "ms": seconds * 1e3,
                        "words": f"{record.name}: {stage} {show(seconds, Unit.SECONDS)}",
                    }
                )
    if not values:
        return None
    return {
        "width": WIDTH - 130,
        "height": {"step": 22},
        "data": {"values": values},
        "mark": {"type": "bar", "height": 14},
        "encoding": {
            "y": name_axis("recipe", [record.name for record in suite.recipes]),
            "x": number_axis("ms", "median per image, ms"),
            "color": with_legend(by_value("stage", colours)),
            "order": {"field": "order"},
            **DESCRIBED,
        },
    }


def score_of(metrics: Mapping[str, Metric], records: Sequence[RecipeRecord]) -> Metric | None:
    """The first metric of accuracy that was measured: the one that pictures are drawn over."""
    for metric in metrics.values():
        if metric.unit is Unit.SCORE and any(
            record.accuracy and metric.name in record.accuracy.values for record in records
        ):
            return metric
    return None
