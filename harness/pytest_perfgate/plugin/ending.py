"""The end of a session: baselines, report, exports and history are written, then shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pytest_perfgate.baselines.update import Edit, conclude
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.files import short_path
from pytest_perfgate.history.append import Appended, appended
from pytest_perfgate.history.recall import recalled
from pytest_perfgate.measure.preparation import Progress
from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.report import exports, terminal
from pytest_perfgate.suite.metrics import metrics_of_session


@dataclass(frozen=True)
class Ending:
    """What was written of a session.

    Attributes:
        record: the session with its changes of baselines.
        report: the page, None where it could not be written.
        problems: what was asked for and failed; they turn the session red.
        exported, history: the other places.
        confirmed: the steps that were measured again, one line each.
    """

    record: SessionRecord
    report: Path | None
    problems: tuple[PerfgateError, ...]
    exported: exports.Exported
    history: Appended
    confirmed: tuple[str, ...] = ()


def write(record: SessionRecord, settings: Settings) -> Ending:
    """Writes a session wherever the settings name a place; what fails is kept as a problem."""
    edit = Edit(
        baselines=settings.baselines,
        root=settings.root,
        update=settings.update,
        reason=settings.reason,
        seconds=settings.seconds,
    )
    record, problems = conclude(record, edit, datetime.now(UTC))
    metrics = metrics_of_session(record)
    record = recalled(record, metrics, settings)
    from pytest_perfgate.report import publish

    report = None
    try:
        report = publish.write(record, settings.reports)
    except PerfgateError as error:
        problems += (error,)
    exported = exports.write(record, metrics, settings, report)
    history = appended(record, settings)
    return Ending(record, report, problems + exported.problems, exported, history)


def with_confirmed(ending: Ending, settings: Settings, progress: Progress) -> Ending:
    """The ending with the steps of the last nights measured again, where that is asked for. What
    fails is a problem.
    """
    if not settings.confirm or settings.history is None:
        return ending
    from pytest_perfgate.history.alert_rows import alert_lines
    from pytest_perfgate.history.confirm_steps import confirm

    try:
        result = confirm(settings.history, settings, settings.root, progress)
    except PerfgateError as error:
        return replace(ending, problems=(*ending.problems, error.at("--perf-confirm")))
    except KeyboardInterrupt:
        stopped = PerfgateError(
            "interrupted while steps were measured again",
            where="--perf-confirm",
            next_step="pytest-perfgate confirm measures those that are left",
        )
        return replace(ending, problems=(*ending.problems, stopped))
    lines = alert_lines(result.standings) or ["no steps to measure again"]
    return replace(ending, confirmed=tuple(f"confirm: {line}" for line in lines))


def show(
    ending: Ending,
    write_line: Callable[..., None],
    *,
    verbosity: int,
    update: bool,
) -> None:
    """The verdicts, worst first, and where the report is."""
    terminal.write(
        ending.record,
        write_line,
        metrics=metrics_of_session(ending.record),
        verbosity=verbosity,
        update=update,
    )
    for problem in ending.problems:
        write_line(str(problem), red=True)
    if ending.report is not None:
        write_line(f"report: {short_path(ending.report, Path.cwd())}")
    for line in (*ending.exported.lines, *ending.history.lines, *ending.confirmed):
        write_line(line)
    for warning in (*ending.exported.warnings, *ending.history.warnings):
        write_line(warning, yellow=True)


def joined(own: SessionRecord | None, received: list[SessionRecord]) -> SessionRecord | None:
    """One record of what this process and its workers of pytest-xdist measured. A suite of a worker
    that crashed is left out where another one has measured it again.
    """
    records = ([own] if own else []) + received
    if not records:
        return None
    last: dict[str, SessionRecord] = {}
    for record in sorted(records, key=lambda record: record.complete):
        last.update({suite.title: record for suite in record.suites})
    suites = tuple(
        suite
        for record in records
        for suite in record.suites
        if record.complete or last[suite.title] is record
    )
    commits = list(dict.fromkeys(record.commit for record in records))
    changed = [record.changed for record in records if record.changed]
    if len(commits) > 1 and not changed:
        names = " and ".join(name[:10] or "no commit" for name in commits)
        changed = [f"its processes measured several commits ({names}): it is stored under none"]
    return records[0].model_copy(
        update={
            "suites": suites,
            "complete": all(record.complete for record in records),
            "commit": records[0].commit if len(commits) == 1 else "",
            "dirty": bool(changed) or any(record.dirty for record in records),
            "changed": "; ".join(dict.fromkeys(changed)),
        }
    )


def benchmarks(config: pytest.Config, ending: Ending) -> None:
    """Hands samples to pytest-benchmark, which saves them."""
    from pytest_perfgate.report import pytest_benchmark

    pytest_benchmark.export(config, ending.record)
