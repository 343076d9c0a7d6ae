"""Alerts in words and rows, for the nightly page and the command line."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pytest_perfgate.history.alert_life import Standing
from pytest_perfgate.history.alerts import Alert, Confirmation, Result
from pytest_perfgate.history.charts import amount
from pytest_perfgate.history.watch import Watch
from pytest_perfgate.units import count_of


def size_of(alert: Alert) -> str:
    """How large a step is."""
    size = math.log1p(alert.size) if alert.relative else alert.size
    return amount(size, relative=alert.relative)


def confirmation_words(confirmation: Confirmation, *, relative: bool) -> str:
    """What measuring again came to, with the interval."""
    text = confirmation.result.value
    if confirmation.change is not None:

        def shown(value: float | None) -> str:
            if value is None or not math.isfinite(value):
                return "any"
            return amount(math.log1p(value) if relative else value, relative=relative)

        text += (
            f": {shown(confirmation.change)} ({shown(confirmation.low)} … "
            f"{shown(confirmation.high)}), {count_of(confirmation.launches, 'launch', 'launches')} "
            f"with both commits, {confirmation.date[:10]}"
        )
    return f"{text}; {confirmation.reason}" if confirmation.reason else text


def state_words(standing: Standing) -> str:
    """The state of an alert with its evidence."""
    alert = standing.alert
    parts = []
    if alert.is_fixed:
        parts.append(f"fixed since {alert.fixed[-1][:10]}")
    if alert.expected is not None:
        expected = alert.expected
        parts.append(f"expected: {expected.reason} ({expected.by}, {expected.date[:10]})")
    elif alert.again and not alert.is_fixed:
        parts.append(f"back again since {alert.again[-1][:10]}, fixed on {alert.fixed[-1][:10]}")
    if alert.confirmation is not None:
        parts.append(confirmation_words(alert.confirmation, relative=alert.relative))
    return "; ".join(parts) or "new, not measured again yet"


def alert_rows(standings: Iterable[Standing], now: datetime) -> list[dict[str, Any]]:
    """A row for each recipe and start: metrics that began together share one."""
    grouped: dict[tuple[str, ...], list[Standing]] = {}
    for standing in standings:
        alert = standing.alert
        key = (standing.machine, alert.suite, alert.recipe, alert.since, alert.state)
        grouped.setdefault(key, []).append(standing)
    rows = []
    for group in grouped.values():
        first = group[0]
        names = [one.alert.metric for one in group[1:]]
        rows.append(
            {
                "name": first.name,
                "machine": first.machine,
                "others": ", ".join(names),
                "state": first.alert.state,
                "words": state_words(first),
                "change": size_of(first.alert),
                "since": (first.alert.again or (first.alert.since,))[-1][:10],
                "age": age(first, now),
                "gone": not first.moves and not first.alert.is_silence,
            }
        )
    return rows


def age(standing: Standing, now: datetime) -> str:
    """How old an alert is, in days."""
    return count_of(round(standing.age_days(now)), "day")


def silence_rows(watch: Watch) -> list[dict[str, str]]:
    """What has no result since last night."""
    return [
        {
            "kind": _kind(one.alert),
            "name": one.name,
            "machine": one.machine,
            "last": one.alert.since[:16].replace("T", " "),
            "age": age(one, watch.now),
        }
        for one in watch.silent
    ]


def silence_words(watch: Watch) -> str:
    """The silences in one sentence, "" for none."""
    silent = watch.silent
    if not silent:
        return ""
    first = silent[0]
    more = f", and {len(silent) - 1} more" if len(silent) > 1 else ""
    return f"No result since last night: {_kind(first.alert)} {first.name}{more}. "


def _kind(alert: Alert) -> str:
    return "recipe" if alert.recipe else "suite" if alert.suite else "machine"


def event_words(standing: Standing | None) -> str:
    """What follows a step in the page's first sentence."""
    if standing is None or standing.alert.state == "new":
        return " (not measured again yet)"
    if standing.alert.state == "back again":
        return " (back again)"
    confirmation = standing.alert.confirmation
    if confirmation is not None and confirmation.result is Result.CONFIRMED:
        return " (confirmed)"
    return f" ({standing.alert.state})"


def alert_lines(standings: Iterable[Standing]) -> list[str]:
    """One line for each alert, for the terminal."""
    lines = []
    for one in standings:
        since = (one.alert.again or (one.alert.since,))[-1][:10]
        if one.alert.is_silence:
            line = f"{_kind(one.alert)} {one.name} on {one.machine}: no result since {since}"
            lines.append(line + (f"; {state_words(one)}" if one.alert.expected else ""))
        else:
            size = size_of(one.alert)
            lines.append(f"{one.name} {size} since {since} on {one.machine}: {state_words(one)}")
    return lines
