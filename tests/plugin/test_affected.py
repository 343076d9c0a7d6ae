"""How a budget that a change cannot touch ends its test, and the session."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.plugin.outcome import settle
from pytest_perfgate.plugin.tally import Tally
from pytest_perfgate.records.verdict import Earlier, Status, Verdict
from pytest_perfgate.report.answer import answer
from pytest_perfgate.report.text import needs_attention

from tests.report import sessions


def unaffected(earlier: Status | None) -> Verdict:
    """A verdict that rests on an earlier one; None: on none."""
    origin = earlier and Earlier(
        session="20261101-000000", started="2026-11-01T00:00:00", commit="c", status=earlier
    )
    return Verdict(
        recipe="int8",
        metric="map",
        status=Status.UNAFFECTED,
        unit="",
        reason="not measured",
        earlier=origin,
    )


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("earlier", [Status.PASS, Status.FAIL, Status.INCONCLUSIVE, None])
def test_it_never_passes_and_is_red_without_proof(strict: bool, earlier: Status | None) -> None:
    """Before the test's own code runs: a skip where an earlier session measured PASS; else red
    under --perf-strict.
    """
    red = strict and earlier is not Status.PASS
    outcome = pytest.fail.Exception if red else pytest.skip.Exception
    with pytest.raises(outcome, match="UNAFFECTED"):
        settle(unaffected(earlier), None, name="int8-map", strict=strict, allowed=["*"])


@pytest.mark.parametrize("earlier", [Status.PASS, Status.FAIL, None])
def test_a_session_that_measured_nothing_needs_proof(earlier: Status | None) -> None:
    """So do its requirements. The count of measured budgets has none of them."""
    tally = Tally()
    tally.select("t", "int8-map", "suites/a/recipes.toml", ("gpu",))
    tally.settle("t", unaffected(earlier))
    again = Tally()
    again.merge(tally.dump())  # as over pytest-xdist
    for one in (tally, again):
        assert bool(one.absences()) == (earlier is not Status.PASS)
        assert bool(one.unmet(["gpu"])) == (earlier is not Status.PASS)
        assert one.summary == "0 of 1 budget was measured"


def test_the_answer_counts_it_by_itself() -> None:
    """Neither among measured budgets nor among kept ones; broken ones need attention."""
    session = sessions.healthy()
    (suite, *_) = session.suites
    kept = suite.verdicts[:2]

    def text(*verdicts: Verdict) -> str:
        changed = suite.model_copy(update={"verdicts": (*kept, *verdicts)})
        settings = {**session.settings, "base": "main (abc)"}
        return answer(session.model_copy(update={"suites": (changed,), "settings": settings}))

    assert text(unaffected(Status.PASS)) == (
        "2 of 3 budgets were measured, 1 is unaffected since main (abc), measured in session "
        "20261101-000000. 2 budgets are kept; 1 was kept when measured."
    )
    assert "None of 2 budgets is broken; 1 was broken when measured" in text(
        unaffected(Status.FAIL)
    )
    pairs = [(suite, unaffected(status)) for status in (Status.PASS, Status.FAIL)]
    assert [verdict.earlier for _, verdict, _ in needs_attention(pairs)] == [pairs[1][1].earlier]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ((), "Name the commit: --perf-base REF"),
        (("--perf-base", "HEAD", "--perf-base-env", "numpy==1"), "every recipe is affected"),
        (("--perf-base", "HEAD", "--perf-update"), "of what a session measured"),
    ],
)
def test_options_that_contradict_it_are_refused(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], words: str
) -> None:
    """With what to do."""
    from pytest_perfgate.plugin.settings import settings_of

    monkeypatch.delenv("CI", raising=False)
    config = pytester.parseconfig("--perf-affected", *more, f"--rootdir={Path.cwd()}")
    with pytest.raises(pytest.UsageError, match=words):
        settings_of(config)
