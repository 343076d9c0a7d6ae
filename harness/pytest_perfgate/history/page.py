"""The nightly page: what changed since last night, since when, by how much, between which commits,
and what to run next; then everything else. One self-contained HTML file without a script.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pytest_perfgate.history.analysis import RED, Event, Findings, Found, Move, Turned, judged_now
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
from pytest_perfgate.history.nights import STATUSES
from pytest_perfgate.history.recipe_list import place, recipes
from pytest_perfgate.history.tighter_limits import propose
from pytest_perfgate.report import templating
from pytest_perfgate.report.drawing import svg
from pytest_perfgate.units import count_of, show, show_percent

_CARDS = 12  # changes that get a card with a chart, the newest and worst
_EARLIER = 12  # charts of earlier steps
_LINES = 8  # members of a change that are listed one by one
_TABLE = 60  # rows of a table before it says how many more there are


def render(findings: Findings, root: Path | None) -> str:
    """The whole page. `root` is a folder of the repository that commits are looked up in, None for
    none.
    """
    nights = findings.past.nights
    recent, earlier = _split(findings)
    tightenings = propose(findings.past.held)
    drifting = _by_recipe(findings.drifting)
    listed = recipes(findings)
    return templating.page(
        "nightly.html",
        answer=answer(findings),
        counts=judged_now(findings),
        nights=nights,
        machines=[(name, nights[index]) for name, index in findings.newest.items()],
        many=len(findings.newest) > 1,
        series=len(findings.found),
        turned=[_turned(each, findings, root) for each in findings.turned[:_TABLE]],
        turned_more=max(0, len(findings.turned) - _TABLE),
        outside=[_move_row(move, findings) for move in findings.outside[:_TABLE]],
        outside_more=max(0, len(findings.outside) - _TABLE),
        recent=[_card(event, findings, root, chart=True) for event in recent[:_CARDS]],
        recent_more=[_row(event, findings) for event in recent[_CARDS:]],
        red=_red(findings),
        earlier=[_card(each, findings, root, chart=True) for each in earlier[:_EARLIER]],
        earlier_rows=[_row(event, findings) for event in earlier[_EARLIER:]],
        drifting=[_drift_row(each, findings) for each in drifting[:_TABLE]],
        drifting_more=max(0, len(drifting) - _TABLE),
        flaky=findings.flaky[:_TABLE],
        flaky_more=max(0, len(findings.flaky) - _TABLE),
        gates=[_gate(gate, findings) for gate in findings.gates[:3]],
        tightenings=tightenings[:_TABLE],
        tightenings_more=max(0, len(tightenings) - _TABLE),
        recipes=[recipe for recipe in listed if recipe.notable],
        quiet=[recipe for recipe in listed if not recipe.notable],
        choices=findings.choices,
        unread=findings.past.unread,
    )


def answer(findings: Findings) -> str:
    """What changed since last night, in one or two sentences."""
    nights = findings.past.nights
    if not nights:
        return "The history has no session yet. pytest --perf adds one."
    worse = [turn for turn in findings.turned if turn.now in RED]
    better = [turn for turn in findings.turned if turn.now not in RED]
    recent, earlier = _split(findings)
    since = f"Since {_before(findings)}"
    parts = []
    if worse:
        first = worse[0]
        parts.append(
            f"{count_of(len(worse), 'budget')} turned red "
            f"({place(first.found, findings)}{' first' if len(worse) > 1 else ''})"
        )
    outside = [move for move in findings.outside if move.worse]
    if outside:
        parts.append(
            f"{count_of(len(outside), 'metric')} left "
            f"{'its' if len(outside) == 1 else 'their'} band for the worse "
            f"({place(outside[0].found, findings)} {change(outside[0])})"
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
            f" {place(first_event.found, findings)} moved by {change(first_event)} on "
            f"{night.started:%Y-%m-%d}{more}."
        )
    elif recent:
        head += f" {count_of(len(recent), 'change')} for the better in recent nights."
    elif earlier:
        last = earlier_last(earlier)
        head += f" The last step was on {nights[last.night].started:%Y-%m-%d}."
    return head


def earlier_last(events: Sequence[Event]) -> Event:
    """The newest of some events."""
    return max(events, key=lambda event: event.night)


def _before(findings: Findings) -> str:
    """The session before the newest, in words."""
    nights = findings.past.nights
    newest = nights[-1]
    mine = [night for night in nights if night.machine == newest.machine]
    return f"the session of {mine[-2].started:%Y-%m-%d %H:%M}" if len(mine) > 1 else "nothing"


def _split(findings: Findings) -> tuple[list[Event], list[Event]]:
    """Events whose level began in a machine's newest nights, and those of before, worst first."""
    first: dict[str, int] = {}
    for machine in findings.newest:
        mine = [
            index for index, night in enumerate(findings.past.nights) if night.machine == machine
        ]
        first[machine] = mine[-findings.choices.recent :][0]
    recent = [
        event
        for event in findings.events
        if event.night >= first[event.moves[0].found.series.machine]
    ]
    recent.sort(key=lambda event: (not event.worse, -event.night))
    earlier = [event for event in findings.events if event not in recent]
    earlier.sort(key=lambda event: (not event.worse, -event.moves[0].weight))
    return recent, earlier


def _card(event: Event, findings: Findings, root: Path | None, *, chart: bool) -> dict[str, Any]:
    """A change with its evidence, its picture and the next command."""
    nights = findings.past.nights
    lead = event.moves[0]
    series = lead.found.series
    code = between(nights[lead.before], nights[lead.latest], root)
    others = [move for move in event.moves if move is not lead]
    references = {(move.found.series.suite, move.found.series.recipe) for move in event.moves}
    shared = sorted(
        {
            move.found.series.reference
            for move in event.moves
            if move.found.series.reference != move.found.series.recipe
            and (move.found.series.suite, move.found.series.reference) in references
        }
    )
    return {
        "name": place(lead.found, findings),
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
        "next": next_command(
            code, series.recipe, series.metric, budget=bool((series.status >= 0).any())
        ),
        "through": _through(lead.found),
        "chart": svg(trend_chart(lead.found, _all_moves(lead, findings), nights)) if chart else "",
        "alt": f"{series.name} night after night, with its interval and a line at each step",
    }


def _all_moves(lead: Move, findings: Findings) -> list[Move]:
    """All steps of the series that a chart is of."""
    return [move for event in findings.events for move in event.moves if move.found is lead.found]


def _through(found: Found) -> str:
    series = found.series
    if not series.beside:
        return "as measured"
    return f"compared through {series.beside}, shown at the machine's usual speed"


def _size(move: Move, value: float) -> str:
    return amount(value, relative=move.found.series.relative)


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
    series = move.found.series
    middle, _, _ = in_units(move.found)
    return {
        "name": place(move.found, findings),
        "change": change(move),
        "worse": move.worse,
        "now": show(float(middle[-1]), series.unit) if series.unit else "",
        "spark": sparkline(move.found, 60),
    }


def _turned(turn: Turned, findings: Findings, root: Path | None) -> dict[str, Any]:
    series = turn.found.series
    nights = findings.past.nights
    code = between(nights[turn.since], nights[turn.found.night], root)
    key = (series.machine, series.suite, series.recipe, series.metric)
    return {
        "name": place(turn.found, findings),
        "now": turn.now,
        "before": turn.before,
        "since": nights[turn.since].started,
        "code": code,
        "reason": findings.past.reasons.get(key, ""),
        "flaky": next((each.share for each in findings.flaky if each.series is series), None),
        "next": next_command(code, series.recipe, series.metric, budget=True),
    }


def _red(findings: Findings) -> list[dict[str, Any]]:
    """Budgets that are red in a machine's newest session, those of the longest standing last."""
    nights = findings.past.nights
    rows = []
    for each in findings.found:
        series = each.series
        if each.status not in RED or each.night != findings.newest[series.machine]:
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
                "name": place(each, findings),
                "status": each.status,
                "since": nights[int(series.nights[first])].started,
                "nights": int((judged >= first).sum()),
                "reason": findings.past.reasons.get(key, ""),
            }
        )
    rows.sort(key=lambda row: (row["nights"], row["name"]))
    return rows


def _by_recipe(drifting: Sequence[Found]) -> list[list[Found]]:
    """Metrics of one recipe together, the first of each the one that comes first."""
    grouped: dict[tuple[str, str, str], list[Found]] = {}
    for each in drifting:
        series = each.series
        grouped.setdefault((series.machine, series.suite, series.recipe), []).append(each)
    return list(grouped.values())


def _drift_row(group: Sequence[Found], findings: Findings) -> dict[str, Any]:
    found = group[0]
    drift = found.trend.drift
    series = found.series
    size, low, high = (
        (drift.slope * 30, drift.low * 30, drift.high * 30) if drift else (0.0, 0.0, 0.0)
    )
    total = drift.total if drift else 0.0
    relative = series.relative
    return {
        "name": place(found, findings),
        "others": ", ".join(each.series.metric for each in group[1:]),
        "rate": amount(size, relative=relative),
        "between": f"{amount(low, relative=relative)} … {amount(high, relative=relative)}",
        "total": amount(total, relative=relative),
        "nights": len(found.places),
        "worse": (total > 0) == (series.better is not None and series.better.value == "lower"),
        "spark": sparkline(found, 60),
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
