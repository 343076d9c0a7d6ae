"""The answer of a session in two sentences: how much was measured, and may this be merged?"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_perfgate.records.session import SessionRecord, SuiteRecord
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.report.text import is_doubted
from pytest_perfgate.units import count_of


def answer(session: SessionRecord) -> str:
    """How many budgets were measured, which no count of passes says, and may this be merged? Last
    what turned the session red though no verdict says so.
    """
    return f"{_of_verdicts(session)}{_absent(session)}"


def worst(session: SessionRecord) -> Status | None:
    """The worst verdict; ERROR where something has no verdict that was to be measured. None:
    nothing was judged.
    """
    verdicts = [verdict.status for suite in session.suites for verdict in suite.verdicts]
    verdicts += [Status.ERROR] * bool(session.absent)
    return min(verdicts, key=lambda status: status.rank, default=None)


def _absent(session: SessionRecord) -> str:
    if not session.absent:
        return ""
    more = f", and {len(session.absent) - 1} more" if len(session.absent) > 1 else ""
    return f" Not all was measured: {first_line(session.absent[0])}{more}."


def first_line(text: str) -> str:
    """What is wrong, without what is valid and the next step."""
    return text.partition("\n")[0].rstrip(".")


def _of_verdicts(session: SessionRecord) -> str:
    verdicts = [verdict for suite in session.suites for verdict in suite.verdicts]
    if not verdicts:
        return _merge(session)
    count = sum(verdict.status.is_measured for verdict in verdicts)
    count += sum(verdict.value is not None for verdict in _doubted(session))
    measured = measured_of(count, len(verdicts))
    return f"{measured}{_unaffected(session, verdicts)}. {_merge(session)}"


def _unaffected(session: SessionRecord, verdicts: Sequence[Verdict]) -> str:
    """How many budgets were not measured because the change cannot touch them, and where they were;
    "" for none.
    """
    earlier = [verdict.earlier for verdict in verdicts if verdict.status is Status.UNAFFECTED]
    if not earlier:
        return ""
    sessions = sorted({one.session for one in earlier if one is not None})
    where = f"session {sessions[0]}" if len(sessions) == 1 else f"{len(sessions)} sessions"
    since = session.settings.get("base", "its base")
    return f", {count_of(len(earlier), 'is', 'are')} unaffected since {since}, measured in {where}"


def _doubted(session: SessionRecord) -> list[Verdict]:
    """Those on budgets whose reference does not work: values that were measured mean nothing."""
    return [
        verdict
        for suite in session.suites
        for verdict in suite.verdicts
        if is_doubted(suite, verdict)
    ]


def measured_of(count: int, total: int) -> str:
    """How many of how many, as in "31 of 40 budgets were measured"."""
    return f"{count:,} of {count_of(total, 'budget was', 'budgets were')} measured"


def _merge(session: SessionRecord) -> str:
    """May this be merged? One sentence."""
    verdicts = [verdict for suite in session.suites for verdict in suite.verdicts]
    total = len(verdicts)
    broken = [
        (_place(suite, verdict), verdict)
        for suite in session.suites
        for verdict in suite.verdicts
        if verdict.status is Status.FAIL
    ]
    errors = [verdict for verdict in verdicts if verdict.status is Status.ERROR]
    unsure = sum(verdict.status is Status.INCONCLUSIVE for verdict in verdicts)
    unknown = sum(verdict.status is Status.NO_BASELINE for verdict in verdicts)
    skipped = sum(verdict.status is Status.SKIPPED for verdict in verdicts)
    placeless = sum(verdict.status is Status.NO_MACHINE for verdict in verdicts)
    unaffected = [verdict for verdict in verdicts if verdict.status is Status.UNAFFECTED]
    if not session.complete:
        whole = "The session was interrupted: these results are incomplete."
        if not broken:
            return whole
        name, first = broken[0]
        broken_count = count_of(len(broken), "budget is", "budgets are")
        return f"{whole} {broken_count} broken: {name}: {first.reason}."
    if not total:
        return "No budget was judged: none was selected."
    if broken:
        name, first = broken[0]
        lacking = "judged" if _doubted(session) else "measured"
        more = f", and {len(errors)} could not be {lacking}" if errors else ""
        return (
            f"{count_of(len(broken), 'budget is', 'budgets are')} broken of {total:,}{more}. "
            f"{name}: {first.reason}."
        )
    if _doubted(session):
        return (
            f"{count_of(len(errors), 'budget')} of {total:,} could not be judged. "
            "A reference does not work as declared, and its scores prove nothing."
        )
    if errors:
        return (
            f"{count_of(len(errors), 'budget')} of {total:,} could not be measured. "
            "A missing measurement never passes."
        )
    open_earlier = sum(not verdict.is_proven_earlier for verdict in unaffected)
    if unsure or unknown or placeless or open_earlier:
        parts = [
            text
            for count, text in (
                (unsure, f"{unsure:,} could not be decided"),
                (unknown, f"{count_of(unknown, 'has', 'have')} no baseline on this machine yet"),
                (placeless, f"{count_of(placeless, 'has', 'have')} no machine for their target"),
                (
                    open_earlier,
                    f"{count_of(open_earlier, 'was', 'were')} broken when measured, and the change "
                    "cannot touch them",
                ),
            )
            if count
        ]
        measured = total - len(unaffected) - placeless
        kept = f"None of {measured:,} budgets is" if measured > 1 else "The budget is not"
        if not measured:
            return f"No budget was judged: {' and '.join(parts)}."
        return f"{kept} broken; {' and '.join(parts)}."
    if unaffected:
        return _with_unaffected(total - skipped - len(unaffected), len(unaffected), skipped)
    if skipped == total:
        return f"No budget was judged: {count_of(total, 'budget was', 'budgets were')} skipped."
    if skipped:
        kept = count_of(total - skipped, "budget is", "budgets are")
        return f"{kept} kept; {count_of(skipped, 'was', 'were')} skipped."
    return f"All {total:,} budgets are kept." if total > 1 else "The budget is kept."


def _place(suite: SuiteRecord, verdict: Verdict) -> str:
    place = f" on {suite.target}" if suite.target else ""
    return f"{verdict.recipe} {verdict.metric}{place}"


def _with_unaffected(kept: int, unaffected: int, skipped: int) -> str:
    """Where nothing is broken or open, and some budgets were kept by an earlier session."""
    earlier = f"{count_of(unaffected, 'was', 'were')} kept when measured"
    parts = [f"{count_of(kept, 'budget is', 'budgets are')} kept", earlier] if kept else [earlier]
    parts += [f"{count_of(skipped, 'was', 'were')} skipped"] if skipped else []
    return f"{'; '.join(parts)}."
