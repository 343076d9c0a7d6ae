"""`pytest-perfgate report`: pages made from the JSON files that sessions left behind."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from pytest_perfgate.cli import history, options
from pytest_perfgate.errors import PerfgateError, ReportError
from pytest_perfgate.files import put, writing
from pytest_perfgate.records.session import SessionRecord

_ABOUT = """\
One file: writes the page of the session again. Two files: compares the second session
with the first, in the terminal and on a page: changed metrics with their intervals, and
other differences: commit, versions, settings, recipes. More files: compares each with
the first. An unreadable file is an error; the others are still reported.

--history: writes the nightly page of all sessions in the history.

exit code: 0 every file was read and every page written
           1 a file could not be read or written
           2 wrong usage"""


def add_command(commands: Any) -> None:
    """Adds the command to the subparsers of `pytest-perfgate`."""
    report = commands.add_parser(
        "report",
        help="write a session's page again, compare sessions, list sessions",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    report.add_argument(
        "files", type=Path, nargs="*", metavar="FILE", help="JSON files of sessions, in reports/"
    )
    report.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="PAGE",
        help="page to write (default: beside the last file)",
    )
    report.add_argument(
        "--index", action="store_true", help="write index.html, a list of the sessions in a folder"
    )
    options.add_folder(report, "--reports", "reports", "folder of the sessions")
    options.add_folder(
        report, "--baselines", "baselines", "folder of the baselines, with the alerts of --history"
    )
    report.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write one session as Markdown, too"
    )
    report.add_argument(
        "--openmetrics", type=Path, metavar="FILE", help="write one session as OpenMetrics, too"
    )
    report.add_argument(
        "--history",
        nargs="?",
        type=history.place,
        const=history.place(str(options.in_project(history.FOLDER))),
        metavar="PLACE",
        help="write the nightly page of a history: a folder, s3://…, or postgresql://… "
        f"(default: {history.FOLDER})",
    )
    report.set_defaults(run=lambda arguments: _report(arguments, report))


def _report(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    if not arguments.files and not arguments.index and arguments.history is None:
        parser.error("name the JSON file of a session, or use --index or --history")
    if arguments.history is not None:
        if arguments.files or arguments.index:
            parser.error("--history cannot be combined with files or --index")
        return history.report(arguments.history, arguments.output, arguments.baselines)
    if arguments.output and len(arguments.files) not in {1, 2}:
        parser.error("--output needs one file or two")
    if (arguments.markdown or arguments.openmetrics) and len(arguments.files) != 1:
        parser.error("--markdown and --openmetrics need one file")
    code = 0
    if arguments.files:
        code = _files(arguments.files, arguments.output)
    if code == 0 and (arguments.markdown or arguments.openmetrics):
        _exports(arguments)
    return max(code, _index(arguments.reports)) if arguments.index else code


def _files(files: list[Path], output: Path | None) -> int:
    from pytest_perfgate.report.session_files import read

    sessions: list[tuple[Path, SessionRecord]] = []
    for file in files:
        try:
            sessions.append((file, read(file)))
        except PerfgateError as error:
            print(error, file=sys.stderr)
    if len(sessions) == 1:
        _page(*sessions[0], output if len(files) == 1 else None)
    for after in sessions[1:]:
        _comparison(sessions[0], after, output if len(files) == 2 else None)
    return 0 if len(sessions) == len(files) else 1


def _page(file: Path, session: SessionRecord, output: Path | None) -> None:
    from pytest_perfgate.report.page import render
    from pytest_perfgate.suite.metrics import metrics_of_session

    _put(output or file.with_suffix(".html"), render(session, metrics_of_session(session)))


def _exports(arguments: argparse.Namespace) -> None:
    from pytest_perfgate.report import markdown, openmetrics
    from pytest_perfgate.report.session_files import read
    from pytest_perfgate.suite.metrics import metrics_of_session

    session = read(arguments.files[0])
    metrics = metrics_of_session(session)
    page = arguments.output or arguments.files[0].with_suffix(".html")
    if arguments.markdown:
        _put(arguments.markdown, markdown.render(session, metrics, report=str(page)))
    if arguments.openmetrics:
        openmetrics.write(arguments.openmetrics, session, metrics)
        print(f"openmetrics: {arguments.openmetrics}")


def _comparison(
    before: tuple[Path, SessionRecord], after: tuple[Path, SessionRecord], output: Path | None
) -> None:
    from pytest_perfgate.report import compare_sessions, comparison_page
    from pytest_perfgate.report.comparison import write

    differences = compare_sessions.sessions(before[1], after[1])
    write(differences, lambda text, **_: print(text))
    name = f"{before[0].stem}-to-{after[0].stem}.html"
    _put(output or after[0].with_name(name), comparison_page.differences(differences))


def _index(folder: Path) -> int:
    from pytest_perfgate.report import index_page

    if not folder.is_dir():
        raise ReportError(
            "this folder does not exist",
            where=str(folder),
            next_step="pytest --perf writes one, or name another: --reports DIR",
        )
    with writing(folder / index_page.NAME, "the page", ReportError):
        page, problems = index_page.write(folder)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"sessions: {page}")
    return 1 if problems else 0


def _put(page: Path, text: str) -> None:
    remedy = "name a file in a folder that exists: -o FILE"
    with writing(page, "the page", ReportError, next_step=remedy):
        put(page, text)
    print(f"report: {page}")
