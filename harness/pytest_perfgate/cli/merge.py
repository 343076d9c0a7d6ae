"""`pytest-perfgate merge`: the sessions of a sharded run become one page and one exit code."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from pytest_perfgate.cli import options

_ABOUT = """\
Joins sessions of one commit that measured different suites, such as the jobs of a CI
matrix, into one session: one page, one summary, one exit code. All were measured on
machines of one kind. The chance of a false alarm of the whole is the sum of the parts'.

--expect names suites that must be there: a job that never ran is not green by absence.

exit code: as of pytest --perf: 0 nothing is worse; 1 a budget is broken, a file cannot be
           read, or the sessions are no parts of one run; 10 not all was measured
           2 wrong usage"""


def add_command(commands: Any) -> None:
    """Adds the command to the subparsers of `pytest-perfgate`."""
    merge = commands.add_parser(
        "merge",
        help="join the sessions of a sharded run into one verdict",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    merge.add_argument(
        "files", type=Path, nargs="+", metavar="SESSION.json", help="JSON files of sessions"
    )
    merge.add_argument(
        "--expect",
        action="append",
        default=[],
        metavar="SUITE",
        help="name of a suite that must be in one of them; may be repeated",
    )
    options.add_folder(merge, "--reports", "reports", "folder of the session to write")
    merge.set_defaults(run=_merge)


def _merge(arguments: argparse.Namespace) -> int:
    from pytest_perfgate.report import publish, terminal
    from pytest_perfgate.report.session_files import read
    from pytest_perfgate.session.merged import absent, exit_code, merge
    from pytest_perfgate.suite.metrics import metrics_of_session

    for file, count in Counter(arguments.files).items():
        if count > 1:
            print(f"{file} is named {count} times and counts once", file=sys.stderr)
    parts = {file: read(file) for file in dict.fromkeys(arguments.files)}
    session = merge(parts, "pytest-perfgate merge " + " ".join(map(str, parts)))
    problems = absent(session, arguments.expect)
    session = session.model_copy(
        update={
            "id": publish.claimed(arguments.reports, datetime.fromisoformat(session.started)),
            "absent": tuple(map(str, problems)),
        }
    )
    try:
        page = publish.write(session, arguments.reports)
    finally:
        publish.release(arguments.reports, session.id)
    terminal.write(
        session,
        lambda text, **_: print(text),
        metrics=metrics_of_session(session),
        verbosity=0,
        update=False,
    )
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"report: {page}")
    return exit_code(parts.values(), len(problems))
