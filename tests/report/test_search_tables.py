"""Searches in the report: what won, every trial with its reason, the front and the curves."""

from __future__ import annotations

import io

import pytest
from pytest_perfgate.records.search import Search, Trial
from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.report import terminal
from pytest_perfgate.report.page import render
from pytest_perfgate.report.search_tables import tables

from tests.report import sessions
from tests.report.sessions import HOSTILE, METRICS


def searched(reason: str = "map is too low", winner: int | None = 2) -> SessionRecord:
    """A session in which the values of int8 were searched by one number."""
    trials = tuple(
        Trial(
            number=number,
            values={"steps[0].samples": 8 * number},
            seconds=2.0,
            level=0.01 * number,
            ratio=0.1 * number,
            score=0.5 + 0.1 * number,
            levels={"latency_p50": 0.01 * number, "peak_memory": 1e8 * number},
            constraints={"map drop": 0.2 if number == 1 else -0.1},
            reason=reason if number == 1 else "",
        )
        for number in (1, 2, 3)
    )
    unbuilt = Trial(number=4, values={"steps[0].samples": 32}, seconds=1.0, reason="build: no")
    search = Search(
        asked=5,
        metric="latency_p50",
        unit="s",
        score="map",
        reference="fp32",
        trials=(*trials, unbuilt),
        winner=winner,
        front=(1, 2, 3),
        fresh=4,
    )
    session = sessions.session()
    (suite, *others) = session.suites
    recipes = tuple(
        recipe.model_copy(update={"search": search}) if recipe.name == "int8" else recipe
        for recipe in suite.recipes
    )
    suites = (suite.model_copy(update={"recipes": recipes}), *others)
    return session.model_copy(update={"suites": suites})


def test_the_page_has_every_trial_the_front_and_the_curves() -> None:
    """The fastest first, those that were not built last, each with its reason."""
    page = render(searched(), METRICS)
    assert "Trials of int8" in page
    assert "int8 over steps[0].samples" in page
    assert "values of trial 2 (steps[0].samples 16), which won" in page
    table = page[page.index("Search trials") :]
    assert table.index("map is too low") < table.index("<strong>won</strong>")
    assert table.index("<strong>won</strong>") < table.index("build: no")
    assert "5.00x" in table
    assert "pytest-perfgate freeze int8" in table


def test_a_search_for_a_score_says_how_much_better() -> None:
    """A score is compared by its difference, and is no speed."""
    session = searched()
    (suite, *_) = session.suites
    (search,) = (recipe.search for recipe in suite.recipes if recipe.search is not None)
    best = search.trials[1].model_copy(update={"ratio": -0.0125})
    trials = (search.trials[0], best, *search.trials[2:])
    change = {"metric": "map@tuning", "unit": "score", "trials": trials}
    recipes = tuple(
        recipe.model_copy(update={"search": search.model_copy(update=change)})
        if recipe.search is not None
        else recipe
        for recipe in suite.recipes
    )
    (table,) = tables(suite.model_copy(update={"recipes": recipes}))
    assert "better than fp32 by" in table.heads
    assert table.rows[0].wins
    assert "+0.0125" in table.rows[0].cells


@pytest.mark.parametrize("text", HOSTILE[:6])
def test_what_a_worker_said_stays_text(text: str) -> None:
    """Reasons come from workers."""
    page = render(searched(reason=text), METRICS)
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "<svg onload" not in page


def test_the_terminal_says_what_won_or_that_nothing_did() -> None:
    """One line for a search."""
    for winner, said in ((2, "which won"), (None, "no trial won")):
        out = io.StringIO()
        terminal.write(
            searched(winner=winner),
            lambda text, out=out, **_: print(text, file=out),  # type: ignore[misc] # of this round
            metrics=METRICS,
            verbosity=0,
            update=False,
        )
        assert said in " ".join(out.getvalue().split())
        assert "4 of 5 trials in 7 s (4 of them in this session), 2 keep the budgets" in " ".join(
            out.getvalue().split()
        )


def test_a_session_with_a_search_comes_back_as_it_was() -> None:
    """Also what is null in it."""
    session = searched(winner=None)
    assert SessionRecord.model_validate_json(session.model_dump_json()) == session
