"""The life of alerts: opened by a step, fixed, back again; matched with what is stored of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from pytest_perfgate.history.alerts import Alert, key_of
from pytest_perfgate.history.findings import Findings, Move
from pytest_perfgate.history.nights import Night

_LEVEL = 7  # nights before a step that its old level is taken from


@dataclass
class Life:
    """One level of a series that began with a step: when it was left again, and when it came back.

    Attributes:
        move: the step.
        base: the level before it, summed up from the steps so far.
        fixed, again: steps that crossed the middle between both levels, in turns.
    """

    move: Move
    base: float
    fixed: list[Move] = field(default_factory=list)
    again: list[Move] = field(default_factory=list)


@dataclass(frozen=True)
class Standing:
    """An alert as it stands: what is stored of it, with what the history says.

    Attributes:
        machine: its fingerprint's name.
        alert: with the dates of the history, whether stored or not.
        stored: the alert in the file, None: there is none.
        moves: the step and its returns; () when the history has them no longer, or for a silence.
    """

    machine: str
    alert: Alert
    stored: Alert | None
    moves: tuple[Move, ...]

    @property
    def name(self) -> str:
        """For people."""
        alert = self.alert
        words = "/".join(part for part in (alert.suite, alert.recipe) if part) or self.machine
        return f"{words} {alert.metric}".rstrip()

    def age_days(self, now: datetime) -> float:
        """Days from its start to `now`, never negative."""
        since = datetime.fromisoformat((self.alert.again or (self.alert.since,))[-1])
        return max(0.0, (now - since).total_seconds() / 86400)


def lives(moves: Iterable[Move]) -> list[Life]:
    """The lives that the steps of one series began, oldest first. A step that returns to an earlier
    level beyond the middle is the return of that life, and begins none.
    """
    result: list[Life] = []
    level = 0.0
    for move in sorted(moves, key=lambda move: move.night):
        before, level = level, level + move.size
        is_return = False
        for life in result:
            sign = math.copysign(1.0, life.move.size)
            middle = life.base + life.move.size / 2
            was, now = (before - middle) * sign > 0, (level - middle) * sign > 0
            if was and not now:
                life.fixed.append(move)
            elif now and not was:
                life.again.append(move)
                is_return = True
        if not is_return:
            result.append(Life(move, before))
    return result


def standings(findings: Findings, stored: Mapping[str, Sequence[Alert]]) -> tuple[Standing, ...]:
    """Every step of the history as an alert, and every stored alert that it has no longer; newest
    first.
    """
    nights = findings.past.nights
    series: dict[int, list[Move]] = {}
    for event in findings.events:
        for move in event.moves:
            series.setdefault(id(move.analysis), []).append(move)
    left = {machine: list(alerts) for machine, alerts in stored.items()}
    result = []
    for moves in series.values():
        machine = moves[0].analysis.series.machine
        for life in lives(moves):
            alert = _alert_of(life, nights)
            known = next(
                (other for other in left.get(machine, ()) if _is_same(alert, other)),
                None,
            )
            if known is not None:
                left[machine].remove(known)
                alert = _joined(alert, known)
            result.append(Standing(machine, alert, known, (life.move, *life.again)))
    for machine, alerts in left.items():
        for stored_one in alerts:
            if not stored_one.is_silence:
                alert = _without_step(stored_one, machine, findings)
                result.append(Standing(machine, alert, stored_one, ()))
    return tuple(sorted(result, key=lambda one: (one.alert.since, one.name), reverse=True))


def _without_step(alert: Alert, machine: str, findings: Findings) -> Alert:
    """A stored alert whose step the history has no longer: fixed, where all nights since some
    night are back beyond the middle of the step. Three nights between others are no level.
    """
    key = (machine, *alert.subject)
    for analysis in findings.analyses:
        series = analysis.series
        if key != (series.machine, series.suite, series.recipe, series.metric):
            continue
        nights = [findings.past.nights[int(series.nights[place])] for place in analysis.places]
        starts = [utc(night.started) for night in nights]
        old = [start <= datetime.fromisoformat(alert.after) for start in starts]
        if alert.is_fixed or not any(old) or all(old):
            return alert
        size = math.log1p(alert.size) if series.relative else alert.size
        middle = float(np.median(analysis.values[old][-_LEVEL:])) + size / 2
        bad = (analysis.values - middle) * size > 0
        last_bad = max((at for at, is_bad in enumerate(bad) if is_bad and not old[at]), default=-1)
        back = max(last_bad + 1, sum(old))
        if back >= len(nights):
            return alert
        return alert.model_copy(update={"fixed": (*alert.fixed, start_of(nights[back]))})
    return alert


def _alert_of(life: Life, nights: Sequence[Night]) -> Alert:
    move = life.move
    series = move.analysis.series
    before, after = nights[move.before], nights[move.latest]
    return Alert(
        suite=series.suite,
        recipe=series.recipe,
        metric=series.metric,
        since=start_of(nights[move.night]),
        after=start_of(before),
        until=start_of(after),
        size=round(math.expm1(move.size) if series.relative else move.size, 6),
        relative=series.relative,
        worse=move.worse,
        before_commit=before.commit,
        after_commit=after.commit,
        fixed=tuple(start_of(nights[step.night]) for step in life.fixed),
        again=tuple(start_of(nights[step.night]) for step in life.again),
    )


def _is_same(alert: Alert, stored: Alert) -> bool:
    """Whether two alerts are of one step, whose place may move as nights are added."""
    return (
        alert.subject == stored.subject
        and (alert.size > 0) == (stored.size > 0)
        and (datetime.fromisoformat(alert.after) < datetime.fromisoformat(stored.until))
        and (datetime.fromisoformat(stored.after) < datetime.fromisoformat(alert.until))
    )


def _joined(alert: Alert, stored: Alert) -> Alert:
    """What the history says of an alert, with what was measured and decided."""
    return alert.model_copy(
        update={
            "since": stored.since,
            "confirmation": stored.confirmation,
            "expected": stored.expected,
        }
    )


def to_store(standings: Iterable[Standing]) -> dict[tuple[str, ...], Alert]:
    """Alerts of one machine by the keys under which they are stored."""
    return {key_of(standing.alert): standing.alert for standing in standings}


def start_of(night: Night) -> str:
    """When a night's session began: ISO 8601, UTC."""
    return utc(night.started).isoformat(timespec="seconds")


def utc(when: datetime) -> datetime:
    """A time of the history, which keeps UTC without saying so."""
    return when if when.tzinfo else when.replace(tzinfo=UTC)
