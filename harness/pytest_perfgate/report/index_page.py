"""The list of a folder's sessions: one page that links to them, the newest first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.files import put
from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.records.verdict import Status

NAME = "index.html"


@dataclass(frozen=True)
class Entry:
    """One session in the list; `page` and `data` are file names in the folder, "" for none."""

    when: str
    answer: str
    counts: tuple[tuple[Status, int], ...]
    commit: str
    dirty: bool
    took: str
    machine: str
    command: str
    page: str
    data: str


def write(folder: Path) -> tuple[Path, tuple[PerfgateError, ...]]:
    """Writes the list of the sessions in `folder`; returns it and what could not be read.

    Raises:
        OSError: the page cannot be written.
    """
    from pytest_perfgate.report import templating
    from pytest_perfgate.report.session_files import read_verdicts

    sessions: list[tuple[str, Entry]] = []
    problems: list[PerfgateError] = []
    for file in sorted(folder.glob("[!.]*.json")):
        try:
            session = read_verdicts(file)
        except PerfgateError as error:
            problems.append(error)
            continue
        sessions.append((session.started, entry(session, file)))
    entries = [listed for _, listed in sorted(sessions, key=lambda pair: pair[0], reverse=True)]
    title = "No session yet"
    if entries:
        title = f"The newest of {len(entries)}: {entries[0].answer}"
    if len(entries) == 1:
        title = entries[0].answer
    page = folder / NAME
    put(
        page,
        templating.page(
            "index.html",
            folder=folder.name,
            title=title,
            entries=entries,
            unread=[(Path(problem.where).name, problem.problem) for problem in problems],
        ),
    )
    return page, tuple(problems)


def entry(session: SessionRecord, file: Path) -> Entry:
    """What the list says of one session."""
    from pytest_perfgate.report.answer import answer

    counted = Counter(verdict.status for suite in session.suites for verdict in suite.verdicts)
    page = file.with_suffix(".html")
    return Entry(
        when=session.started.replace("T", " ").replace("+00:00", " UTC"),
        answer=answer(session),
        counts=tuple((status, counted[status]) for status in Status if counted[status]),
        commit=session.commit[:10],
        dirty=session.dirty,
        took=f"{session.seconds:.0f} s",
        machine=session.machine.id,
        command=session.command,
        page=page.name if page.is_file() else "",
        data=file.name,
    )
