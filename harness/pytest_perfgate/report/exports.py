"""Where else a session goes: Markdown, CTRF, OpenMetrics, MLflow, a CI job's own places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_perfgate.errors import PerfgateError, ReportError
from pytest_perfgate.files import put, short_path, writing
from pytest_perfgate.metric import Metric
from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.records.settings import Settings


@dataclass(frozen=True)
class Exported:
    """What came of it.

    Attributes:
        lines: what was written where, for the terminal.
        problems: what was asked for and could not be written; they turn the session red.
        warnings: what a place beyond this machine's files did not take; they do not.
    """

    lines: tuple[str, ...] = ()
    problems: tuple[PerfgateError, ...] = ()
    warnings: tuple[str, ...] = ()


def write(
    session: SessionRecord, metrics: Mapping[str, Metric], settings: Settings, page: Path | None
) -> Exported:
    """Writes what `settings` ask for; `page` is that of the session, None when there is none."""
    from pytest_perfgate.report import annotations, ctrf, markdown, openmetrics

    report = short_path(page, settings.root) if page else ""
    lines: list[str] = []
    problems: list[PerfgateError] = []
    warnings: list[str] = []
    if settings.markdown is not None:
        try:
            _markdown(settings.markdown, markdown.render(session, metrics, report=report))
            lines.append(f"markdown: {short_path(settings.markdown, settings.root)}")
        except PerfgateError as error:
            problems.append(error)
    if settings.openmetrics is not None:
        try:
            openmetrics.write(settings.openmetrics, session, metrics)
            lines.append(f"openmetrics: {short_path(settings.openmetrics, settings.root)}")
        except PerfgateError as error:
            problems.append(error)
    if settings.ctrf is not None:
        try:
            ctrf.write(settings.ctrf, session, report)
            lines.append(f"ctrf: {short_path(settings.ctrf, settings.root)}")
        except PerfgateError as error:
            problems.append(error)
    if settings.annotations:
        lines += annotations.lines(session, report)
    if settings.step_summary is not None:
        try:
            markdown.append_summary(settings.step_summary, session, metrics, report=report)
        except PerfgateError as error:
            warnings.append(str(error))
    if settings.mlflow:
        from pytest_perfgate.report import mlflow_run

        try:
            lines.append(f"mlflow: run {mlflow_run.log(session, settings.mlflow, page)}")
        except PerfgateError as error:
            warnings.append(str(error))
    return Exported(tuple(lines), tuple(problems), tuple(warnings))


def _markdown(file: Path, text: str) -> None:
    remedy = "make its folder writable, or name another: --perf-markdown=FILE"
    with writing(file, "the Markdown file", ReportError, next_step=remedy):
        file.parent.mkdir(parents=True, exist_ok=True)
        put(file, text)
