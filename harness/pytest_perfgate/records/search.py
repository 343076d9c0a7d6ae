"""How the values of a recipe were found, as frozen data: every set that was tried, and what won."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from pytest_perfgate.frozen import Frozen
from pytest_perfgate.units import Unit


class Trial(Frozen):
    """One set of values that a search tried.

    Attributes:
        number: from 1 on, in the order in which they ended.
        values: by their places in the recipe.
        seconds: of build, evaluation and measurement.
        level: of what is searched for (a time, a rate, a score), in its unit; null: not measured.
        ratio: what it is of the reference's, measured in the same launches; of a score the
            difference, on the same images; both turned so that less is better.
        score: of the task's main metric; null: not evaluated.
        levels: of all other metrics that it was measured by, by name.
        constraints: budget to how far its limit is away, above zero: it is broken.
        reason: why it cannot win, "" when it can.
        built: whether there was something to measure at all.
    """

    number: int
    values: dict[str, Any]
    seconds: float
    level: float | None = None
    ratio: float | None = None
    score: float | None = None
    levels: dict[str, float] = Field(default_factory=dict)
    constraints: dict[str, float] = Field(default_factory=dict)
    reason: str = ""
    built: bool = True

    @property
    def feasible(self) -> bool:
        """Whether it keeps the budgets, and was measured."""
        return not self.reason and self.ratio is not None


def beside(ratio: float, unit: str) -> str:
    """A trial's ratio, of a goal in this unit, beside the reference: "1.84x as fast", and of a
    score how much better it is, "+0.0120".
    """
    return f"{0.0 - ratio:+.4f}" if unit == Unit.SCORE else f"{1 / ratio:.2f}x as fast"


class Search(Frozen):
    """How the values of a recipe were found.

    Attributes:
        asked: trials, at the most.
        limit: seconds after which no trial begins, null: none.
        metric, unit: what is searched for, and its unit.
        score: the task's main metric.
        reference: the recipe that every trial was measured beside.
        trials: all that are finished, in their order.
        winner: number of the trial whose values the recipe has, null: none.
        front: numbers of those that no other beats in both, the score and what is searched for.
        fresh: how many of the trials are of this session.
        key: of the study in the cache.
    """

    asked: int
    limit: float | None = None
    seed: int = 0
    metric: str
    unit: str
    score: str
    reference: str
    trials: tuple[Trial, ...] = ()
    winner: int | None = None
    front: tuple[int, ...] = ()
    fresh: int = 0
    key: str = ""
