"""The steps of the last nights, read from the history, measured again and stored as alerts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_perfgate.history.alert_life import Standing, standings
from pytest_perfgate.history.alerts import AlertStore, Result, key_of, replaced
from pytest_perfgate.history.analysis import analyse
from pytest_perfgate.history.confirmation import Confirmations, to_confirm
from pytest_perfgate.history.findings import Choices
from pytest_perfgate.history.nights import read
from pytest_perfgate.history.store import History, Unread
from pytest_perfgate.machine.cache_folders import keep_out_of_git
from pytest_perfgate.machine.fingerprint import this_machine
from pytest_perfgate.machine.locks import exclusive
from pytest_perfgate.measure.preparation import Progress
from pytest_perfgate.records.settings import Settings


@dataclass(frozen=True)
class Confirmed:
    """What measuring again came to.

    Attributes:
        standings: the steps that were measured, or could not be.
        unread: files of the history that could not be read.
    """

    standings: tuple[Standing, ...]
    unread: tuple[Unread, ...]

    @property
    def is_bad(self) -> bool:
        """Whether a step for the worse is confirmed, or one could not be measured."""
        return any(
            one.alert.state == Result.NOT_MEASURED.value
            or (one.alert.worse and one.alert.state in {Result.CONFIRMED.value, "back again"})
            for one in self.standings
        )


def confirm(
    history: Path, settings: Settings, folder: Path, show: Progress, *, again: bool = False
) -> Confirmed:
    """Measures the steps of this machine's last nights again, and stores them as alerts; those that
    are stored already get the dates at which the history says that they were fixed, or back.

    Args:
        history: the folder of the history.
        settings: their `seconds` are for each pair of commits.
        folder: where suite files are searched for.
        show: called with progress, on one line.
        again: also measure those that could not be measured before.

    Raises:
        HistoryError: the history or the alerts cannot be read, or the alerts not be written.
        DeviceBusy: another session is measuring.
    """
    store = AlertStore(settings.baselines)
    machine = this_machine().id
    stored = store.read(machine)
    choices = Choices()
    with History(history) as opened:
        past = read(opened, choices.days, choices.held_for)
    findings = analyse(past, choices)
    known = standings(findings, {machine: stored})
    alerts = replaced(
        stored,
        {
            key_of(one.alert): one.alert
            for one in known
            if one.stored is not None and one.machine == machine
        },
    )

    def keep(done: Sequence[Standing]) -> None:
        nonlocal alerts
        alerts = replaced(alerts, {key_of(one.alert): one.alert for one in done})
        store.write(machine, alerts)

    if alerts != list(stored):
        store.write(machine, alerts)
    steps = to_confirm(known, findings, machine, again=again)
    if not steps:
        return Confirmed((), past.unread)
    keep_out_of_git(settings.cache)
    work = Confirmations(settings, folder, past.nights, show)
    with exclusive(settings.share, settings.wait, show):
        return Confirmed(tuple(work.run(steps, keep)), past.unread)
