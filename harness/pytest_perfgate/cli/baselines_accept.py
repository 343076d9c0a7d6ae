"""`pytest-perfgate baselines accept`: what sessions elsewhere measured becomes the baselines."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_perfgate.errors import BaselineError, PerfgateError
from pytest_perfgate.records.session import READABLE_CHECKOUT, SessionRecord

if TYPE_CHECKING:
    from pytest_perfgate.baselines.update import Edit

_ABOUT = """\
Writes the changes that --perf-update would have written in each of these sessions: for
machines that only CI can reach. The sessions' JSON files, of one machine or of several,
come from the folders that CI keeps (reports/). A change that noise explains is left out.
Review the edit with git diff, and commit it.

All files are read before anything is written. A session that was cut short, that measured
other code than what is committed, whose commit is not known, or that is older than a
stored baseline is refused.

exit code: 0 every change was written
           1 a session was refused, or a baseline could not be written
           2 wrong usage"""


def add_action(actions: Any) -> argparse.ArgumentParser:
    """Adds the action to those of `pytest-perfgate baselines`."""
    accept: argparse.ArgumentParser = actions.add_parser(
        "accept",
        help="write what sessions measured elsewhere, such as in CI",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    accept.add_argument(
        "files", type=Path, nargs="+", metavar="SESSION.json", help="JSON files of sessions"
    )
    accept.add_argument(
        "--reason", default="", metavar="TEXT", help="why baselines may become worse"
    )
    accept.set_defaults(run=_accept)
    return accept


def _accept(arguments: argparse.Namespace) -> int:
    from pytest_perfgate.baselines.update import Edit
    from pytest_perfgate.cli.project import root_of
    from pytest_perfgate.report.session_files import read

    sessions = [(file, read(file)) for file in arguments.files]
    for file, session in sessions:
        _refuse(session, file, arguments.baselines)
    problems = 0
    for _, session in sorted(sessions, key=lambda one: _time(one[1].started)):
        edit = Edit(
            baselines=arguments.baselines,
            root=root_of(Path.cwd()),
            update=True,
            reason=arguments.reason,
            seconds=float(session.settings.get("seconds", 0)),
        )
        problems += _write(session, edit)
    return 1 if problems else 0


def _write(session: SessionRecord, edit: Edit) -> int:
    """Writes what a session would change; how many problems there were."""
    from pytest_perfgate.baselines.changes import table
    from pytest_perfgate.baselines.update import conclude

    record, problems = conclude(session, edit, datetime.now(UTC))
    written = {
        suite.title: [change for change in suite.changes if change.written]
        for suite in record.suites
    }
    commit = f"commit {session.commit[:10]}" if session.commit else "no commit"
    print(f"session {session.id}, {commit}, {session.machine.id}")
    changed = {title: changes for title, changes in written.items() if changes} or {"": []}
    for title, changes in changed.items():
        if len(changed) > 1:  # recipes of several suites may have one name
            print(f"  suite {title}")
        print("\n".join(f"  {line}" for line in table(changes)))
    for line in _not_measured(session):
        print(f"  {line}")
    for problem in problems:
        print(_of_the_command(problem), file=sys.stderr)
    return len(problems)


def _not_measured(session: SessionRecord) -> list[str]:
    """The recipes that the session left out because its change could not touch them."""
    return [
        f"{suite.title}/{one.recipe} is unaffected: nothing of it was measured; name the file of "
        f"session {one.session}"
        for suite in session.suites
        for one in suite.unaffected
    ]


def _of_the_command(problem: PerfgateError) -> PerfgateError:
    """The problem, its next step in the words of this command."""
    step = problem.next_step.replace(
        "pytest --perf --perf-update --perf-reason 'why'",
        "pytest-perfgate baselines accept SESSION.json --reason 'why'",
    )
    return type(problem)(problem.problem, where=problem.where, valid=problem.valid, next_step=step)


def _refuse(session: SessionRecord, file: Path, folder: Path) -> None:
    """Check that a session may change what is stored.

    Raises:
        BaselineError: it may not.
    """
    from pytest_perfgate.baselines.store import Store

    if not session.complete:
        raise BaselineError(
            "the session was cut short, so it changes no baseline",
            where=str(file),
            next_step="name a session that ended",
        )
    if session.settings.get("merged"):
        raise BaselineError(
            "it is of several sessions, and knows the environment of the first alone",
            where=str(file),
            next_step="name the sessions that it was merged from",
        )
    if session.changed:
        raise BaselineError(
            session.changed,
            where=str(file),
            valid="one commit, without local changes, from the start of a session to its end",
            next_step="measure again in a clean checkout that nobody else works in",
        )
    if not session.commit:
        raise BaselineError(
            "the commit that the session measured is not known, nor whether there were changes",
            where=str(file),
            next_step=f"name a session of {READABLE_CHECKOUT}",
        )
    if session.dirty:
        raise BaselineError(
            "the session measured files that were not committed: nobody can look at them again",
            where=str(file),
            next_step="name a session of a clean checkout",
        )
    store = Store(folder)
    for one, suite in ((part, suite) for part in session.by_machine() for suite in part.suites):
        for recipe in suite.recipes:
            stored = store.read(one.machine, suite.title, recipe.name)
            if stored is None or _time(stored.recorded) <= _time(session.started):
                continue
            raise BaselineError(
                f"the stored baseline of {suite.title}/{recipe.name} is newer: it is of "
                f"{stored.recorded}, the session of {session.started}",
                where=str(file),
                next_step="name a later session; or delete the stored file first: "
                f"{store.path(one.machine.id, suite.title, recipe.name)}",
            )


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
