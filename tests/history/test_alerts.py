"""The life of alerts: stored, matched with the history, fixed, back again; and silence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.cli.main import main
from pytest_perfgate.errors import HistoryError
from pytest_perfgate.history.alert_rows import alert_lines, alert_rows
from pytest_perfgate.history.alerts import (
    Alert,
    AlertStore,
    Confirmation,
    Expected,
    Result,
    key_of,
    replaced,
)
from pytest_perfgate.history.analysis import analyse
from pytest_perfgate.history.findings import Choices
from pytest_perfgate.history.nights import read
from pytest_perfgate.history.store import History
from pytest_perfgate.history.watch import Watch, watch

from tests.history import nights
from tests.history.nights import Night

STEP = Alert(
    suite="digits",
    recipe="int8",
    metric="latency_p50",
    since="2026-01-11T02:00:00+00:00",
    after="2026-01-10T02:00:00+00:00",
    until="2026-01-11T02:00:00+00:00",
    size=0.1,
)
EXPECTED = Expected(date="2026-02-01T08:00:00+00:00", by="A. Maintainer", reason="more exact")
GOOD, BAD = [Night()], [Night(factor=1.1)]


def watched(
    folder: Path,
    listed: Sequence[Night],
    *stored: Alert,
    hours: float = 1.0,
    present: dict[str, frozenset[str]] | None = None,
) -> Watch:
    """The alerts so many hours after the last of these nights."""
    nights.fill(folder, listed)
    with History(folder) as store:
        findings = analyse(read(store, 366, 30), Choices())
    now = nights.FIRST + timedelta(days=len(listed) - 1, hours=hours)
    return watch(findings, {findings.past.nights[-1].machine: stored}, now, present)


def latency(result: Watch) -> Alert:
    """The alert of int8's latency."""
    (alert,) = (
        one.alert
        for one in result.standings
        if one.alert.worse and one.alert.metric == "latency_p50"
    )
    return alert


def test_what_is_stored_is_read_again_in_a_stable_order(tmp_path: Path) -> None:
    """And one that changed takes the place of the one before."""
    store = AlertStore(tmp_path)
    silence = Alert(suite="digits", since="2026-01-01T00:00:00+00:00", expected=EXPECTED)
    store.write("m", [STEP, silence])
    assert store.read("m") == (silence, STEP)
    assert store.read("other") == ()
    fixed = STEP.model_copy(update={"fixed": ("2026-02-09T02:00:00+00:00",)})
    store.write("m", replaced(store.read("m"), {key_of(fixed): fixed}))
    assert store.read_all() == {"m": (silence, fixed)}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"alerts.0.since": "yesterday"}, "alerts.0.since: "),
        ({"alerts.0.since": "2026-01-11T02:00:00"}, "has no time zone"),
        ({"alerts.0.size": "much"}, "alerts.0.size: Input should be a valid number"),
        ({"alerts.0.expected": {"reason": "", "by": "x", "date": STEP.since}}, "expected.reason"),
        ({"alerts.0.colour": "red"}, "alerts.0.colour: Extra inputs are not permitted"),
        ({"alerts.0.suite": ""}, "a step has a suite"),
        ({"alerts.0.again": [STEP.since]}, "was fixed before"),
        ({"machine": "other"}, "it is of the machine 'other'"),
        ({"version": 9}, "is of version 9"),
        ({"version": None}, "it has no version"),
        ({"alerts": 3}, "alerts: "),
    ],
    ids=str,
)
def test_a_file_edited_to_nonsense_is_one_message(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    """With its file, its key and the next command; the file stays as it is."""
    store = AlertStore(tmp_path)
    file = store.write("m", [STEP])
    data = json.loads(file.read_text())
    for place, value in change.items():
        *above, name = place.split(".")
        inner = data
        for part in above:
            inner = inner[int(part)] if part.isdigit() else inner[part]
        inner[name] = value
    file.write_text(json.dumps(data))
    with pytest.raises(HistoryError) as caught:
        store.read("m")
    assert says in caught.value.problem
    assert caught.value.where == str(file)
    assert caught.value.next_step
    assert json.loads(file.read_text()) == data


def test_a_file_that_is_cut_short_and_a_name_that_leaves_the_folder(tmp_path: Path) -> None:
    """Each is an error."""
    store = AlertStore(tmp_path)
    file = store.write("m", [STEP])
    file.write_text(file.read_text()[:40])
    with pytest.raises(HistoryError, match="cut short"):
        store.read("m")
    with pytest.raises(HistoryError, match="cannot be the name of a file"):
        store.read("../m")


def test_a_step_is_new_then_fixed_then_back_again(tmp_path: Path) -> None:
    """One alert, by later steps of the history; only open ones need attention."""
    new = watched(tmp_path / "1", GOOD * 10 + BAD * 5)
    alert = latency(new)
    assert (alert.state, alert.since[:10]) == ("new", "2026-01-11")
    assert alert.size == pytest.approx(0.1, abs=0.01)
    assert alert.before_commit == f"{10:040x}"
    assert {one.alert.metric for one in new.open} == {"latency_p50", "load_time"}
    fixed = latency(watched(tmp_path / "2", GOOD * 10 + BAD * 5 + GOOD * 5))
    assert (fixed.state, fixed.fixed[0][:10]) == ("fixed", "2026-01-16")
    back = latency(watched(tmp_path / "3", GOOD * 10 + BAD * 5 + GOOD * 5 + BAD * 5))
    assert (back.state, back.again[0][:10]) == ("back again", "2026-01-21")


def test_an_expected_step_never_comes_back_as_new(tmp_path: Path) -> None:
    """Neither when its place moves by some nights, nor when it was gone and is back; a second step
    on top of it is another alert.
    """
    moved = STEP.model_copy(
        update={"since": "2026-01-09T02:00:00+00:00", "after": "2026-01-07T02:00:00+00:00"}
    )
    expected = moved.model_copy(update={"expected": EXPECTED})
    result = watched(tmp_path / "1", GOOD * 10 + BAD * 5, expected)
    assert latency(result).state == "expected"
    assert latency(result).since == moved.since
    assert {one.alert.metric for one in result.open} == {"load_time"}
    early = STEP.model_copy(update={"expected": EXPECTED})
    back = watched(tmp_path / "2", GOOD * 10 + BAD * 5 + GOOD * 5 + BAD * 5, early)
    assert latency(back).state == "expected"
    worse = watched(tmp_path / "3", GOOD * 10 + BAD * 5 + [Night(factor=1.3)] * 5, early)
    states = {one.alert.state for one in worse.standings if one.alert.metric == "latency_p50"}
    assert states == {"expected", "new"}


def test_a_stored_step_that_the_history_lost_is_fixed_where_the_level_is_back(
    tmp_path: Path,
) -> None:
    """Three nights between others are no level. Where the level is not back, it stays open."""
    stored = STEP.model_copy(
        update={"confirmation": Confirmation(result=Result.CONFIRMED, date=STEP.since)}
    )
    gone = latency(watched(tmp_path / "1", GOOD * 10 + BAD * 3 + GOOD * 5, stored))
    assert (gone.state, gone.fixed[0][:10]) == ("fixed", "2026-01-14")
    result = watched(tmp_path / "2", GOOD * 10 + BAD, stored)
    assert latency(result).state == "confirmed"
    (row,) = alert_rows(result.open, result.now)
    assert row["gone"]
    assert row["age"] == "0 days"


def test_an_alert_of_another_suite_is_not_closed_with_one_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each suite may have its fp32: whoever expects a step names the suite."""
    monkeypatch.chdir(tmp_path)
    store = AlertStore(tmp_path / "baselines")
    store.write("m", [STEP, STEP.model_copy(update={"suite": "text"})])
    expect = ["alerts", "expect", "--history", "none", "--reason", "more exact", "--by", "me"]
    assert main([*expect, "int8", "latency_p50"]) == 1
    assert "digits/int8, text/int8" in capsys.readouterr().err
    assert main([*expect, "text/int8", "latency_p50"]) == 0
    assert [(one.suite, one.state) for one in store.read("m")] == [
        ("digits", "new"),
        ("text", "expected"),
    ]


def test_a_step_that_is_not_confirmed_needs_no_attention(tmp_path: Path) -> None:
    """Its interval is said; one that could not be measured stays open with the reason."""
    refuted = Confirmation(
        result=Result.NOT_CONFIRMED,
        date=STEP.since,
        change=0.001,
        low=-0.01,
        high=0.012,
        launches=8,
    )
    stored = STEP.model_copy(update={"confirmation": refuted})
    result = watched(tmp_path, GOOD * 10 + BAD * 5, stored)
    assert latency(result).state == "not confirmed"
    assert {one.alert.metric for one in result.open} == {"load_time"}
    (line,) = (text for text in alert_lines(result.standings) if "latency" in text)
    assert "not confirmed: +0.1 % (-1.0 % … +1.2 %), 8 launches" in line
    unknown = Confirmation(result=Result.NOT_MEASURED, date=STEP.since, reason="no such commit")
    kept = STEP.model_copy(update={"confirmation": unknown})
    assert kept.is_open
    assert kept.state == "could not be measured"


# -- silence -------------------------------------------------------------------------------


def names(result: Watch) -> list[str]:
    """Who is silent."""
    return [one.name for one in result.silent]


def test_a_machine_without_a_session_is_silent(tmp_path: Path) -> None:
    """Four hours after the next night's usual time: a day, or where it measured every third day
    three of them.
    """
    assert names(watched(tmp_path / "1", GOOD * 5, hours=27)) == []
    late = watched(tmp_path / "1", GOOD * 5, hours=29)
    assert names(late) == [late.silences[0].machine]
    assert alert_lines(late.silent)[0].endswith("no result since 2026-01-05")
    with History(tmp_path / "2") as store:
        for number in (0, 3, 6):
            store.append(nights.session(number, Night()), nights.METRICS)
        findings = analyse(read(store, 366, 30), Choices())
    last = nights.FIRST + timedelta(days=6)
    assert names(watch(findings, {}, last + timedelta(hours=75), None)) == []
    assert len(names(watch(findings, {}, last + timedelta(hours=77), None))) == 1


def test_a_silence_that_is_expected_is_quiet_while_it_lasts(tmp_path: Path) -> None:
    """After the next session a new silence is an alert again."""
    expected = Alert(since="2026-01-05T02:00:00+00:00", expected=EXPECTED)
    assert names(watched(tmp_path / "1", GOOD * 5, expected, hours=99)) == []
    assert len(names(watched(tmp_path / "2", GOOD * 6, expected, hours=99))) == 1


def test_a_recipe_and_a_suite_without_a_value_last_night_are_silent(tmp_path: Path) -> None:
    """A recipe that was taken out of the suite file is not; where nobody knows the files, it is."""
    nights.fill(tmp_path, GOOD * 3)
    with History(tmp_path) as store:
        last = nights.session(3, Night())
        (suite,) = last.suites
        kept = tuple(record for record in suite.recipes if record.name != "int8")
        update = {"recipes": kept, "verdicts": (), "summaries": {"fp32": suite.summaries["fp32"]}}
        store.append(
            last.model_copy(update={"suites": (suite.model_copy(update=update),)}),
            nights.METRICS,
        )
        findings = analyse(read(store, 366, 30), Choices())
    now = nights.FIRST + timedelta(days=3, hours=1)
    assert names(watch(findings, {}, now, None)) == ["digits/int8"]
    assert names(watch(findings, {}, now, {"digits": frozenset({"fp32"})})) == []
    assert names(watch(findings, {}, now, {"digits": frozenset({"fp32", "int8"})})) == [
        "digits/int8"
    ]


def test_a_suite_of_which_nothing_was_measured_is_one_line(tmp_path: Path) -> None:
    """Not one for each of its recipes."""
    nights.fill(tmp_path, GOOD * 3)
    with History(tmp_path) as store:
        store.append(nights.session(3, Night()).model_copy(update={"suites": ()}), nights.METRICS)
        findings = analyse(read(store, 366, 30), Choices())
    now = nights.FIRST + timedelta(days=3, hours=1)
    assert names(watch(findings, {}, now, None)) == ["digits"]
