"""Sessions without a machine: launches drawn from noise, judged by the product's own rules.

Each launch holds one time per arm. The base, the candidate, the reference and the reference's
unchanged copy are drawn as a machine would give them; after every launch the budget is judged, and
the session ends when it is decided or after `MOST` launches, as a real one does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
from pytest_perfgate.metric import PERFORMANCE
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.verdicts.evidence import Base, Evidence, Risk
from pytest_perfgate.verdicts.judge import judge

MOST, FEWEST = 30, 4
_ARMS = 3  # base, candidate, copy; the reference is the base: the same code

Floats = npt.NDArray[np.float64]
Noise = Callable[[np.random.Generator, tuple[int, int]], Floats]
"""Log times, (launches, arms), of arms that are all the same."""


def _calm(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    return 0.01 * random.normal(size=shape)


def _heavy(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    return 0.01 * random.standard_t(2, size=shape)


def _drifting(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """A machine that slows down by a third on the way, with a noise that grows tenfold."""
    level = np.cumsum(random.normal(0.01, 0.02, size=(shape[0], 1)), axis=0)
    return level + np.linspace(0.004, 0.04, shape[0])[:, None] * random.normal(size=shape)


def _two_modes(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Each arm of each launch is in one of two modes, a fifth apart."""
    return 0.2 * (random.random(shape) < 0.5) + 0.005 * random.normal(size=shape)


def _slow_mode(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """One arm in ten is half as fast for the whole launch."""
    return 0.7 * (random.random(shape) < 0.1) + 0.01 * random.normal(size=shape)


def _bursts(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """One-sided: some arms catch a burst of any length."""
    return 0.01 * random.normal(size=shape) + 0.05 * random.pareto(1.5, size=shape) * (
        random.random(shape) < 0.3
    )


NOISES: Mapping[str, Noise] = {
    "calm, 1 %": _calm,
    "heavy tails": _heavy,
    "drifting": _drifting,
    "two modes": _two_modes,
    "rare slow mode": _slow_mode,
    "bursts": _bursts,
}


@dataclass(frozen=True)
class Ended:
    """How a session ended, after how many launches."""

    status: Status
    launches: int


def session(noise: Noise, factor: float, limit: float, alpha: float, seed: int) -> Ended:
    """One session with one budget: a regression of `limit` to the base, the truth `factor`."""
    random = np.random.default_rng(seed)
    logs = noise(random, (MOST, _ARMS))
    logs[:, 1] += np.log1p(factor)
    base, now, copy = (_arm(column) for column in np.exp(logs).T * 0.01)
    budget = Budget("latency_p50", (Limit(LimitKind.REGRESSION, limit, f"{limit:.0%}"),))
    risk, clock = Risk(fail=alpha), datetime(2026, 1, 1, tzinfo=UTC)
    status = Status.INCONCLUSIVE
    for count in range(FEWEST, MOST + 1):
        late = range(count, MOST)
        evidence = Evidence(
            record=now.without(late),
            base=Base("base", base.without(late)),
            control=(base.without(late), copy.without(late)),
        )
        status = judge(budget, PERFORMANCE["latency_p50"], evidence, risk, clock).status
        if status is not Status.INCONCLUSIVE:
            return Ended(status, count)
    return Ended(status, MOST)


def _arm(times: Floats) -> RecipeRecord:
    launches = tuple(
        Launch(
            index=index,
            core=0,
            started=float(index),
            load_time=0.0,
            preprocess=(0.0,),
            inference=(float(seconds),),
            postprocess=(0.0,),
        )
        for index, seconds in enumerate(times)
    )
    return RecipeRecord(name="detector", reference="detector", launches=launches)
