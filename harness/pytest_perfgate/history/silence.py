"""Silence: recipes, suites and machines without a result since last night."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np

from pytest_perfgate.history.alert_life import Standing, start_of, utc
from pytest_perfgate.history.alerts import Alert
from pytest_perfgate.history.nights import STATUSES, Night, Past
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.suite import reading
from pytest_perfgate.suite.lookup import suite_files

_NIGHT = timedelta(hours=20)
"""Sessions of a machine that began so close to its newest are of the same night."""

_DAY = timedelta(days=1)
_UNAFFECTED = STATUSES.index(Status.UNAFFECTED)
_LATE = timedelta(hours=4)  # that a night may begin later than usual
_NIGHTS = 14  # the newest, from which the usual time between nights is taken


def silences(
    past: Past,
    now: datetime,
    stored: Mapping[str, Sequence[Alert]],
    present: Mapping[str, frozenset[str]] | None,
) -> tuple[Standing, ...]:
    """What has no result since last night, machines first.

    A machine is silent when its newest session is four hours older than the usual time between its
    nights. A recipe is silent when the newest night of its machine neither measured it nor found it
    unaffected, and an earlier one did. `present` has the names of each suite's recipes as the suite
    files have them, None: not known; what was taken out of a suite file is not silent.
    """
    result = []
    for machine in dict.fromkeys(night.machine for night in past.nights):
        for silence in _of_machine(past, machine, now, present):
            known = next((one for one in stored.get(machine, ()) if _is_same(silence, one)), None)
            result.append(Standing(machine, known or silence, known, ()))
    return tuple(result)


def _is_same(alert: Alert, stored: Alert) -> bool:
    return stored.is_silence and (alert.subject, alert.since) == (stored.subject, stored.since)


def _of_machine(
    past: Past,
    machine: str,
    now: datetime,
    present: Mapping[str, frozenset[str]] | None,
) -> Iterator[Alert]:
    own = [index for index, night in enumerate(past.nights) if night.machine == machine]
    newest = past.nights[own[-1]]
    if now - utc(newest.started) > _patience([past.nights[index] for index in own]):
        yield Alert(since=start_of(newest))
        return
    last_night = utc(newest.started) - _NIGHT
    suites: dict[str, dict[str, int]] = {}
    for series in past.series:
        if series.machine != machine:
            continue
        # What a change cannot touch is no measurement, and is not silent either: its row names one.
        heard = np.isfinite(series.value) | (series.status == _UNAFFECTED)
        measured = series.nights[heard]
        recipes = suites.setdefault(series.suite, {})
        last = int(measured[-1]) if len(measured) else -1
        recipes[series.recipe] = max(recipes.get(series.recipe, -1), last)
        unaffected = series.nights[series.status == _UNAFFECTED]
        if len(unaffected) and series.reference:  # and so is what it is compared with
            beside = max(recipes.get(series.reference, -1), int(unaffected[-1]))
            recipes[series.reference] = beside
    for suite, recipes in sorted(suites.items()):
        known = {
            name: last
            for name, last in recipes.items()
            if last >= 0 and (present is None or name in present.get(suite, frozenset()))
        }
        quiet = {
            name: last
            for name, last in known.items()
            if utc(past.nights[last].started) < last_night
        }
        if quiet and len(quiet) == len(known):
            yield Alert(suite=suite, since=start_of(past.nights[max(quiet.values())]))
            continue
        for name, last in sorted(quiet.items()):
            yield Alert(suite=suite, recipe=name, since=start_of(past.nights[last]))


def _patience(nights: Sequence[Night]) -> timedelta:
    """How long a machine may be without a session."""
    starts = [utc(night.started) for night in nights]
    firsts = [starts[0]]
    firsts += [start for before, start in pairwise(starts) if start - before > _NIGHT]
    gaps = [(after - before).total_seconds() for before, after in pairwise(firsts[-_NIGHTS:])]
    return _LATE + (timedelta(seconds=median(gaps)) if gaps else _DAY)


def present_recipes(root: Path | None) -> dict[str, frozenset[str]] | None:
    """Suite to the names of its recipes in the suite files below a folder; None when there are
    none, or one cannot be read: then nothing is taken for removed.
    """
    if root is None:
        return None
    recipes: dict[str, frozenset[str]] = {}
    for file in suite_files(root):
        try:
            read = reading.read(file, root)
        except Exception:  # noqa: BLE001 - an extension's: then more counts as silent, not less
            return None
        if read.suite is None:
            return None
        names = frozenset({*read.suite.recipes, *read.problems})
        for title in read.suite.titles:
            recipes[title] = recipes.get(title, frozenset()) | names
    return recipes or None
