"""What the nights say: since the last one, steps with the commits between, drift, flaky budgets."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from pytest_perfgate.history.findings import (
    Analysis,
    Choices,
    Event,
    Findings,
    Flaky,
    Gate,
    Move,
    Turned,
)
from pytest_perfgate.history.nights import STATUSES, Night, Past, Series
from pytest_perfgate.machine.fingerprint import Environment, differences
from pytest_perfgate.metric import Better, Rule
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.stats.changepoints import FEWEST, Step, Trend, band, trend

RED = frozenset({Status.FAIL, Status.ERROR})
_CODES_RED = tuple(STATUSES.index(status) for status in RED)
_AFFECTED = "--perf-affected"
_JUDGED = (*_CODES_RED, STATUSES.index(Status.PASS))


def analyse(past: Past, choices: Choices) -> Findings:
    """Everything, from the series alone."""
    newest = {night.machine: index for index, night in enumerate(past.nights)}
    searched = sum(_searched(series) for series in past.series)
    alpha = choices.alpha / max(1, searched)
    analyses = tuple(_look(series, alpha) for series in past.series)
    moves = [move for analysis in analyses for move in _steps(analysis, choices)]
    turned, outside = [], []
    for analysis in analyses:
        if analysis.night != newest[analysis.series.machine]:
            continue
        turn = _turn(analysis)
        if turn is not None:
            turned.append(turn)
        move = _outside(analysis, alpha, choices)
        if move is not None:
            outside.append(move)
    return Findings(
        past=past,
        analyses=analyses,
        newest=newest,
        turned=tuple(sorted(turned, key=lambda one: (one.now.rank, one.analysis.series.name))),
        outside=tuple(sorted(outside, key=_order)),
        events=_events(moves, past),
        drifting=_drifting(analyses, choices),
        flaky=_flaky(analyses, past.nights),
        gates=_gates(past.nights, choices.alpha),
        choices=choices,
    )


def _searched(series: Series) -> bool:
    """Whether its changes mean something: what was observed once has no noise to compare with."""
    return series.unit is not None and series.better is not None and series.rule is not Rule.ONCE


def _look(series: Series, alpha: float) -> Analysis:
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
    return Analysis(
        series, start, values, places, trend(values, alpha) if _searched(series) else quiet
    )


def _steps(analysis: Analysis, choices: Choices) -> Iterable[Move]:
    for step in analysis.trend.steps:
        if _large(analysis.series, step.size, choices):
            yield _move(analysis, step)


def _large(series: Series, size: float, choices: Choices) -> bool:
    return abs(size) >= (math.log1p(choices.least) if series.relative else choices.least_score)


def _move(analysis: Analysis, step: Step) -> Move:
    nights = analysis.series.nights[analysis.places]
    return Move(
        analysis=analysis,
        size=step.size,
        low=step.low,
        high=step.high,
        night=int(nights[step.at]),
        earliest=int(nights[step.earliest]),
        latest=int(nights[step.latest]),
        before=int(nights[step.earliest - 1]),
        step=True,
    )


def _turn(analysis: Analysis) -> Turned | None:
    """Whether the newest verdict is red and the one before was not, or the other way round."""
    series = analysis.series
    codes = np.flatnonzero(np.isin(series.status, _JUDGED))
    if analysis.status not in {*RED, Status.PASS} or len(codes) < 2:
        return None
    before, now = (STATUSES[int(series.status[place])] for place in codes[-2:])
    if (before in RED) == (now in RED):
        return None
    return Turned(analysis, before, now, int(series.nights[codes[-2]]))


def _outside(analysis: Analysis, alpha: float, choices: Choices) -> Move | None:
    """The newest night, where it lies outside the band of its level so far."""
    series = analysis.series
    if (
        not _searched(series)
        or not len(analysis.places)
        or analysis.places[-1] != len(series.nights) - 1
    ):
        return None
    first = analysis.trend.steps[-1].at if analysis.trend.steps else 0
    level, value = analysis.values[first:-1], float(analysis.values[-1])
    if len(level) < FEWEST or analysis.trend.drift is not None:
        return None
    # Beyond what any night of the level was, too: a band is as wide as its noise is normal.
    low, high = band(level, alpha)
    low, high = min(low, float(level.min())), max(high, float(level.max()))
    size = value - float(level.mean())
    if low <= value <= high or not _large(series, size, choices):
        return None
    reach = (high - low) / 2
    night = analysis.night
    before = int(series.nights[analysis.places[-2]])
    return Move(analysis, size, size - reach, size + reach, night, night, night, before, step=False)


def _events(moves: Sequence[Move], past: Past) -> tuple[Event, ...]:
    """Moves that began together, the newest first; a move joins where its nights overlap."""
    groups: list[list[Move]] = []
    for move in sorted(moves, key=lambda move: (move.latest - move.earliest, -move.weight)):
        for group in groups:
            head = group[0]
            same = head.analysis.series.machine == move.analysis.series.machine
            if same and move.earliest <= head.night <= move.latest:
                group.append(move)
                break
        else:
            groups.append([move])
    events = []
    for group in groups:
        causes = suspects(past.nights, group[0])
        group.sort(key=_order)
        events.append(Event(tuple(group), causes))
    return tuple(sorted(events, key=lambda event: (-event.night, not event.worse)))


def _order(move: Move) -> tuple[bool, bool, float]:
    """The worst first, metrics with a budget before others."""
    budget = bool((move.analysis.series.status >= 0).any())
    return not move.worse, not budget, -move.weight


def suspects(nights: Sequence[Night], move: Move) -> tuple[str, ...]:
    """What else than the code differs between the nights before and after a move."""
    try:
        before, after = (
            Environment.model_validate(json.loads(nights[index].environment))
            for index in (move.before, move.night)
        )
    except ValueError:
        return ()
    return differences(before, after)


def _drifting(analyses: Sequence[Analysis], choices: Choices) -> tuple[Analysis, ...]:
    moved = [
        analysis
        for analysis in analyses
        if analysis.trend.drift is not None
        and _large(analysis.series, analysis.trend.drift.total, choices)
    ]

    def order(analysis: Analysis) -> tuple[bool, float]:
        total = analysis.trend.drift.total if analysis.trend.drift else 0.0
        return (total > 0) != (analysis.series.better is Better.LOWER), -abs(total)

    return tuple(sorted(moved, key=order))


def _flaky(analyses: Sequence[Analysis], nights: Sequence[Night]) -> tuple[Flaky, ...]:
    flaky = []
    for analysis in analyses:
        series = analysis.series
        if series.status.max() < 0:  # no budget
            continue
        places = np.flatnonzero(np.isin(series.status, _JUDGED))
        if len(places) < FEWEST:
            continue
        red = np.isin(series.status[places], _CODES_RED)
        flips = np.flatnonzero(red[1:] != red[:-1])
        if not len(flips):
            continue
        steps = [_move(analysis, step) for step in analysis.trend.steps]
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
            flaky.append(Flaky(series, len(places), len(flips), unexplained, same))
    return tuple(sorted(flaky, key=lambda one: -one.share))


def _gates(nights: Sequence[Night], alpha: float) -> tuple[Gate, ...]:
    """By machine and command: what `-k` leaves out takes no time, so those do not compare."""
    sessions = Counter((night.machine, night.command) for night in nights if night.complete)
    gates = []
    for machine, command in sessions:
        whole = [
            (index, night.seconds)
            for index, night in enumerate(nights)
            if night.complete
            and (night.machine, night.command) == (machine, command)
            # Its time is that of what the change can touch.
            and _AFFECTED not in command
        ]
        if len(whole) < 2:
            continue
        places, seconds = zip(*whole, strict=True)
        logs = np.log(np.maximum(np.array(seconds), 1e-3))
        gates.append(Gate(machine, command, places, seconds, trend(logs, alpha / len(sessions))))
    return tuple(sorted(gates, key=lambda gate: -len(gate.places)))


def judged_now(findings: Findings) -> list[Any]:
    """How many budgets of the machines' newest sessions have each verdict, worst first."""
    counts = Counter(
        analysis.status
        for analysis in findings.analyses
        if analysis.status is not None
        and analysis.night == findings.newest[analysis.series.machine]
    )
    return [(status, counts[status]) for status in Status if counts[status]]
