"""One suite of one session: what a change can touch is measured, the rest is named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_perfgate.files import short_path
from pytest_perfgate.machine.fingerprint import Environment, Machine
from pytest_perfgate.measure.base_checkout import Commit
from pytest_perfgate.measure.data_keys import data_keys_now
from pytest_perfgate.measure.preparation import Progress
from pytest_perfgate.records.earlier import Lookup
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.session.affected import Affected, Selection
from pytest_perfgate.session.inputs_now import InputsNow
from pytest_perfgate.suite.metrics import metrics_of, own_metrics


@dataclass(frozen=True)
class Surroundings:
    """What all suites of a session have in common.

    Attributes:
        started: of the session, seconds since the epoch.
        find: gives what stored sessions measured.
    """

    settings: Settings
    machine: Machine
    environment: Environment
    started: float
    find: Lookup
    show: Progress

    def inputs(self, suite: Suite) -> InputsNow:
        """What the recipes of a suite rest on."""
        return InputsNow(suite, self.settings, self.machine, self.environment, self.started)

    def affected(
        self, suite: Suite, wanted: Mapping[str, list[str]], base: Commit | None
    ) -> Affected:
        """The recipes that are measured, and those that need not be: none without
        `--perf-affected`.
        """
        if not self.settings.affected or base is None:
            return Affected(dict(wanted))

        def data_now(splits: Iterable[str]) -> Mapping[str, str] | None:
            return data_keys_now(suite, splits, self.settings, self.show)

        selection = Selection(suite, self.inputs(suite), base, self.find, data_now)
        return selection.of(wanted, metrics_of(suite.task, suite.scopes), self.machine)


def unmeasured(suite: Suite, root: Path) -> SuiteRecord:
    """The record of a suite of which nothing is measured."""
    return SuiteRecord(
        name=suite.name,
        folder=short_path(suite.folder, root),
        task=suite.task,
        model=str(suite.model),
        own_metrics=own_metrics(suite.task),
        scopes=suite.scopes,
        data=dict(suite.data),
        batch=suite.batch,
    )


def with_unaffected(record: SuiteRecord, affected: Affected, inputs: InputsNow) -> SuiteRecord:
    """The record of what was measured, with what was not, and why the rest was."""
    return record.model_copy(
        update={
            "inputs": inputs.of_suite(),
            "unaffected": affected.unaffected,
            "verdicts": record.verdicts + affected.verdicts,
            "notes": (*record.notes, *affected.notes),
        }
    )
