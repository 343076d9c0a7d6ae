"""The sessions that the folder of reports holds, as `--perf-affected` asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pytest_perfgate.errors import ReportError
from pytest_perfgate.records.earlier import EarlierSuite, suites_of
from pytest_perfgate.report.session_files import read


class StoredSessions:
    """The session files of a folder, the newest first; each is read once."""

    def __init__(self, reports: Path) -> None:
        self._reports = reports
        self._known: dict[Path, tuple[EarlierSuite, ...]] = {}

    def __call__(self, text: str) -> Iterator[EarlierSuite]:
        """The suites of sessions of a commit, or of the session of that name. A file that cannot be
        read measured nothing.
        """
        for file in sorted(self._reports.glob("*.json"), reverse=True):
            if file not in self._known:
                try:
                    if text.encode() not in file.read_bytes():  # a whole record takes longer
                        continue
                    self._known[file] = tuple(suites_of(read(file)))
                except (ReportError, OSError):
                    continue
            for suite in self._known[file]:
                if text in {suite.commit, suite.session}:
                    yield suite
