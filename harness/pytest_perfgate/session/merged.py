"""Several sessions of one commit, each of other suites, as one: the parts of a sharded CI run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import PerfgateError, ReportError
from pytest_perfgate.machine.fingerprint import differences
from pytest_perfgate.records.session import READABLE_CHECKOUT, SessionRecord, SuiteRecord
from pytest_perfgate.records.verdict import Status

BROKEN, NOT_PROVEN = 1, 10
"""Exit codes, as those of `pytest --perf`."""

_STRICT = {Status.INCONCLUSIVE, Status.NO_BASELINE, Status.NO_MACHINE}
_ALLOWED = "allow_skip"
_RULES = "rules"  # of a joined session: those of each run that it was joined from


def merge(parts: Mapping[Path, SessionRecord], command: str) -> SessionRecord:
    """One session with the suites of all, in their order; its id is that of the first.

    The chance of a false alarm adds up: `alpha` of the whole is the sum of the parts'.

    Args:
        parts: the session in each file.
        command: what made it.

    Raises:
        ReportError: they are not parts of one run; names two files and what differs.
    """
    first_file, first = next(iter(parts.items()))
    seen: dict[str, Path] = {}
    for file, part in parts.items():
        _refuse_apart(first_file, first, file, part, several=len(parts) > 1)
        for suite in part.suites:
            if suite.title in seen:
                raise ReportError(
                    f"the suite {suite.title!r} is in {seen[suite.title]}, too",
                    where=str(file),
                    next_step="give each part suites of its own: pytest --perf suites/NAME",
                )
            seen[suite.title] = file
    ends = [_start(part) + timedelta(seconds=part.seconds) for part in parts.values()]
    started = min(_start(part) for part in parts.values())
    every = list(parts.values())
    return first.model_copy(
        update={
            "started": started.isoformat(timespec="seconds"),
            "seconds": round((max(ends) - started).total_seconds(), 1),
            "command": command,
            "complete": all(part.complete for part in every),
            "absent": tuple(dict.fromkeys(text for part in every for text in part.absent)),
            "notes": tuple(dict.fromkeys(text for part in every for text in part.notes)),
            "settings": {
                **{name: value for name, value in first.settings.items() if name != _ALLOWED},
                "alpha": sum(float(part.settings.get("alpha", 0)) for part in every),
                "limits": sum(int(part.settings.get("limits", 0)) for part in every),
                "seconds": max(float(part.settings.get("seconds", 0)) for part in every),
                "strict": any(part.settings.get("strict") for part in every),
                "merged": [part.id for part in every],
                _RULES: [_rules(run) for part in every for run in _runs(part)],
            },
            "suites": tuple(_noted(suite, first, part) for part in every for suite in part.suites),
        }
    )


def absent(session: SessionRecord, expected: Collection[str]) -> tuple[PerfgateError, ...]:
    """What of `expected` suites the session has not, what its parts missed, and that one was cut
    short, where it was.
    """
    suites = {suite.name for suite in session.suites}
    problems = [
        ReportError(
            f"no part has the suite {name!r}",
            valid=", ".join(sorted(suites)),
            next_step="look at the job that should have measured it",
        )
        for name in dict.fromkeys(expected)
        if name not in suites
    ]
    problems += [ReportError(text) for text in session.absent]
    if not session.complete:
        problems.append(ReportError("a part was cut short: not all of its suites were measured"))
    return tuple(problems)


def exit_code(parts: Iterable[SessionRecord], problems: int) -> int:
    """The worst exit code of `pytest --perf` with the verdicts of each part, by its own settings;
    `problems` counts absences.
    """
    codes = {_exit_code(run) for part in parts for run in _runs(part)}
    if BROKEN in codes:
        return BROKEN
    return NOT_PROVEN if NOT_PROVEN in codes or problems else 0


def _rules(part: SessionRecord) -> dict[str, Any]:
    """What decides a part's exit code besides its verdicts, and the suites that it is for."""
    return {
        "suites": [suite.title for suite in part.suites],
        "strict": bool(part.settings.get("strict")),
        _ALLOWED: list(part.settings.get(_ALLOWED, [])),
    }


def _runs(session: SessionRecord) -> list[SessionRecord]:
    """The runs of pytest that a session was joined from, with their suites and rules; what no rules
    are kept for goes by the session's own, as does all of a session that was not joined.
    """
    left = {suite.title: suite for suite in session.suites}
    runs = []
    rules = session.settings.get(_RULES)
    for one in rules if isinstance(rules, list) else []:
        if isinstance(one, dict) and isinstance(names := one.get("suites"), list):
            suites = tuple(left.pop(name) for name in names if name in left)
            runs.append(session.model_copy(update={"suites": suites, "settings": one}))
    if left or not runs:
        runs.append(session.model_copy(update={"suites": tuple(left.values())}))
    return runs


def _exit_code(part: SessionRecord) -> int:
    pairs = [(suite, verdict) for suite in part.suites for verdict in suite.verdicts]
    verdicts = [verdict for _, verdict in pairs]
    strict = bool(part.settings.get("strict"))
    statuses = {verdict.status for verdict in verdicts}
    if Status.FAIL in statuses:
        return BROKEN
    allowed = [str(pattern) for pattern in part.settings.get(_ALLOWED, [])]
    skipped = any(
        verdict.status is Status.SKIPPED and not verdict.fits(allowed, suite.target)
        for suite, verdict in pairs
    )
    open_earlier = any(
        verdict.status is Status.UNAFFECTED and not verdict.is_proven_earlier
        for verdict in verdicts
    )
    refused = skipped or open_earlier or bool(statuses & _STRICT)
    unproven = Status.ERROR in statuses or (strict and refused)
    unmeasured = not any(
        verdict.status.is_measured or verdict.is_proven_earlier for verdict in verdicts
    )
    return NOT_PROVEN if unproven or (strict and unmeasured) else 0


def _refuse_apart(
    first_file: Path, first: SessionRecord, file: Path, part: SessionRecord, *, several: bool
) -> None:
    """Check that two sessions can be parts of one run."""
    for what, ours, theirs in (
        ("commit", first.commit, part.commit),
        ("machine", first.machine.id, part.machine.id),
        ("base", str(first.settings.get("base", "")), str(part.settings.get("base", ""))),
    ):
        if ours != theirs:
            raise ReportError(
                f"its {what} is {theirs or 'not known'}, that of {first_file} "
                f"{ours or 'not known'}: they are no parts of one run",
                where=str(file),
                next_step="pytest-perfgate report A.json B.json compares two sessions",
            )
    if part.changed and several:
        raise ReportError(
            part.changed,
            where=str(file),
            next_step="measure all parts in clean checkouts that nobody else works in",
        )
    if not part.commit and several:
        raise ReportError(
            "the commit that it measured is not known: whether the other parts are of the same "
            "code cannot be told",
            where=str(file),
            next_step=f"measure all parts of {READABLE_CHECKOUT}",
        )
    if part.dirty and several:
        raise ReportError(
            "it measured files that were not committed: whether the other parts had them is not "
            "known",
            where=str(file),
            next_step="measure all parts of a clean checkout",
        )


def _noted(suite: SuiteRecord, first: SessionRecord, part: SessionRecord) -> SuiteRecord:
    """The suite, with how its environment differs from the one that the session names."""
    lines = differences(first.environment, part.environment)
    if not lines:
        return suite
    note = f"measured in another environment than the first suite: {'; '.join(lines)}"
    return suite.model_copy(update={"notes": (*suite.notes, note)})


def _start(session: SessionRecord) -> datetime:
    return datetime.fromisoformat(session.started)
