"""What is found in the history of a project: moves with their commits, drift, flaky budgets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pytest_perfgate.history.nights import STATUSES, Array, Past, Series
from pytest_perfgate.metric import Better
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.stats.changepoints import Trend


@dataclass(frozen=True)
class Choices:
    """What is worth saying.

    Attributes:
        alpha: the chance that a page over series without any change names one.
        least: the smallest relative change that is named; of scores, the smallest difference.
        least_score: the same for scores.
        recent: nights whose steps count as new.
        days: how far back the page goes.
        held_for: nights that a limit must have been kept before a tighter one is proposed.
    """

    alpha: float = 0.05
    least: float = 0.01
    least_score: float = 0.001
    recent: int = 7
    days: int = 366
    held_for: int = 30


@dataclass(frozen=True)
class Analysis:
    """A series with what it did, on the scale that it is compared on: logs of what is a ratio."""

    series: Series
    start: int
    values: Array
    places: NDArray[np.int64]
    trend: Trend

    @property
    def night(self) -> int:
        """The newest night of the series."""
        return int(self.series.nights[-1])

    @property
    def status(self) -> Status | None:
        """Of the newest night."""
        code = int(self.series.status[-1])
        return STATUSES[code] if code >= 0 else None


@dataclass(frozen=True)
class Move:
    """A change of one series: a step of its level, or one night out of the band.

    `night`, `earliest` and `latest` are indices of nights: the first of the new level, and those
    between which it is. `before` is the last night that surely is of the old one.
    """

    analysis: Analysis
    size: float
    low: float
    high: float
    night: int
    earliest: int
    latest: int
    before: int
    step: bool

    @property
    def worse(self) -> bool:
        """Whether it is for the worse."""
        return (self.size > 0) == (self.analysis.series.better is Better.LOWER)

    @property
    def weight(self) -> float:
        """How large it is, among others: relative sizes as they are, scores tenfold."""
        return abs(self.size) * (1.0 if self.analysis.series.relative else 10.0)


@dataclass(frozen=True)
class Event:
    """Moves of one machine that began in the same nights, the worst first."""

    moves: tuple[Move, ...]
    suspects: tuple[str, ...]

    @property
    def night(self) -> int:
        """The first night of the new levels."""
        return self.moves[0].night

    @property
    def worse(self) -> bool:
        """Whether any of it is for the worse."""
        return any(move.worse for move in self.moves)


@dataclass(frozen=True)
class Flaky:
    """A budget whose verdicts flipped though nothing changed.

    `judged` nights with PASS, FAIL or ERROR; `flips` between neighbours; of those, `unexplained`
    without a step there, and `same_commit` between sessions of one clean commit.
    """

    series: Series
    judged: int
    flips: int
    unexplained: int
    same_commit: int

    @property
    def share(self) -> float:
        """Unexplained flips of all pairs of neighbouring nights."""
        return self.unexplained / (self.judged - 1)


@dataclass(frozen=True)
class Turned:
    """A budget whose newest verdict is not what it was: `since` is the night before."""

    analysis: Analysis
    before: Status
    now: Status
    since: int


@dataclass(frozen=True)
class Gate:
    """What the gate took on one machine, for one command: seconds by night."""

    machine: str
    command: str
    places: tuple[int, ...]
    seconds: tuple[float, ...]
    trend: Trend


@dataclass(frozen=True)
class Findings:
    """All that the page says, in the order of what matters."""

    past: Past
    analyses: tuple[Analysis, ...]
    newest: dict[str, int]
    turned: tuple[Turned, ...]
    outside: tuple[Move, ...]
    events: tuple[Event, ...]
    drifting: tuple[Analysis, ...]
    flaky: tuple[Flaky, ...]
    gates: tuple[Gate, ...]
    choices: Choices

    @cached_property
    def several_suites(self) -> bool:
        """Whether a recipe has to be named with its suite."""
        return len({analysis.series.suite for analysis in self.analyses}) > 1
