"""What the nights say: steps with their commits, drift, flaky budgets, what could be tightened."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_perfgate.history.analysis import analyse
from pytest_perfgate.history.charts import in_units, sparkline, trend_chart
from pytest_perfgate.history.commits import between, next_command
from pytest_perfgate.history.findings import Choices, Findings, Move
from pytest_perfgate.history.nights import Held, read
from pytest_perfgate.history.store import History
from pytest_perfgate.history.tighter_limits import propose
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.report.drawing import svg

from tests.history import nights
from tests.history.nights import Night


def findings(folder: Path, listed: Sequence[Night]) -> Findings:
    """What is found in a store of these nights."""
    nights.fill(folder, listed)
    with History(folder) as store:
        return analyse(read(store, 366, 30), Choices())


def moves(result: Findings) -> dict[str, Move]:
    """The steps by the name of their metric."""
    return {move.analysis.series.name: move for event in result.events for move in event.moves}


def test_a_step_is_found_with_its_commits_and_what_moved_with_it(tmp_path: Path) -> None:
    """int8 is 10 % slower from the 31st night on: one event, latency first, on that night."""
    result = findings(tmp_path, [Night()] * 30 + [Night(factor=1.1, packages="2.0")] * 10)
    (event,) = result.events
    assert {move.analysis.series.name for move in event.moves} == {
        "int8 latency_p50",
        "int8 load_time",
    }
    lead = event.moves[0]
    assert lead.analysis.series.name == "int8 latency_p50"  # it has a budget
    assert (lead.earliest, lead.latest, lead.before) == (30, 30, 29)
    assert lead.low < 0.0953 < lead.high
    assert lead.worse
    assert event.suspects == ("onnxruntime 1.0 -> 2.0",)
    assert result.past.nights[lead.night].commit == f"{31:040x}"


def test_a_machine_that_slows_down_is_no_step(tmp_path: Path) -> None:
    """Everything is half as fast, and compared through reference and yardstick nothing moved."""
    result = findings(tmp_path, [Night()] * 20 + [Night(machine=1.5)] * 20)
    assert result.events == ()
    assert result.outside == ()
    assert result.drifting == ()


def test_a_step_of_the_reference_is_found_through_the_yardstick(tmp_path: Path) -> None:
    """fp32 got slower: it is in the event itself, worse, and int8 beside it looks better."""
    result = findings(tmp_path, [Night()] * 20 + [Night(reference=1.2)] * 20)
    by_name = moves(result)
    assert by_name["fp32 latency_p50"].worse
    assert not by_name["int8 latency_p50"].worse
    assert len(result.events) == 1


def test_one_night_out_of_its_band_is_said_the_next_morning(tmp_path: Path) -> None:
    """Not yet a step, and gone when the next night is as before."""
    result = findings(tmp_path / "one", [Night()] * 30 + [Night(factor=1.3)])
    assert result.events == ()
    assert {move.analysis.series.name for move in result.outside} == {
        "int8 latency_p50",
        "int8 load_time",
    }
    after = findings(tmp_path / "two", [Night()] * 30 + [Night(factor=1.3), Night()])
    assert after.outside == ()


def test_slow_drift_is_named_apart_from_steps(tmp_path: Path) -> None:
    """Half a per cent a night for forty nights is a drift of int8's times, and no step."""
    result = findings(tmp_path, [Night(factor=1 + 0.005 * night) for night in range(40)])
    assert result.events == ()
    assert {analysis.series.name for analysis in result.drifting} == {
        "int8 latency_p50",
        "int8 load_time",
    }


def test_a_small_step_is_not_named(tmp_path: Path) -> None:
    """Below the smallest change that is worth a line."""
    nights.fill(tmp_path, [Night()] * 20 + [Night(factor=1.1)] * 20)
    with History(tmp_path) as store:
        past = read(store, 366, 30)
    assert analyse(past, Choices(least=0.2)).events == ()
    assert analyse(past, Choices(least=0.05)).events != ()


def test_a_budget_that_flips_on_one_commit_is_flaky(tmp_path: Path) -> None:
    """Four flips in 19 pairs, none with a step, two of them within a commit."""
    listed = [Night(commit=f"{night // 2 + 1:040x}") for night in range(20)]
    for red in (7, 12):
        listed[red] = replace(listed[red], status=Status.FAIL)
    result = findings(tmp_path, listed)
    (flaky,) = result.flaky
    assert (flaky.judged, flaky.flips, flaky.unexplained, flaky.same_commit) == (20, 4, 4, 2)
    assert flaky.share == pytest.approx(4 / 19)


def test_a_flip_with_a_step_is_not_flaky(tmp_path: Path) -> None:
    """The budget turned red because the recipe got slower."""
    result = findings(tmp_path, [Night()] * 20 + [Night(factor=1.3, status=Status.FAIL)] * 10)
    assert result.flaky == ()
    assert result.turned == ()


def test_a_verdict_that_turned_last_night_is_said(tmp_path: Path) -> None:
    """Red since the newest session, with the night before; green again likewise."""
    result = findings(tmp_path / "one", [Night()] * 3 + [Night(status=Status.FAIL)])
    (turn,) = result.turned
    assert (turn.before, turn.now, turn.since) == (Status.PASS, Status.FAIL, 2)
    again = findings(tmp_path / "two", [Night(status=Status.ERROR), Night()])
    assert [(turn.before, turn.now) for turn in again.turned] == [(Status.ERROR, Status.PASS)]


def test_what_was_not_judged_turns_nothing(tmp_path: Path) -> None:
    """INCONCLUSIVE is neither red nor green: the verdict before it is what counts."""
    result = findings(tmp_path, [Night(), Night(status=Status.INCONCLUSIVE), Night()])
    assert result.turned == ()


def test_the_time_of_the_gate_is_kept_by_command(tmp_path: Path) -> None:
    """One gate, with the seconds of every complete session."""
    result = findings(tmp_path, [Night()] * 12)
    (gate,) = result.gates
    assert gate.command == "pytest --perf"
    assert gate.seconds == tuple(300.0 + night % 3 for night in range(12))


def test_nights_before_another_reference_are_not_compared(tmp_path: Path) -> None:
    """Ratios to another arm are another scale: the stretch begins anew."""
    nights.fill(tmp_path, [Night()] * 12)
    with History(tmp_path) as store:
        past = read(store, 366, 30)
    series = next(one for one in past.series if one.name == "int8 latency_p50")
    series.through[:6] = 7
    (result,) = analyse(replace(past, series=(series,)), Choices()).analyses
    assert result.start == 6
    assert len(result.values) == 6


def test_charts_show_the_metric_in_its_own_unit(tmp_path: Path) -> None:
    """Ratios times what the machine usually makes of them: 10.2 ms, drift or not."""
    result = findings(tmp_path, [Night(machine=1 + 0.02 * night) for night in range(12)])
    int8 = next(
        analysis for analysis in result.analyses if analysis.series.name == "int8 latency_p50"
    )
    middle, low, high = in_units(int8)
    assert middle.std() / middle.mean() < 0.02
    assert 0.0102 < middle.mean() < 0.0102 * 1.25
    assert (low < middle).all()
    assert (middle < high).all()
    drawn = svg(trend_chart(int8, [], result.past.nights))
    assert "latency_p50, ms" in drawn
    assert "<title>2026-01-12" in drawn


def test_a_sparkline_is_short_and_whole_numbers(tmp_path: Path) -> None:
    """A path of at most so many points, however long the series."""
    result = findings(tmp_path, [Night()] * 40)
    int8 = next(
        analysis for analysis in result.analyses if analysis.series.name == "int8 latency_p50"
    )
    paths = sparkline(int8, 16)
    assert len(paths) < 300
    assert "." not in paths
    assert paths.count("<path") == 2


def held(**changed: object) -> Held:
    """A latency of at most 30 ms of a limit of 60 ms, for thirty nights."""
    given = {
        "machine": "m",
        "suite": "s",
        "recipe": "r",
        "metric": "latency_p50",
        "unit": "s",
        "kind": "max",
        "text": "60 ms",
        "scale": "value",
        "limit": 0.060,
        "loosest": 0.030,
        "nights": 30,
    }
    return Held(**(given | changed))  # type: ignore[arg-type] # the tests' own keys


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (held(), "max 34.5 ms"),
        (held(loosest=0.055), None),
        (held(kind="min", unit="images/s", limit=10.0, loosest=40.0), "min 30.3 images/s"),
        (
            held(kind="drop", unit="score", scale="difference", limit=-0.02, loosest=-0.002),
            "drop 0.0056",
        ),
        (held(kind="drop", unit="score", scale="difference", limit=-0.02, loosest=-0.015), None),
        (held(kind="speedup", scale="ratio", limit=0.8, loosest=0.4), "speedup 2.18"),
    ],
)
def test_a_limit_far_from_what_held_could_be_tightened(limit: Held, words: str | None) -> None:
    """The proposed limit leaves a fifth of the way as room; what is near stays."""
    assert [proposal.proposed for proposal in propose([limit])] == ([words] if words else [])


def test_only_what_every_night_kept_is_proposed(tmp_path: Path) -> None:
    """Thirty nights of PASS give a limit that held; one red night among them gives none."""
    nights.fill(tmp_path / "one", [Night()] * 30)
    nights.fill(tmp_path / "two", [Night()] * 29 + [Night(status=Status.FAIL)])
    with History(tmp_path / "one") as store:
        (limit,) = read(store, 366, 30).held
    assert limit.loosest == pytest.approx(0.0102 * 1.02, rel=0.05)
    assert [proposal.held.recipe for proposal in propose([limit])] == ["int8"]
    with History(tmp_path / "two") as store:
        assert read(store, 366, 30).held == ()


def test_the_commits_between_come_from_git(tmp_path: Path) -> None:
    """Listed with their subjects; the next command measures against the last of before."""

    def git(*words: str) -> str:
        given = ["-c", "user.name=x", "-c", "user.email=x@y", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", *given, *words], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "-q")
    hashes = []
    for number in range(3):
        git("commit", "-q", "--allow-empty", "-m", f"change {number}")
        hashes.append(git("rev-parse", "HEAD"))
    nights.fill(tmp_path / "store", [Night(commit=hashes[0]), Night(commit=hashes[2])])
    with History(tmp_path / "store") as store:
        before, after = read(store, 366, 30).nights
    result = between(before, after, tmp_path)
    assert [line.partition(" ")[2] for line in result.listed] == ["change 2", "change 1"]
    assert next_command(result, "int8", "latency_p50", budget=True) == (
        f"pytest --perf -k int8-latency_p50 --perf-base {hashes[0][:10]}"
    )
    same = between(after, after, tmp_path)
    assert "it was not the code" in same.words
    assert next_command(same, "int8", "latency_p50", budget=True) == "pytest-perfgate doctor"


@pytest.mark.parametrize("commit", ["", "--output=/tmp/x", "abc; touch x", "HEAD"])
def test_what_is_no_commit_never_reaches_git(tmp_path: Path, commit: str) -> None:
    """A store may be of anyone: only hashes are looked up."""
    night = nights.session(0, Night())
    with History(tmp_path) as store:
        store.append(night.model_copy(update={"commit": commit}), nights.METRICS)
        (result,) = read(store, 366, 30).nights
    assert between(result, result, tmp_path).words == "the commits were not recorded"
    quoted = next_command(between(result, result, None), "a b; $(x)", "map", budget=True)
    assert quoted == "pytest --perf -k 'a b; $(x)-map'"
