"""Which steps are measured again, and what is said of those that cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_perfgate.history.alert_life import Standing, standings
from pytest_perfgate.history.alerts import Alert, Confirmation, Expected, Result
from pytest_perfgate.history.analysis import analyse
from pytest_perfgate.history.confirmation import Confirmations, to_confirm
from pytest_perfgate.history.findings import Choices, Findings
from pytest_perfgate.history.nights import read
from pytest_perfgate.history.store import History
from pytest_perfgate.records.settings import for_command

from tests.history import nights
from tests.history.nights import Night

SLOWER = [Night()] * 10 + [Night(factor=1.1, packages="2.0")] * 4


@pytest.fixture
def findings(tmp_path: Path) -> Findings:
    """int8 is slower since four nights."""
    nights.fill(tmp_path / "history", SLOWER)
    with History(tmp_path / "history") as store:
        return analyse(read(store, 366, 30), Choices())


def chosen(findings: Findings, *stored: Alert, again: bool = False) -> list[str]:
    """The metrics that are measured again."""
    machine = findings.past.nights[-1].machine
    known = standings(findings, {machine: stored})
    return sorted(one.alert.metric for one in to_confirm(known, findings, machine, again=again))


def test_new_steps_of_this_machine_are_measured_once(findings: Findings) -> None:
    """Not those of other machines, not expected ones; those that could not be measured only when
    that is asked for.
    """
    assert chosen(findings) == ["latency_p50", "load_time"]
    machine = findings.past.nights[-1].machine
    known = standings(findings, {})
    assert to_confirm(known, findings, "another", again=True) == []
    (alert,) = (one.alert for one in known if one.alert.metric == "latency_p50")

    def after(result: Result) -> Alert:
        confirmation = Confirmation(result=result, date=alert.since)
        return alert.model_copy(update={"confirmation": confirmation})

    assert chosen(findings, after(Result.CONFIRMED), again=True) == ["load_time"]
    assert chosen(findings, after(Result.NOT_MEASURED)) == ["load_time"]
    assert chosen(findings, after(Result.NOT_MEASURED), again=True) == ["latency_p50", "load_time"]
    expected = Expected(date=alert.since, by="A. Maintainer", reason="meant to be so")
    assert chosen(findings, alert.model_copy(update={"expected": expected})) == ["load_time"]
    old = replace(findings, choices=Choices(recent=2))
    assert to_confirm(known, old, machine, again=True) == []


@pytest.mark.parametrize(
    ("night", "says"),
    [
        ({"commit": ""}, "the commits of its nights were not recorded"),
        ({"commit": f"{10:040x}"}, "both of commit 0000000000: it was not the code"),
        ({"dirty": True}, "the night of 2026-01-11 had local changes, which no commit has"),
        ({}, "there is no suite 'digits' in the working tree"),
    ],
    ids=["no commit", "one commit", "local changes", "no suite"],
)
def test_a_step_that_cannot_be_measured_says_why(
    findings: Findings, tmp_path: Path, night: dict[str, object], says: str
) -> None:
    """And is kept, with the commits that are known."""
    past = list(findings.past.nights)
    past[10] = replace(past[10], **night)  # type: ignore[arg-type] # fields by name
    machine = past[-1].machine
    steps = to_confirm(standings(findings, {}), findings, machine, again=False)
    kept: list[Standing] = []

    def keep(done: Sequence[Standing]) -> None:
        kept.extend(done)

    settings = for_command(tmp_path, "confirm")
    done = Confirmations(settings, tmp_path, past, lambda _: None).run(steps, keep)
    assert kept == done
    assert len(done) == 2
    for standing in done:
        confirmation = standing.alert.confirmation
        assert confirmation is not None
        assert confirmation.result is Result.NOT_MEASURED
        assert says in confirmation.reason
        assert confirmation.before == past[9].commit


def test_a_step_that_the_code_did_not_bring_names_the_packages_that_differ(
    findings: Findings, tmp_path: Path
) -> None:
    """The commits were measured under equal packages, the nights were not."""
    settings = for_command(tmp_path, "confirm")
    work = Confirmations(settings, tmp_path, findings.past.nights, lambda _: None)
    move = findings.events[0].moves[0]
    for result, says in (
        (Result.NOT_CONFIRMED, "it was +10 %; its nights differ by more than the code: "),
        (Result.CONFIRMED, "it was +10 %"),
    ):
        confirmation = Confirmation(result=result, date="2026-01-01T00:00Z", reason="it was +10 %")
        reason = work._with_suspects(confirmation, move).reason
        assert reason.startswith(says)
        assert reason.endswith("onnxruntime 1.0 -> 2.0") == (result is Result.NOT_CONFIRMED)
