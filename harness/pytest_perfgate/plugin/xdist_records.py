"""What workers of pytest-xdist measure, as it reaches their controller: after each suite."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from pytest_perfgate.errors import ReportError
from pytest_perfgate.plugin.ending import joined
from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.report import publish
from pytest_perfgate.session.session import Session

_ID = "perfgate_id"  # in the input of a worker: the name of the session's files
_SO_FAR = "perfgate_session"  # on the report of a test: what its worker has measured


def tell_name(node: Any, session: Session) -> None:
    """Gives a worker that starts the name of its controller's session."""
    node.workerinput[_ID] = session.id


def name_of(config: pytest.Config) -> str:
    """The name that the controller gave; "" in a process without one."""
    name: str = getattr(config, "workerinput", {}).get(_ID, "")
    return name


class Outbox:
    """A worker's side."""

    def __init__(self) -> None:
        self._told = 0

    def attach(self, report: pytest.TestReport, session: Session) -> None:
        """Puts the record on a test's report where a suite has been measured since the last one."""
        record = session.record() if session.measured > self._told else None
        if record is not None:
            self._told = session.measured
            vars(report)[_SO_FAR] = record.model_dump_json()


class Inbox:
    """The controller's side: the last record of every worker, of those that crashed too."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._records: dict[str, SessionRecord] = {}

    def hear(self, report: pytest.TestReport) -> None:
        """Stores what a test's report brings: it outlives the worker and this process."""
        text = vars(report).pop(_SO_FAR, None)
        if text is None:
            return
        node: Any = vars(report)["node"]
        self.take(node, text, complete=False)
        record = self.joined(None)
        if record is not None:  # a folder that cannot be written is reported at the end
            with contextlib.suppress(ReportError):
                publish.store(record, self._session.settings.reports)

    def take(self, node: Any, text: str, *, complete: bool = True) -> None:
        """A worker's record; one that is not `complete` may be its last."""
        record = SessionRecord.model_validate_json(text)
        if not complete:
            record = record.model_copy(update={"complete": False})
        self._records[node.gateway.id] = record

    def joined(self, own: SessionRecord | None) -> SessionRecord | None:
        """One record of what this process and all its workers measured, under the name that this
        process holds.
        """
        record = joined(own, list(self._records.values()))
        return record and record.model_copy(update={"id": self._session.id})
