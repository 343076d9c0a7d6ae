"""The picture of latency over the offered rate, whose bend is where a service is full."""

from __future__ import annotations

from typing import Any

from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.report.drawing import lines_with_points, number_axis
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
    return lines_with_points(
        values,
        names,
        number_axis("rate", "offered requests per second", scale=_SCALE),
        number_axis("ms", "99th percentile of the latency, ms", scale=_SCALE),
        height=240,
    )


def _searched(record: RecipeRecord) -> bool:
    return any(run.p99 is not None for launch in record.launches for run in launch.rates)
