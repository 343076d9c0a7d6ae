"""What the nights say: since the last one, steps with the commits between, drift, flaky budgets."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_perfgate.history.nights import STATUSES, Array, Night, Past, Series
from pytest_perfgate.machine.fingerprint import Environment, differences
from pytest_perfgate.metric import Better, Rule
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.stats.changepoints import FEWEST, Step, Trend, band, trend

RED = frozenset({Status.FAIL, Status.ERROR})
_CODES_RED = tuple(STATUSES.index(status) for status in RED)
_JUDGED = (*_CODES_RED, STATUSES.index(Status.PASS))


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
class Found:
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

    found: Found
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
        return (self.size > 0) == (self.found.series.better is Better.LOWER)

    @property
    def weight(self) -> float:
        """How large it is, among others: relative sizes as they are, scores tenfold."""
        return abs(self.size) * (1.0 if self.found.series.relative else 10.0)


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

    found: Found
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
    found: tuple[Found, ...]
    newest: dict[str, int]
    turned: tuple[Turned, ...]
    outside: tuple[Move, ...]
    events: tuple[Event, ...]
    drifting: tuple[Found, ...]
    flaky: tuple[Flaky, ...]
    gates: tuple[Gate, ...]
    choices: Choices

    @cached_property
    def several_suites(self) -> bool:
        """Whether a recipe has to be named with its suite."""
        return len({each.series.suite for each in self.found}) > 1


def analyse(past: Past, choices: Choices) -> Findings:
    """Everything, from the series alone."""
    newest = {night.machine: index for index, night in enumerate(past.nights)}
    searched = sum(_searched(each) for each in past.series)
    alpha = choices.alpha / max(1, searched)
    found = tuple(_look(each, alpha) for each in past.series)
    moves = [move for each in found for move in _steps(each, choices)]
    turned, outside = [], []
    for each in found:
        if each.night != newest[each.series.machine]:
            continue
        turn = _turn(each)
        if turn is not None:
            turned.append(turn)
        move = _outside(each, alpha, choices)
        if move is not None:
            outside.append(move)
    return Findings(
        past=past,
        found=found,
        newest=newest,
        turned=tuple(sorted(turned, key=lambda one: (one.now.rank, one.found.series.name))),
        outside=tuple(sorted(outside, key=_order)),
        events=_events(moves, past),
        drifting=_drifting(found, choices),
        flaky=_flaky(found, past.nights),
        gates=_gates(past.nights, choices.alpha),
        choices=choices,
    )


def _searched(series: Series) -> bool:
    """Whether its changes mean something: what was observed once has no noise to compare with."""
    return series.unit is not None and series.better is not None and series.rule is not Rule.ONCE


def _look(series: Series, alpha: float) -> Found:
    """Steps and drift since the nights are compared through the same arm."""
    others = np.flatnonzero(series.through != series.through[-1])
    measured = np.isfinite(series.compared)
    # A night that was not measured is compared through nothing: it ends no stretch.
    others = others[measured[others]]
    start = int(others[-1]) + 1 if len(others) and measured[-1] else 0
    kept = measured & (np.arange(len(measured)) >= start)
    if series.relative:
        kept &= series.compared > 0
    places = np.flatnonzero(kept)
    values = series.compared[places]
    values = np.log(values) if series.relative else values
    quiet = Trend((), None, 0.0)
    return Found(
        series, start, values, places, trend(values, alpha) if _searched(series) else quiet
    )


def _steps(found: Found, choices: Choices) -> Iterable[Move]:
    for step in found.trend.steps:
        if _large(found.series, step.size, choices):
            yield _move(found, step)


def _large(series: Series, size: float, choices: Choices) -> bool:
    return abs(size) >= (math.log1p(choices.least) if series.relative else choices.least_score)


def _move(found: Found, step: Step) -> Move:
    nights = found.series.nights[found.places]
    return Move(
        found=found,
        size=step.size,
        low=step.low,
        high=step.high,
        night=int(nights[step.at]),
        earliest=int(nights[step.earliest]),
        latest=int(nights[step.latest]),
        before=int(nights[step.earliest - 1]),
        step=True,
    )


def _turn(found: Found) -> Turned | None:
    """Whether the newest verdict is red and the one before was not, or the other way round."""
    series = found.series
    codes = np.flatnonzero(np.isin(series.status, _JUDGED))
    if found.status not in {*RED, Status.PASS} or len(codes) < 2:
        return None
    before, now = (STATUSES[int(series.status[place])] for place in codes[-2:])
    if (before in RED) == (now in RED):
        return None
    return Turned(found, before, now, int(series.nights[codes[-2]]))


def _outside(found: Found, alpha: float, choices: Choices) -> Move | None:
    """The newest night, where it lies outside the band of its level so far."""
    series = found.series
    if not _searched(series) or not len(found.places) or found.places[-1] != len(series.nights) - 1:
        return None
    first = found.trend.steps[-1].at if found.trend.steps else 0
    level, value = found.values[first:-1], float(found.values[-1])
    if len(level) < FEWEST or found.trend.drift is not None:
        return None
    # Beyond what any night of the level was, too: a band is as wide as its noise is normal.
    low, high = band(level, alpha)
    low, high = min(low, float(level.min())), max(high, float(level.max()))
    size = value - float(level.mean())
    if low <= value <= high or not _large(series, size, choices):
        return None
    reach = (high - low) / 2
    night = found.night
    before = int(series.nights[found.places[-2]])
    return Move(found, size, size - reach, size + reach, night, night, night, before, step=False)


def _events(moves: Sequence[Move], past: Past) -> tuple[Event, ...]:
    """Moves that began together, the newest first; a move joins where its nights overlap."""
    groups: list[list[Move]] = []
    for move in sorted(moves, key=lambda each: (each.latest - each.earliest, -each.weight)):
        for group in groups:
            head = group[0]
            same = head.found.series.machine == move.found.series.machine
            if same and move.earliest <= head.night <= move.latest:
                group.append(move)
                break
        else:
            groups.append([move])
    made = []
    for group in groups:
        suspects = _suspects(past.nights, group[0])
        group.sort(key=_order)
        made.append(Event(tuple(group), suspects))
    return tuple(sorted(made, key=lambda event: (-event.night, not event.worse)))


def _order(move: Move) -> tuple[bool, bool, float]:
    """The worst first, metrics with a budget before others."""
    budget = bool((move.found.series.status >= 0).any())
    return not move.worse, not budget, -move.weight


def _suspects(nights: Sequence[Night], move: Move) -> tuple[str, ...]:
    """What else than the code differs between the nights before and after a move."""
    try:
        before, after = (
            Environment.model_validate(json.loads(nights[index].environment))
            for index in (move.before, move.night)
        )
    except ValueError:
        return ()
    return differences(before, after)


def _drifting(found: Sequence[Found], choices: Choices) -> tuple[Found, ...]:
    moved = [
        each
        for each in found
        if each.trend.drift is not None and _large(each.series, each.trend.drift.total, choices)
    ]

    def order(each: Found) -> tuple[bool, float]:
        total = each.trend.drift.total if each.trend.drift else 0.0
        return (total > 0) != (each.series.better is Better.LOWER), -abs(total)

    return tuple(sorted(moved, key=order))


def _flaky(found: Sequence[Found], nights: Sequence[Night]) -> tuple[Flaky, ...]:
    made = []
    for each in found:
        series = each.series
        if series.status.max() < 0:  # no budget
            continue
        places = np.flatnonzero(np.isin(series.status, _JUDGED))
        if len(places) < FEWEST:
            continue
        red = np.isin(series.status[places], _CODES_RED)
        flips = np.flatnonzero(red[1:] != red[:-1])
        if not len(flips):
            continue
        steps = [_move(each, step) for step in each.trend.steps]
        unexplained = same = 0
        for flip in flips:
            first, second = (int(series.nights[places[at]]) for at in (flip, flip + 1))
            if not any(step.before <= second and first <= step.latest for step in steps):
                unexplained += 1
            one, other = nights[first], nights[second]
            same += (
                bool(one.commit) and one.commit == other.commit and not (one.dirty or other.dirty)
            )
        if unexplained:
            made.append(Flaky(series, len(places), len(flips), unexplained, same))
    return tuple(sorted(made, key=lambda one: -one.share))


def _gates(nights: Sequence[Night], alpha: float) -> tuple[Gate, ...]:
    """By machine and command: what `-k` leaves out takes no time, so those do not compare."""
    asked = Counter((night.machine, night.command) for night in nights if night.complete)
    made = []
    for machine, command in asked:
        mine = [
            (index, night.seconds)
            for index, night in enumerate(nights)
            if night.complete and (night.machine, night.command) == (machine, command)
        ]
        if len(mine) < 2:
            continue
        places, seconds = zip(*mine, strict=True)
        logs = np.log(np.maximum(np.array(seconds), 1e-3))
        made.append(Gate(machine, command, places, seconds, trend(logs, alpha / len(asked))))
    return tuple(sorted(made, key=lambda gate: -len(gate.places)))


def judged_now(findings: Findings) -> list[Any]:
    """How many budgets of the machines' newest sessions have each verdict, worst first."""
    found = Counter(
        each.status
        for each in findings.found
        if each.status is not None and each.night == findings.newest[each.series.machine]
    )
    return [(status, found[status]) for status in Status if found[status]]
