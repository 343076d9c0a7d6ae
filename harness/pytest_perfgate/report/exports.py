"""Where else a session goes: files of other formats, a webhook, MLflow, a CI job's own places."""

from __future__ import annotations

import os
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
    picture = ""
    if settings.picture is not None:
        try:
            _picture(settings.picture, page)
            lines.append(f"picture: {short_path(settings.picture, settings.root)}")
            picture = settings.picture_url or _from_markdown(settings)
        except PerfgateError as error:
            problems.append(error)
    if settings.markdown is not None:
        try:
            text = markdown.render(session, metrics, report=report, picture=picture)
            _markdown(settings.markdown, text)
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
    if settings.webhook:
        from pytest_perfgate.report import webhook

        try:
            sent = webhook.send(settings.webhook, session, report)
            lines.append(f"webhook: {webhook.host(settings.webhook)} took {sent}")
        except PerfgateError as error:
            warnings.append(str(error))
    return Exported(tuple(lines), tuple(problems), tuple(warnings))


def _markdown(file: Path, text: str) -> None:
    remedy = "make its folder writable, or name another: --perf-markdown=FILE"
    with writing(file, "the Markdown file", ReportError, next_step=remedy):
        file.parent.mkdir(parents=True, exist_ok=True)
        put(file, text)


def _picture(file: Path, page: Path | None) -> None:
    from pytest_perfgate.report import publish

    if page is None:
        raise ReportError(
            "it is drawn from the session's file, which was not written", where=str(file)
        )
    publish.draw_picture(page.with_suffix(".json"), file)


def _from_markdown(settings: Settings) -> str:
    """The picture's path as the Markdown names it."""
    assert settings.picture is not None  # noqa: S101 - it was drawn
    folder = settings.markdown.parent if settings.markdown else settings.root
    return os.path.relpath(settings.picture, folder).replace(os.sep, "/")
