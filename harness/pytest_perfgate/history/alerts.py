"""Alerts as they are stored: `<baselines>/alerts/<machine>.json`, reviewed in git like baselines.

An alert is a step of one metric on one machine, or the silence of a recipe, a suite or a machine.
`pytest-perfgate confirm` writes what it measured, `pytest-perfgate alerts expect` what a person
decided. Everything else about an alert follows from the history. A file that cannot be read is
left as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from pydantic import Field, ValidationError, field_validator, model_validator

from pytest_perfgate.errors import HistoryError
from pytest_perfgate.files import put, writing
from pytest_perfgate.frozen import Frozen
from pytest_perfgate.records.migrations import carried_up

VERSION = 1
FOLDER = "alerts"
"""Below the folder of the baselines."""


class Result(StrEnum):
    """What measuring both commits of a step again came to."""

    CONFIRMED = "confirmed"
    NOT_CONFIRMED = "not confirmed"
    NOT_MEASURED = "could not be measured"


def _date(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("the time has no time zone")
    return text


class Confirmation(Frozen):
    """Both commits of a step, measured in the same launches.

    Attributes:
        date: ISO 8601, UTC.
        before, after: the commits.
        change, low, high: after over before less 1 (scores: less) with its 95 % interval; None:
            not measured.
        reason: in words.
    """

    result: Result
    date: str
    before: str = ""
    after: str = ""
    change: float | None = None
    low: float | None = None
    high: float | None = None
    launches: int = Field(default=0, ge=0)
    reason: str = ""

    _is_date = field_validator("date")(_date)


class Expected(Frozen):
    """A person's decision that an alert needs no more attention."""

    date: str
    by: str = Field(min_length=1)
    reason: str = Field(min_length=1)

    _is_date = field_validator("date")(_date)


class Alert(Frozen):
    """One alert. A silence has no metric; that of a suite has no recipe, that of a machine no
    suite.

    Attributes:
        since: start of the first session of the new level; of a silence, of the last result.
        after, until: starts of the sessions between which the step lies.
        size: the step, relative (scores: the difference); 0 of a silence.
        relative: whether the size is a ratio less 1.
        worse: whether it is for the worse.
        before_commit, after_commit: of the sessions around the step.
        fixed, again: starts of the sessions since which the step was gone, and was back.
    """

    suite: str = ""
    recipe: str = ""
    metric: str = ""
    since: str
    after: str = ""
    until: str = ""
    size: float = 0.0
    relative: bool = True
    worse: bool = True
    before_commit: str = ""
    after_commit: str = ""
    confirmation: Confirmation | None = None
    expected: Expected | None = None
    fixed: tuple[str, ...] = ()
    again: tuple[str, ...] = ()

    _is_date = field_validator("since")(_date)

    @field_validator("after", "until")
    @classmethod
    def _is_date_or_none(cls, text: str) -> str:
        return _date(text) if text else text

    @field_validator("fixed", "again")
    @classmethod
    def _are_dates(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_date(text) for text in texts)

    @model_validator(mode="after")
    def _whole(self) -> Alert:
        if self.metric and not (self.suite and self.recipe and self.after and self.until):
            raise ValueError("a step has a suite, a recipe, `after` and `until`")
        if self.recipe and not self.suite:
            raise ValueError("a recipe has a suite")
        if len(self.again) > len(self.fixed):
            raise ValueError("what is back again was fixed before")
        return self

    @property
    def is_silence(self) -> bool:
        """Whether results are missing, not worse."""
        return not self.metric

    @property
    def subject(self) -> tuple[str, str, str]:
        """Suite, recipe and metric."""
        return self.suite, self.recipe, self.metric

    @property
    def is_fixed(self) -> bool:
        """Whether the step is gone."""
        return len(self.fixed) > len(self.again)

    @property
    def state(self) -> str:
        """The stage of its life, in one or a few words."""
        if self.is_fixed:
            return "fixed"
        if self.expected is not None:
            return "expected"
        if self.again:
            return "back again"
        if self.is_silence:
            return "silent"
        return self.confirmation.result.value if self.confirmation else "new"

    @property
    def is_open(self) -> bool:
        """Whether it still needs attention."""
        refuted = self.confirmation and self.confirmation.result is Result.NOT_CONFIRMED
        return not (self.expected or self.is_fixed or (refuted and not self.again))


class _File(Frozen):
    version: int
    machine: str
    alerts: tuple[Alert, ...]


class AlertStore:
    """The alerts below a folder of baselines."""

    def __init__(self, baselines: Path) -> None:
        self.folder = baselines / FOLDER

    def path(self, machine: str) -> Path:
        """The file of a machine.

        Raises:
            HistoryError: the name would leave the folder.
        """
        if not machine or machine.startswith(".") or any(mark in machine for mark in "/\\\0"):
            raise HistoryError(f"{machine!r} cannot be the name of a file")
        return self.folder / f"{machine}.json"

    def machines(self) -> list[str]:
        """Those that have a file."""
        return sorted(file.stem for file in self.folder.glob("*.json"))

    def read(self, machine: str) -> tuple[Alert, ...]:
        """The alerts of a machine.

        Raises:
            HistoryError: the file is not readable, truncated, of a newer version, or nonsense.
        """
        file = self.path(machine)
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise _unusable(file, f"it cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise _unusable(file, f"it is not JSON, perhaps cut short: {error}") from error
        if not isinstance(data, dict) or not isinstance(data.get("version"), int):
            raise _unusable(file, "it has no version")
        data = carried_up(data, VERSION, {}, HistoryError, what="the file of alerts", where=file)
        try:
            content = _File.model_validate(data)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            value = f" (it is {first['input']!r:.80})" if first["type"] != "value_error" else ""
            raise _unusable(file, f"{place}: {first['msg']}{value}") from error
        if content.machine != machine:
            raise _unusable(file, f"it is of the machine {content.machine!r}")
        return content.alerts

    def read_all(self) -> dict[str, tuple[Alert, ...]]:
        """Machine to its alerts.

        Raises:
            HistoryError: as `read`.
        """
        return {machine: self.read(machine) for machine in self.machines()}

    def write(self, machine: str, alerts: Iterable[Alert]) -> Path:
        """Stores all alerts of a machine, whole or not at all, in a stable order.

        Raises:
            HistoryError: they cannot be written.
        """
        file = self.path(machine)
        ordered = sorted(alerts, key=lambda alert: (*alert.subject, alert.since))
        content = _File(version=VERSION, machine=machine, alerts=tuple(ordered))
        text = json.dumps(content.model_dump(mode="json", exclude_defaults=True), indent=2)
        remedy = "free the disk, or make the folder writable; nothing was changed"
        with writing(file, "the file of alerts", HistoryError, next_step=remedy):
            file.parent.mkdir(parents=True, exist_ok=True)
            put(file, text + "\n")
        return file


def replaced(alerts: Sequence[Alert], changed: Mapping[tuple[str, ...], Alert]) -> list[Alert]:
    """Alerts with others in the place of those of the same key (`key_of`), and the new ones."""
    left = dict(changed)
    kept = [left.pop(key_of(alert), alert) for alert in alerts]
    return [*kept, *left.values()]


def key_of(alert: Alert) -> tuple[str, ...]:
    """What tells an alert from the others of its machine."""
    return (*alert.subject, alert.since)


def _unusable(file: Path, what: str) -> HistoryError:
    return HistoryError(
        f"the alerts cannot be used: {what}",
        where=str(file),
        next_step=f"git checkout -- {file.name} in its folder, or fix that line",
    )
