"""The nightly page: what changed since last night, since when, by how much, between which commits,
and what to run next; then everything else. One self-contained HTML file; its script only
sorts and filters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pytest_perfgate.history.alert_life import Standing
from pytest_perfgate.history.alert_rows import (
    alert_rows,
    event_words,
    silence_rows,
    silence_words,
    state_words,
)
from pytest_perfgate.history.analysis import RED, judged_now
from pytest_perfgate.history.charts import (
    amount,
    change,
    duration,
    gate_chart,
    in_units,
    sparkline,
    trend_chart,
)
from pytest_perfgate.history.commits import between, next_command
from pytest_perfgate.history.findings import Analysis, Event, Findings, Move, Turned
from pytest_perfgate.history.nights import STATUSES
from pytest_perfgate.history.recipe_list import place, recipes
from pytest_perfgate.history.tighter_limits import propose
from pytest_perfgate.history.watch import QUIET, URGENT, Watch
from pytest_perfgate.report import templating
from pytest_perfgate.report.drawing import svg
from pytest_perfgate.units import count_of, show, show_percent

_CARDS = 12  # changes that get a card with a chart, the newest and worst
_EARLIER = 12  # charts of earlier steps
_LINES = 8  # members of a change that are listed one by one
_TABLE = 60  # rows of a table before it says how many more there are


def render(findings: Findings, root: Path | None, watch: Watch) -> str:
    """The whole page. `root` is a folder of the repository that commits are looked up in, None for
    none; `watch` has what is known of the alerts.
    """
    nights = findings.past.nights
    groups, earlier = _split(findings, watch)
    recent = groups.new

    def cards(events: Sequence[Event]) -> list[dict[str, Any]]:
        return [_card(event, findings, root, watch) for event in events]

    tightenings = propose(findings.past.held)
    drifting = _by_recipe(findings.drifting)
    return templating.page(
        "nightly.html",
        script=templating.script("table.js"),
        answer=answer(findings, watch),
        silences=silence_rows(watch)[:_TABLE],
        silences_more=max(0, len(watch.silent) - _TABLE),
        confirmed=cards(groups.urgent[:_CARDS]),
        confirmed_more=[_row(event, findings) for event in groups.urgent[_CARDS:]],
        open_alerts=(alerts := alert_rows(watch.open, watch.now))[:_TABLE],
        open_alerts_more=max(0, len(alerts) - _TABLE),
        quiet_steps=cards(groups.quiet[:_CARDS]),
        quiet_steps_more=[_row(event, findings) for event in groups.quiet[_CARDS:]],
        counts=judged_now(findings),
        nights=nights,
        machines=[(name, nights[index]) for name, index in findings.newest.items()],
        many=len(findings.newest) > 1,
        series=len(findings.analyses),
        turned=[_turned(turn, findings, root) for turn in findings.turned[:_TABLE]],
        turned_more=max(0, len(findings.turned) - _TABLE),
        outside=[_move_row(move, findings) for move in findings.outside[:_TABLE]],
        outside_more=max(0, len(findings.outside) - _TABLE),
        recent=cards(recent[:_CARDS]),
        recent_more=[_row(event, findings) for event in recent[_CARDS:]],
        red=_red(findings),
        earlier=cards(earlier[:_EARLIER]),
        earlier_rows=[_row(event, findings) for event in earlier[_EARLIER:]],
        drifting=[_drift_row(group, findings) for group in drifting[:_TABLE]],
        drifting_more=max(0, len(drifting) - _TABLE),
        flaky=findings.flaky[:_TABLE],
        flaky_more=max(0, len(findings.flaky) - _TABLE),
        gates=[_gate(gate, findings) for gate in findings.gates[:3]],
        tightenings=tightenings[:_TABLE],
        tightenings_more=max(0, len(tightenings) - _TABLE),
        recipes=recipes(findings),
        choices=findings.choices,
        unread=findings.past.unread,
    )


def answer(findings: Findings, watch: Watch) -> str:
    """What changed since last night, in a few sentences; what has no result comes first."""
    nights = findings.past.nights
    if not nights:
        return "The history has no session yet. pytest --perf adds one."
    worse = [turn for turn in findings.turned if turn.now in RED]
    better = [turn for turn in findings.turned if turn.now not in RED]
    groups, earlier = _split(findings, watch)
    recent = [*groups.urgent, *groups.new]
    since = f"Since {_before(findings)}"
    parts = []
    if worse:
        first = worse[0]
        parts.append(
            f"{count_of(len(worse), 'budget')} turned red "
            f"({place(first.analysis, findings)}{' first' if len(worse) > 1 else ''})"
        )
    outside = [move for move in findings.outside if move.worse]
    if outside:
        parts.append(
            f"{count_of(len(outside), 'metric')} left "
            f"{'its' if len(outside) == 1 else 'their'} band for the worse "
            f"({place(outside[0].analysis, findings)} {change(outside[0])})"
        )
    if better:
        parts.append(f"{count_of(len(better), 'budget is', 'budgets are')} green again")
    head = f"{since}: {'; '.join(parts)}." if parts else f"{since}, no budget turned red."
    bad = [event for event in recent if event.worse]
    if bad:
        first_event = bad[0].moves[0]
        night = nights[first_event.night]
        more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
        head += (
            f" {place(first_event.analysis, findings)} moved by {change(first_event)} on "
            f"{night.started:%Y-%m-%d}{event_words(watch.of(bad[0]))}{more}."
        )
    elif recent:
        head += f" {count_of(len(recent), 'change')} for the better in recent nights."
    elif earlier:
        last = earlier_last(earlier)
        head += f" The last step was on {nights[last.night].started:%Y-%m-%d}."
    return silence_words(watch) + head


def earlier_last(events: Sequence[Event]) -> Event:
    """The newest of some events."""
    return max(events, key=lambda event: event.night)


def _before(findings: Findings) -> str:
    """The session before the newest, in words."""
    nights = findings.past.nights
    newest = nights[-1]
    own = [night for night in nights if night.machine == newest.machine]
    return f"the session of {own[-2].started:%Y-%m-%d %H:%M}" if len(own) > 1 else "nothing"


@dataclass(frozen=True)
class _Recent:
    """Events of the newest nights: confirmed or back again, not decided, and those that need no
    attention: expected, fixed, not confirmed.
    """

    urgent: tuple[Event, ...]
    new: tuple[Event, ...]
    quiet: tuple[Event, ...]


def _split(findings: Findings, watch: Watch) -> tuple[_Recent, list[Event]]:
    """Events whose level began in a machine's newest nights, and those of before, worst first."""
    first: dict[str, int] = {}
    for machine in findings.newest:
        own = [
            index for index, night in enumerate(findings.past.nights) if night.machine == machine
        ]
        first[machine] = own[-findings.choices.recent :][0]
    recent = [
        event
        for event in findings.events
        if event.night >= first[event.moves[0].analysis.series.machine]
    ]
    recent.sort(key=lambda event: (not event.worse, -event.night))
    earlier = [event for event in findings.events if event not in recent]
    earlier.sort(key=lambda event: (not event.worse, -event.moves[0].weight))
    states = [(event, watch.state(event)) for event in recent]
    groups = _Recent(
        urgent=tuple(event for event, state in states if event.worse and state in URGENT),
        new=tuple(
            event
            for event, state in states
            if state not in QUIET and not (event.worse and state in URGENT)
        ),
        quiet=tuple(event for event, state in states if state in QUIET),
    )
    return groups, earlier


def _card(event: Event, findings: Findings, root: Path | None, watch: Watch) -> dict[str, Any]:
    """A change with its evidence, its picture and the next command."""
    nights = findings.past.nights
    lead = event.moves[0]
    series = lead.analysis.series
    code = between(nights[lead.before], nights[lead.latest], root)
    others = [move for move in event.moves if move is not lead]
    standing = watch.of(event)
    references = {(move.analysis.series.suite, move.analysis.series.recipe) for move in event.moves}
    shared = sorted(
        {
            move.analysis.series.reference
            for move in event.moves
            if move.analysis.series.reference != move.analysis.series.recipe
            and (move.analysis.series.suite, move.analysis.series.reference) in references
        }
    )
    return {
        "name": place(lead.analysis, findings),
        "change": change(lead),
        "between": f"{_size(lead, lead.low)} … {_size(lead, lead.high)}",
        "worse": lead.worse,
        "since": nights[lead.night].started,
        "ago": sum(night.machine == series.machine for night in nights[lead.night :]),
        "unsure": ""
        if lead.earliest == lead.latest
        else f"between {nights[lead.earliest].started:%Y-%m-%d} and "
        f"{nights[lead.latest].started:%Y-%m-%d}",
        "code": code,
        "suspects": event.suspects,
        "shared": shared,
        "others": [_move_row(move, findings) for move in others[:_LINES]],
        "others_more": max(0, len(others) - _LINES),
        "state": _state(standing, series.metric),
        "next": next_command(
            code,
            series.recipe,
            series.metric,
            budget=bool((series.status >= 0).any()),
            state=standing.alert.state if standing else "",
        ),
        "through": _through(lead.analysis),
        "chart": svg(trend_chart(lead.analysis, _all_moves(lead, findings), nights)),
        "alt": f"{series.name} night after night, with its interval and a line at each step",
    }


def _state(standing: Standing | None, metric: str) -> str:
    """The state of a card's alert, with its metric where that is not the card's."""
    if standing is None:
        return ""
    words, own = state_words(standing), standing.alert.metric
    return words if own == metric else f"{own} {words}"


def _all_moves(lead: Move, findings: Findings) -> list[Move]:
    """All steps of the series that a chart is of."""
    return [
        move for event in findings.events for move in event.moves if move.analysis is lead.analysis
    ]


def _through(analysis: Analysis) -> str:
    series = analysis.series
    if not series.beside:
        return "as measured"
    return f"compared through {series.beside}, shown at the machine's usual speed"


def _size(move: Move, value: float) -> str:
    return amount(value, relative=move.analysis.series.relative)


def _row(event: Event, findings: Findings) -> dict[str, Any]:
    nights = findings.past.nights
    lead = event.moves[0]
    code = between(nights[lead.before], nights[lead.latest], None)
    return _move_row(lead, findings) | {
        "since": nights[lead.night].started,
        "others": len(event.moves) - 1,
        "code": code.words,
    }


def _move_row(move: Move, findings: Findings) -> dict[str, Any]:
    series = move.analysis.series
    middle, _, _ = in_units(move.analysis)
    return {
        "name": place(move.analysis, findings),
        "change": change(move),
        "worse": move.worse,
        "size": f"{move.size:.4g}",
        "now": show(float(middle[-1]), series.unit) if series.unit else "",
        "spark": sparkline(move.analysis, 60),
    }


def _turned(turn: Turned, findings: Findings, root: Path | None) -> dict[str, Any]:
    series = turn.analysis.series
    nights = findings.past.nights
    code = between(nights[turn.since], nights[turn.analysis.night], root)
    key = (series.machine, series.suite, series.recipe, series.metric)
    return {
        "name": place(turn.analysis, findings),
        "now": turn.now,
        "before": turn.before,
        "since": nights[turn.since].started,
        "code": code,
        "reason": findings.past.reasons.get(key, ""),
        "flaky": next((recipe.share for recipe in findings.flaky if recipe.series is series), None),
        "next": next_command(code, series.recipe, series.metric, budget=True),
    }


def _red(findings: Findings) -> list[dict[str, Any]]:
    """Budgets that are red in a machine's newest session, those of the longest standing last."""
    nights = findings.past.nights
    rows = []
    for analysis in findings.analyses:
        series = analysis.series
        if analysis.status not in RED or analysis.night != findings.newest[series.machine]:
            continue
        codes = [STATUSES.index(status) for status in RED]
        judged = np.flatnonzero(series.status >= 0)
        first = judged[-1]
        for at in judged[::-1]:
            if int(series.status[at]) not in codes:
                break
            first = at
        key = (series.machine, series.suite, series.recipe, series.metric)
        rows.append(
            {
                "name": place(analysis, findings),
                "status": analysis.status,
                "since": nights[int(series.nights[first])].started,
                "nights": int((judged >= first).sum()),
                "reason": findings.past.reasons.get(key, ""),
            }
        )
    rows.sort(key=lambda row: (row["nights"], row["name"]))
    return rows


def _by_recipe(drifting: Sequence[Analysis]) -> list[list[Analysis]]:
    """Metrics of one recipe together, the first of each the one that comes first."""
    grouped: dict[tuple[str, str, str], list[Analysis]] = {}
    for analysis in drifting:
        series = analysis.series
        grouped.setdefault((series.machine, series.suite, series.recipe), []).append(analysis)
    return list(grouped.values())


def _drift_row(group: Sequence[Analysis], findings: Findings) -> dict[str, Any]:
    first = group[0]
    drift = first.trend.drift
    series = first.series
    size, low, high = (
        (drift.slope * 30, drift.low * 30, drift.high * 30) if drift else (0.0, 0.0, 0.0)
    )
    total = drift.total if drift else 0.0
    relative = series.relative
    return {
        "name": place(first, findings),
        "others": ", ".join(analysis.series.metric for analysis in group[1:]),
        "rate": amount(size, relative=relative),
        "between": f"{amount(low, relative=relative)} … {amount(high, relative=relative)}",
        "total": amount(total, relative=relative),
        "nights": len(first.places),
        "worse": (total > 0) == (series.better is not None and series.better.value == "lower"),
        "spark": sparkline(first, 60),
    }


def _gate(gate: Any, findings: Findings) -> dict[str, Any]:
    nights = findings.past.nights
    last = nights[gate.places[-1]]
    drift = gate.trend.drift
    words = ""
    if drift is not None:
        words = f"it drifts by {show_percent(math.expm1(drift.slope * 30))} in 30 sessions"
    return {
        "command": gate.command,
        "machine": gate.machine,
        "count": len(gate.places),
        "last": duration(gate.seconds[-1]),
        "middle": duration(float(np.median(gate.seconds))),
        "phases": [
            f"{name} {duration(seconds)}"
            for name, seconds in sorted(last.phases.items(), key=lambda item: -item[1])
        ],
        "words": words,
        "chart": svg(gate_chart(gate, nights)),
    }
