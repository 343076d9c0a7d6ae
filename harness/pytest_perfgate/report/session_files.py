"""The report's files: a page and a JSON per session and a list of all; whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pytest_perfgate.errors import ReportError
from pytest_perfgate.records.migrations import Migration, carried_up
from pytest_perfgate.records.session import SESSION_VERSION, SessionRecord
from pytest_perfgate.report import session_migrations

_MIGRATIONS: dict[int, Migration] = {1: session_migrations.from_1}
"""Version to the function that makes its data into the next version's."""


def read(file: Path) -> SessionRecord:
    """A session from its JSON file, of this version or an earlier one.

    Raises:
        ReportError: not readable, truncated, foreign, or of a newer version.
    """
    return _session(_data(file), file)


def read_verdicts(file: Path) -> SessionRecord:
    """A session with its verdicts and without what was measured: a tenth of the time of `read`.

    Raises:
        ReportError: as `read`.
    """
    data = _data(file)
    if isinstance(data["suites"], list):
        light = [
            {key: suite[key] for key in _LIGHT if key in suite}
            if isinstance(suite, dict)
            else suite
            for suite in data["suites"]
        ]
        data = {**data, "suites": light}
    return _session(data, file)


_LIGHT = ("name", "folder", "task", "model", "verdicts")


def _data(file: Path) -> dict[str, Any]:
    """What the file holds, carried up to this version."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReportError(f"it cannot be read: {error.strerror}", where=str(file)) from error
    except (ValueError, RecursionError) as error:
        raise ReportError(f"it is not JSON, perhaps cut short: {error}", where=str(file)) from error
    version = data.get("version") if isinstance(data, dict) else None
    if type(version) is not int or "suites" not in data:
        raise ReportError(
            "it is not a session of pytest-perfgate",
            where=str(file),
            valid="a JSON file that pytest --perf wrote into reports/",
        )
    return carried_up(data, SESSION_VERSION, _MIGRATIONS, ReportError, what="it", where=file)


def _session(data: dict[str, Any], file: Path) -> SessionRecord:
    try:
        session = SessionRecord.model_validate_json(json.dumps(data))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ReportError(f"{place}: {first['msg']}", where=str(file)) from error
    for suite in session.suites:
        for record in suite.recipes:
            try:
                if record.accuracy:
                    record.accuracy.check()
            except ValueError as error:
                place = f"{suite.name}: {record.name}: accuracy.matches"
                raise ReportError(f"{place}: {error}", where=str(file)) from error
    return session
