"""The findings of a large project without a store: what its nightly page is made of."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from pytest_perfgate.history.findings import Analysis, Choices, Findings
from pytest_perfgate.history.nights import STATUSES, Night, Past, Series
from pytest_perfgate.metric import PERFORMANCE
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.stats.changepoints import Trend

from tests.history.nights import FIRST

METRICS = tuple(list(PERFORMANCE)[:12])


def findings(recipes: int, nights: int = 20) -> Findings:
    """So many recipes with twelve metrics; every tenth recipe has a red budget."""
    generator = np.random.default_rng(3)
    past = Past(
        nights=tuple(
            Night(
                session=str(number),
                machine="a-machine",
                started=(FIRST + timedelta(days=number)).replace(tzinfo=None),
                seconds=60.0,
                commit="0123456789",
                dirty=False,
                complete=True,
                command="pytest --perf",
                environment="{}",
            )
            for number in range(nights)
        ),
        series=tuple(
            _series(generator, recipe, metric, nights)
            for recipe in range(recipes)
            for metric in METRICS
        ),
    )
    places = np.arange(nights)
    return Findings(
        past=past,
        analyses=tuple(
            Analysis(one, 0, np.log(one.compared), places, Trend((), None, 0.01))
            for one in past.series
        ),
        newest={"a-machine": nights - 1},
        turned=(),
        outside=(),
        events=(),
        drifting=(),
        flaky=(),
        gates=(),
        choices=Choices(),
    )


def _series(generator: np.random.Generator, recipe: int, metric: str, nights: int) -> Series:
    known = PERFORMANCE[metric]
    value = 0.01 * (1 + recipe % 97) * np.exp(0.01 * generator.normal(size=nights))
    status = Status.FAIL if recipe % 10 == 0 else Status.PASS
    code = STATUSES.index(status) if metric == "latency_p50" else -1
    return Series(
        machine="a-machine",
        suite=f"suite{recipe // 50}",
        recipe=f"recipe{recipe}",
        metric=metric,
        reference="fp32",
        unit=known.unit,
        better=known.better,
        rule=known.rule,
        relative=True,
        nights=np.arange(nights),
        value=value,
        compared=value,
        low=value * 0.97,
        high=value * 1.03,
        through=np.zeros(nights, np.int64),
        status=np.full(nights, code),
        beside="fp32",
    )
