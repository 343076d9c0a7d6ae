"""Where a session's seconds went is added up right; nothing is said of what was not measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import SuiteRecord

from benchmarks import overhead


def launch(index: int, inference: float, *, load: float = 0.0, batches: int = 0) -> Launch:
    """Ten samples of `inference` seconds and as much again around it, batches of ten times it."""
    return Launch(
        index=index,
        core=0,
        started=float(index),
        load_time=load,
        preprocess=(inference / 2,) * 10,
        inference=(inference,) * 10,
        postprocess=(inference / 2,) * 10,
        batches=(10 * inference,) * batches,
    )


def suite(*recipes: RecipeRecord, measure: float) -> SuiteRecord:
    """A suite of two launches, its yardstick 10 ms each."""
    return SuiteRecord(
        name="digits",
        folder="suites/digits",
        task="detection",
        model="m:build",
        recipes=recipes,
        yardstick=(launch(0, 0.005), launch(1, 0.005)),
        phases={"build": 5.0, "measure": measure},
    )


def test_the_parts_add_up_to_the_phase() -> None:
    """Samples, a turn before each four of them, batches, loads, warm-up; the rest is the rest."""
    recipe = RecipeRecord(
        name="fp32",
        reference="fp32",
        launches=tuple(launch(index, 0.05, load=0.25, batches=2) for index in (0, 1)),
    )
    result = overhead.share(suite(recipe, measure=10.0))
    assert result is not None
    assert result.launches == 2
    assert result.timed == pytest.approx(2 * 10 * 0.1 + 2 * 2 * 0.5 + 2 * 10 * 0.01)
    assert result.untimed == pytest.approx((2 * 10 * 0.1 + 2 * 10 * 0.01) / 4)
    assert result.load == pytest.approx(0.5)
    assert result.warm == pytest.approx(3 * (2 * 0.1 + 2 * 0.01))
    parts = result.timed + result.untimed + result.load + result.warm + result.rest
    assert parts == pytest.approx(result.measure)


def test_a_suite_that_was_not_measured_has_no_share() -> None:
    """No launches, or no phase: None, not zero or one."""
    built = RecipeRecord(name="fp32", reference="fp32")
    measured = RecipeRecord(name="fp32", reference="fp32", launches=(launch(0, 0.1),))
    assert overhead.share(suite(built, measure=10.0)) is None
    assert overhead.share(suite(measured, measure=0.0)) is None


@pytest.mark.parametrize("rest", ["kept", "missed", "unknown"])
def test_a_share_is_judged_only_when_it_can_be(
    rest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """More parts than there is of the whole: the record cannot be what it is taken for."""
    measure = {"kept": 10.0, "missed": 30.0, "unknown": 7.0}[rest]
    overhead._print_share(overhead.Share("digits", 4, measure, 5.0, 2.5, 0.5, 0.5))
    assert f"(target 50%: {rest})" in capsys.readouterr().out


def test_the_arms_report_times_of_nothing() -> None:
    """The harness's own code, forked and taking turns; both arms once per turn."""
    before = overhead.arm.RecipeVisit
    result = overhead._turns(5)
    assert overhead.arm.RecipeVisit is before
    assert {name: len(times) for name, times in result.items()} == {"harness": 5, "bare": 5}
    for pre, inference, post, wall in result["harness"] + result["bare"]:
        assert 0 <= pre + inference + post < wall


def test_the_peer_test_is_python() -> None:
    """With its braces as meant."""
    text = overhead._PEER_TEST.format(rounds=5)
    compile(text, "test", "exec")
    assert 'found = {"inside": inside' in text


def test_a_session_file_is_read(tmp_path: Path) -> None:
    """One that is not a session is refused by the record itself."""
    file = tmp_path / "session.json"
    file.write_text('{"suites": []}')
    with pytest.raises(ValueError, match="validation error"):
        overhead.read(file)
