"""Writes the report of a session: a page, a JSON file and the list of all; whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pytest_perfgate.errors import ReportError
from pytest_perfgate.files import put, writing
from pytest_perfgate.metric import Metric
from pytest_perfgate.records.session import SessionRecord


def write(session: SessionRecord, folder: Path, metrics: Mapping[str, Metric]) -> Path:
    """Writes `<id>.json`, `<id>.html` and the list of the folder's sessions; returns the page.

    Raises:
        ReportError: the folder cannot be written to; nothing half-written is left.
    """
    from pytest_perfgate.report import index_page
    from pytest_perfgate.report.page import render

    page = folder / f"{session.id}.html"
    remedy = "free the disk or make the folder writable, or name another: --perf-reports=DIR"
    with writing(folder, "the report", ReportError, next_step=remedy):
        folder.mkdir(parents=True, exist_ok=True)
        put(folder / f"{session.id}.json", session.model_dump_json(indent=1))
        put(page, render(session, metrics))
        index_page.write(folder)
    return page
