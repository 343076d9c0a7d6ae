"""Studies: what is tried next, what is kept, and what wins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.metric import PERFORMANCE
from pytest_perfgate.records.recipe import Limit, LimitKind, Range, SearchSpec
from pytest_perfgate.records.search import Trial
from pytest_perfgate.records.verdict import LimitResult, Status
from pytest_perfgate.search.study import Study, front, winner
from pytest_perfgate.search.trials import _kept

pytest.importorskip("optuna", reason="python -m pip install 'pytest-perfgate[search]'")

FEW = (Range("a", choices=(1, True, "x")), Range("b", 1, 3))
MANY = (Range("a", choices=(1, True, "x")), Range("b", 0.1, 0.8), Range("c", 1e-4, 1.0, log=True))


def trial(study: Study, **more: Any) -> Trial:
    """The next trial, finished."""
    requested = study.ask()
    assert requested is not None
    number, values = requested
    built = Trial(**{"number": number, "values": values, "seconds": 1.0, "ratio": 0.5, **more})
    study.tell(built)
    return built


def test_every_set_of_values_is_tried_once_whoever_goes_on(tmp_path: Path) -> None:
    """A study that is opened anew for every trial ends with all nine, and knows that it has."""
    spec = SearchSpec(FEW, 50)
    while not Study(tmp_path, spec).complete:
        trial(Study(tmp_path, spec))
    study = Study(tmp_path, spec)
    assert study.allowed == 9
    assert [trial.number for trial in study.trials] == list(range(1, 10))
    assert len({repr(trial.values) for trial in study.trials}) == 9
    assert study.ask() is None


def test_a_study_that_goes_on_does_not_repeat_its_chances(tmp_path: Path) -> None:
    """The same seed in every process gives new values; more trials may be asked for later."""
    for _ in range(6):
        trial(Study(tmp_path, SearchSpec(MANY, 6)))
    study = Study(tmp_path, SearchSpec(MANY, 6))
    assert study.complete
    assert len({repr(trial.values) for trial in study.trials}) == 6
    assert not Study(tmp_path, SearchSpec(MANY, 7)).complete
    assert Study(tmp_path, SearchSpec(MANY, 7, seconds=6.0)).complete  # a second each


def test_what_was_cut_off_is_tried_again_with_its_values(tmp_path: Path) -> None:
    """Also when all that was left to say was that it has ended."""
    first = Study(tmp_path, SearchSpec(MANY, 5))
    requested = first.ask()
    again = Study(tmp_path, SearchSpec(MANY, 5))
    assert again.trials == ()
    again.take_up()
    assert again.ask() == requested
    assert requested is not None
    built = Trial(number=1, values=requested[1], seconds=1.0, ratio=0.5)
    again._pending.set_user_attr("trial", built.model_dump(mode="json"))
    third = Study(tmp_path, SearchSpec(MANY, 5))
    third.take_up()
    assert third.trials == (built,) == Study(tmp_path, SearchSpec(MANY, 5)).trials


def test_a_study_learns_from_what_breaks_a_budget(tmp_path: Path) -> None:
    """Of the second twenty trials, more keep a budget than the third that chance gives."""
    study = Study(tmp_path, SearchSpec((Range("x", 0.0, 1.0),), 40))
    while not study.complete:
        requested = study.ask()
        assert requested is not None
        away = requested[1]["x"] - 0.33
        study.tell(
            Trial(
                number=requested[0],
                values=requested[1],
                seconds=0.1,
                ratio=1.0 - requested[1]["x"] / 2,
                constraints={"map drop": away},
                reason="map is too low" if away > 0 else "",
            )
        )
    assert sum(trial.feasible for trial in study.trials[20:]) >= 8  # by chance: 6 or 7
    best = winner(study.trials)
    assert best is not None
    assert 0.25 < best.values["x"] <= 0.33


def test_a_study_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    """With where it lies, and what to do."""
    spec = SearchSpec(MANY, 5)
    trial(Study(tmp_path, spec))
    journal = tmp_path / "journal.log"
    journal.write_text("{ not JSON\n" + journal.read_text())
    with pytest.raises(PerfgateError, match="cannot be read") as caught:
        Study(tmp_path, spec)
    assert caught.value.where == str(tmp_path)
    assert "rm -r" in caught.value.next_step


TRIALS = st.lists(
    st.builds(
        Trial,
        number=st.integers(1, 100),
        values=st.just({}),
        seconds=st.just(1.0),
        ratio=st.none() | st.floats(0.1, 10),
        score=st.none() | st.floats(0, 1),
        reason=st.sampled_from(["", "broken"]),
    ),
    unique_by=lambda trial: trial.number,
    max_size=12,
)


@given(TRIALS)
def test_the_winner_is_the_fastest_that_keeps_the_budgets(trials: list[Trial]) -> None:
    """Never one that does not, and never one that was not measured."""
    best = winner(trials)
    fit = [trial.ratio for trial in trials if trial.feasible and trial.ratio is not None]
    assert (best is None) == (not fit)
    if best is not None:
        assert best.reason == ""
        assert best.ratio == min(fit)


@given(TRIALS)
def test_every_trial_is_on_the_front_or_beaten_by_one_that_is(trials: list[Trial]) -> None:
    """Feasible or not; those without a time or a score are on neither side."""
    known = [trial for trial in trials if trial.ratio is not None and trial.score is not None]
    on = [trial for trial in known if trial.number in front(trials)]
    for trial in known:
        beaten = [
            other
            for other in on
            if other.ratio <= trial.ratio and other.score >= trial.score and other is not trial  # type: ignore[operator] # they are known
        ]
        assert trial in on or beaten


@pytest.mark.parametrize(
    ("kind", "estimate", "kept"),
    [
        (LimitKind.MAX, 99.0, True),
        (LimitKind.MAX, 101.0, False),
        (LimitKind.GROWTH, 1.05, True),
        (LimitKind.GROWTH, 1.11, False),
    ],
)
def test_memory_of_a_trial_goes_by_its_estimate(
    kind: LimitKind, estimate: float, kept: bool
) -> None:
    """Two launches prove nothing about it; accuracy has to be proven."""
    value = 100.0 if kind is LimitKind.MAX else 0.1
    bound = 100.0 if kind is LimitKind.MAX else 1.1
    result = LimitResult(
        kind=kind.value,
        text="",
        status=Status.INCONCLUSIVE,
        limit=bound,
        estimate=estimate,
        reason="",
    )
    limit = Limit(kind, value, "")
    outcome, away = _kept(limit, PERFORMANCE["peak_memory"], result)
    assert outcome is kept
    assert away == pytest.approx(abs(estimate - bound))
    assert _kept(limit, PERFORMANCE["artifact_size"], result)[0] is False
