"""What the nightly page knows of alerts: each step's state, and the silences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from pytest_perfgate.history.alert_life import Standing, standings
from pytest_perfgate.history.alerts import Alert, Result
from pytest_perfgate.history.analysis import analyse
from pytest_perfgate.history.findings import Choices, Event, Findings
from pytest_perfgate.history.nights import read
from pytest_perfgate.history.silence import present_recipes, silences
from pytest_perfgate.history.store import History

_ORDER = (
    "back again",
    Result.CONFIRMED.value,
    "new",
    Result.NOT_MEASURED.value,
    "expected",
    "fixed",
    Result.NOT_CONFIRMED.value,
)
"""States of alerts, the most urgent first."""

URGENT = frozenset(_ORDER[:2])
QUIET = frozenset(_ORDER[4:])
"""States of steps that stand at the top of the page, and that do not."""


@dataclass(frozen=True)
class Watch:
    """All alerts at one moment.

    Attributes:
        standings: the steps, newest first.
        silences: what has no result since last night, machines first.
        now: when the ages are counted to.
    """

    standings: tuple[Standing, ...]
    silences: tuple[Standing, ...]
    now: datetime

    @cached_property
    def _by_move(self) -> dict[int, Standing]:
        return {id(move): one for one in self.standings for move in one.moves}

    @property
    def open(self) -> list[Standing]:
        """Steps for the worse that need attention, the most urgent first."""
        open_ones = [one for one in self.standings if one.alert.worse and one.alert.is_open]
        return sorted(open_ones, key=lambda one: _ORDER.index(one.alert.state))

    @property
    def silent(self) -> list[Standing]:
        """Silences that nobody expects."""
        return [one for one in self.silences if one.alert.is_open]

    def of(self, event: Event) -> Standing | None:
        """The most urgent alert of an event: of its steps for the worse where it has some."""
        moves = [move for move in event.moves if move.worse] or list(event.moves)
        known = [self._by_move[id(move)] for move in moves if id(move) in self._by_move]
        return min(known, key=lambda one: _ORDER.index(one.alert.state), default=None)

    def state(self, event: Event) -> str:
        """The state of an event's alert; "new" where it has none."""
        standing = self.of(event)
        return standing.alert.state if standing else "new"


def watch(
    findings: Findings,
    stored: Mapping[str, Sequence[Alert]],
    now: datetime,
    present: Mapping[str, frozenset[str]] | None,
) -> Watch:
    """The alerts of a history at a moment; `present` as of `silences`."""
    return Watch(
        standings=standings(findings, stored),
        silences=silences(findings.past, now, stored, present),
        now=now,
    )


def look(
    history: Path, stored: Mapping[str, Sequence[Alert]], root: Path
) -> tuple[Findings, Watch]:
    """What a history says, and the alerts as they stand now. `root` is the folder that suite files
    are searched for in.

    Raises:
        HistoryError: the history cannot be read.
    """
    choices = Choices()
    with History(history) as store:
        past = read(store, choices.days, choices.held_for)
    findings = analyse(past, choices)
    return findings, watch(findings, stored, datetime.now(UTC), present_recipes(root))
