"""The picture of latency over the offered rate, whose bend is where a service is full."""

from __future__ import annotations

from typing import Any

from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.report.drawing import (
    DESCRIBED,
    PALETTE,
    by_value,
    number_axis,
    with_legend,
)
from pytest_perfgate.units import Unit, count_of, show

_SCALE = {"type": "log", "nice": False}  # the search doubles and halves rates
_RECIPES = 8  # lines that colours can tell apart


def latency_over_rate(suite: SuiteRecord) -> dict[str, Any] | None:
    """The 99th percentile of every recipe's runs at offered rates, all launches together, and of
    its base; None: no recipe searched its highest rate.
    """
    records = [
        *((record.name, record) for record in suite.recipes),
        *(
            (f"{record.name}, base", record)
            for record in (suite.base.recipes if suite.base else ())
        ),
    ]
    values = []
    for name, record in [pair for pair in records if _searched(pair[1])][:_RECIPES]:
        for launch in record.launches:
            for run in launch.rates:
                if run.p99 is None:
                    continue
                values.append(
                    {
                        "recipe": name,
                        "rate": round(run.rate, 3),
                        "ms": round(run.p99 * 1e3, 3),
                        "words": f"{name}, launch {launch.index}: {run.rate:.4g} /s, p99 "
                        f"{show(run.p99, Unit.SECONDS)}, {run.slow} of "
                        f"{count_of(run.requests, 'request')} above the limit",
                    }
                )
    if not values:
        return None
    names = list(dict.fromkeys(str(value["recipe"]) for value in values))
    encoding = {
        "x": number_axis("rate", "offered requests per second", scale=_SCALE),
        "y": number_axis("ms", "99th percentile of the latency, ms", scale=_SCALE),
        "color": with_legend(
            by_value("recipe", dict(zip(names, PALETTE, strict=False))), columns=4
        ),
    }
    return {
        "width": 520,
        "height": 240,
        "data": {"values": values},
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 1.2, "opacity": 0.4}, "encoding": encoding},
            {
                "mark": {"type": "point", "filled": True, "size": 40, "opacity": 1},
                "encoding": {**encoding, **DESCRIBED},
            },
        ],
    }


def _searched(record: RecipeRecord) -> bool:
    return any(run.p99 is not None for launch in record.launches for run in launch.rates)
