"""`pytest-perfgate history` and `pytest-perfgate report --history`: the store of all sessions."""

from __future__ import annotations

import argparse
import contextlib
import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_perfgate.cli.options import in_project
from pytest_perfgate.errors import HistoryError, PerfgateError, ReportError
from pytest_perfgate.files import put, writing
from pytest_perfgate.history.shared import HistoryPlace, place_of
from pytest_perfgate.plain_text import printable

FOLDER = "reports/history"
_CACHE = ".perfgate"  # it has the copy of a history in a store
_ROWS = 200
"""Of a table in a terminal; --csv writes all."""

_SQL = """\
Answers one SELECT over the view `history`: a row per session, recipe and metric, each session
once. `DESCRIBE history` lists the columns.

exit code: 0 answered
           1 there is no history, or a file of it could not be read
           2 the query is wrong"""


def add_command(commands: Any) -> None:
    """Adds the command and its actions to the subparsers of `pytest-perfgate`."""
    history = commands.add_parser("history", help="fill, list and compact the history of sessions")
    actions = history.add_subparsers(title="actions", metavar="ACTION", required=True)
    imported = actions.add_parser("import", help="add sessions from their JSON files")
    imported.add_argument("files", nargs="+", type=Path, help="JSON files of reports/")
    imported.set_defaults(run=_import)
    listed = actions.add_parser("list", help="list every stored session, one line each")
    listed.set_defaults(run=_list)
    compact = actions.add_parser("compact", help="put each past month into one file")
    compact.set_defaults(run=_compact)
    sql = actions.add_parser(
        "sql",
        help="answer a query in DuckDB's SQL over the view `history`",
        description=_SQL,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sql.add_argument("query", help="such as: SELECT recipe, count(*) FROM history GROUP BY recipe")
    sql.add_argument("--csv", action="store_true", help="write comma-separated values, all rows")
    sql.set_defaults(run=_sql)
    for action in (imported, listed, compact, sql):
        folder_option(action, "--history")


def folder_option(parser: argparse.ArgumentParser, name: str) -> None:
    """The option that names the store: its value is a `HistoryPlace`."""
    parser.add_argument(
        name,
        type=place,
        default=str(in_project(FOLDER)),
        metavar="PLACE",
        help=f"the history: a folder, s3://…, or postgresql://… (default: {FOLDER})",
    )


def place(text: str) -> HistoryPlace:
    """The type of the option.

    Raises:
        argparse.ArgumentTypeError: it is the URL of something else.
    """
    try:
        return place_of(text, Path(), in_project(_CACHE))
    except PerfgateError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def opened(place: HistoryPlace) -> Path:
    """The folder of a history, up to date.

    Raises:
        HistoryError: there is none, or its store cannot be read.
    """
    with _progress() as progress:
        place.exchange(progress)
    if not place.folder.is_dir():
        raise HistoryError(
            "there is no history here",
            where=place.name,
            next_step="pytest --perf adds its session; "
            "pytest-perfgate history import reports/*.json adds earlier ones",
        )
    return place.folder


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    from pytest_perfgate.report.progress import ProgressLine

    line = ProgressLine()
    try:
        yield line
    finally:
        line.end()


def report(place: HistoryPlace, output: Path | None, baselines: Path) -> int:
    """Writes the nightly page; 0 when it is written. `baselines` has the alerts.

    Raises:
        PerfgateError: there is no store, an alert cannot be read, or the page cannot be written.
    """
    from pytest_perfgate.history.alerts import AlertStore
    from pytest_perfgate.history.page import render
    from pytest_perfgate.history.watch import look

    folder = opened(place)
    findings, watch = look(folder, AlertStore(baselines).read_all(), Path.cwd())
    say_unread(findings.past.unread)
    page = output or (in_project(FOLDER) if place.url else folder).parent / "nightly.html"
    text = render(findings, Path.cwd(), watch)
    remedy = "name a file in a folder that exists: -o FILE"
    with writing(page, "the page", ReportError, next_step=remedy):
        if not output:
            page.parent.mkdir(exist_ok=True)  # a machine that has measured nothing has none
        put(page, text)
    print(f"report: {page}")
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from pytest_perfgate.history.store import History
    from pytest_perfgate.report.session_files import read
    from pytest_perfgate.suite.metrics import metrics_of_session

    added = known = problems = 0
    place = arguments.history
    place.exchange()
    with History(place.folder) as store:
        for file in arguments.files:
            try:
                session = read(file)
                metrics = metrics_of_session(session)
            except PerfgateError as error:
                problems += 1
                print(error if error.where else error.at(str(file)), file=sys.stderr)
                continue
            if store.append(session, metrics) is None:
                known += 1
            else:
                added += 1
    place.exchange()
    print(f"{added} added to {place.name}, {known} there already, {problems} not read")
    return 1 if problems else 0


def _list(arguments: argparse.Namespace) -> int:
    from pytest_perfgate.history.store import History

    with History(opened(arguments.history)) as store:
        store.view("history")
        rows = store.query(
            """
            SELECT session, machine, any_value(started) AS started, any_value(seconds),
                any_value(commit), any_value(dirty), count(metric)
            FROM history GROUP BY session, machine ORDER BY started, machine, session
            """
        ).fetchall()
    say_unread(store.unread)
    for session, machine, started, seconds, commit, dirty, count in rows:
        mark = f"{(commit or '-')[:10]}{'+' if dirty else ''}"
        print(
            f"{session:<20} {started:%Y-%m-%d %H:%M}  {mark:<11} {seconds:6.0f} s "
            f"{count:6} values  {machine}"
        )
    if not rows:
        print(f"no sessions in {arguments.history.name}; pytest --perf adds one")
    return 1 if store.unread else 0


def _compact(arguments: argparse.Namespace) -> int:
    from pytest_perfgate.history.store import History

    with History(opened(arguments.history)) as store:
        before = store.files()
        done = store.compact(datetime.now(UTC))
    arguments.history.exchange(gone=[file for file in before if not file.exists()])
    say_unread(store.unread)
    for month in done:
        print(f"{month.month}: {month.sessions} sessions of {month.files} files in one")
    if not done:
        print("nothing to do: every month that is over is one file")
    return 1 if store.unread else 0


def _sql(arguments: argparse.Namespace) -> int:
    import duckdb

    from pytest_perfgate.history.store import History

    with History(opened(arguments.history)) as store:
        store.view("history")
        try:
            names, rows = store.answer(arguments.query)
        except duckdb.Error as error:
            print(printable(f"the query is wrong: {error}"), file=sys.stderr)
            print("next: pytest-perfgate history sql 'DESCRIBE history'", file=sys.stderr)
            return 2
    say_unread(store.unread)
    if arguments.csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows([names, *rows])
        return 1 if store.unread else 0
    cells = [[printable(_cell(value)).replace("\n", " ") for value in row] for row in rows[:_ROWS]]
    _print_table([names, *cells])
    if len(rows) > _ROWS:
        print(f"… {len(rows) - _ROWS:,} more rows: --csv writes all")
    return 1 if store.unread else 0


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def say_unread(unread: Any) -> None:
    """Names files of a history that could not be read."""
    for file in unread:
        print(f"{file.file}: {file.problem}", file=sys.stderr)
