"""The end of a session: which baselines are proposed, written and refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pytest_perfgate.baselines import changes
from pytest_perfgate.baselines.store import Store, read_file
from pytest_perfgate.baselines.update import conclude
from pytest_perfgate.machine.conditions import Conditions
from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.records.settings import for_command
from pytest_perfgate.records.verdict import LimitResult, Status
from pytest_perfgate.suite.metrics import metrics_of_record

from tests.report import sessions

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def stored(session: SessionRecord, folder: Path, update: bool = True) -> tuple[list[str], str]:
    """Recipes with a baseline after the session, and what stood in the way."""
    settings = replace(for_command(folder, "pytest --perf"), update=update)
    _, problems = conclude(session, settings, NOW)
    files = Store(settings.baselines).files()
    return [file.stem for file in files], "; ".join(str(problem) for problem in problems)


def with_conditions(session: SessionRecord, others: float) -> SessionRecord:
    """The same session, eight of its launches beside other work."""
    rough = tuple(Conditions(index=index, others=others) for index in range(8))
    suites = tuple(suite.model_copy(update={"conditions": rough}) for suite in session.suites)
    return session.model_copy(update={"suites": suites})


def test_a_sound_session_is_stored_when_that_is_asked_for(tmp_path: Path) -> None:
    """Every recipe that was measured; nothing without the option."""
    session = with_conditions(sessions.healthy(), 0.0)
    assert stored(session, tmp_path, update=False) == ([], "")
    names, problems = stored(session, tmp_path)
    assert problems == ""
    assert set(names) == {record.name for record in session.suites[0].recipes if not record.failure}
    again, _ = conclude(session, replace(for_command(tmp_path, ""), update=True), NOW)
    assert again.suites[0].changes == ()


def test_a_loud_machine_stores_nothing_and_says_why(tmp_path: Path) -> None:
    """Most launches ran beside other work: their times would be held against later sessions."""
    names, problems = stored(with_conditions(sessions.healthy(), 0.5), tmp_path)
    assert names == []
    assert "8 of 8 launches were unsteady" in problems
    assert "pytest-perfgate doctor" in problems


def test_a_session_of_code_that_changed_meanwhile_stores_nothing(tmp_path: Path) -> None:
    """No commit has what it measured; what it would change is shown, and no problem without the
    option.
    """
    session = with_conditions(sessions.healthy(), 0.0)
    session = session.model_copy(update={"commit": "", "dirty": True, "changed": "a -> b"})
    names, problems = stored(session, tmp_path)
    assert names == []
    assert "no baseline is written: a -> b" in problems
    assert "measure again: pytest --perf --perf-update" in problems
    assert stored(session, tmp_path, update=False) == ([], "")
    record, _ = conclude(session, for_command(tmp_path, ""), NOW)
    assert {change.kind for change in record.suites[0].changes} == {"create"}


def test_too_few_launches_store_scores_and_no_times(tmp_path: Path) -> None:
    """A short time is a limit, and what is stored is compared with for long."""
    session = with_conditions(sessions.healthy(), 0.0)
    (suite,) = session.suites
    few = suite.model_copy(update={"conditions": suite.conditions[:3], "phases": {"measure": 36.0}})
    names, problems = stored(session.model_copy(update={"suites": (few,)}), tmp_path)
    assert "3 launches of 8 fit into --perf-seconds=60" in problems
    assert "--perf-seconds=100" in problems
    assert names
    for file in Store(tmp_path / "baselines").files():
        metrics = read_file(file).metrics
        assert "map" in metrics
        assert not any(metric.launches for metric in metrics.values())


@pytest.mark.parametrize(
    ("metric", "status"), [("map", Status.FAIL), ("latency_p50", Status.ERROR)]
)
def test_a_recipe_whose_accuracy_or_measurement_is_broken_is_not_stored(
    tmp_path: Path, metric: str, status: Status
) -> None:
    """The others are."""
    session = with_conditions(sessions.healthy(), 0.0)
    (suite,) = session.suites
    first = suite.recipes[0].name
    verdict = sessions.verdict(first, metric, status).model_copy(update={"limits": ()})
    broken = suite.model_copy(update={"verdicts": (verdict,)})
    names, problems = stored(session.model_copy(update={"suites": (broken,)}), tmp_path)
    assert first not in names
    assert names
    assert f"no baseline of {suite.name}/{first} is written: " in problems


def test_a_score_below_the_stored_one_alone_is_stored_with_a_reason() -> None:
    """As its verdict's next step says; where another limit is broken too, it is not."""
    session = with_conditions(sessions.healthy(), 0.0)
    (suite,) = session.suites
    first = suite.recipes[0].name
    limits = [
        LimitResult(
            kind=kind, text="0.01", status=Status.FAIL, limit=-0.01, reason="", against=against
        )
        for kind, against in (
            ("regression", "baseline of 2026-11-20"),
            ("regression", "base main"),
            ("min", ""),
        )
    ]
    for broken, written in ((limits[:1], True), (limits[1:2], False), (limits[::2], False)):
        verdict = sessions.verdict(first, "map", Status.FAIL)
        verdict = verdict.model_copy(update={"limits": tuple(broken)})
        one = suite.model_copy(update={"verdicts": (verdict,)})
        reasons = changes.refusals(one, metrics_of_record(suite))
        assert (first not in reasons) is written


def test_a_stored_file_that_cannot_be_read_stays_as_it_is(tmp_path: Path) -> None:
    """The other recipes are written; what is not understood is not overwritten."""
    session = with_conditions(sessions.healthy(), 0.0)
    names, _ = stored(session, tmp_path)
    settings = for_command(tmp_path, "")
    first, second, *_ = Store(settings.baselines).files()
    first.write_text("{ cut")
    second.unlink()
    again, problems = stored(session, tmp_path)
    assert again == names
    assert f"{first}: the baseline cannot be used: it is not JSON" in problems
    assert first.read_text() == "{ cut"
    assert second.stat().st_size > 100


def test_a_loosening_without_a_reason_is_proposed_and_said(tmp_path: Path) -> None:
    """The session keeps the changes as not written; with a reason they are."""
    session = with_conditions(sessions.healthy(), 0.0)
    stored(session, tmp_path)
    (suite,) = session.suites
    slower = [
        recipe.model_copy(
            update={
                "launches": tuple(
                    launch.model_copy(
                        update={"inference": tuple(3 * each for each in launch.inference)}
                    )
                    for launch in recipe.launches
                )
            }
        )
        for recipe in suite.recipes
    ]
    slow = session.model_copy(
        update={"suites": (suite.model_copy(update={"recipes": tuple(slower)}),)}
    )
    settings = replace(for_command(tmp_path, ""), update=True)
    before = {file: file.read_text() for file in Store(settings.baselines).files()}
    record, (problem,) = conclude(slow, settings, NOW)
    assert "would become worse" in str(problem)
    assert "--perf-reason" in problem.next_step
    assert "loosen" in {change.kind for change in record.suites[0].changes}
    assert not any(change.written for change in record.suites[0].changes)
    assert {file: file.read_text() for file in before} == before
    record, problems = conclude(slow, replace(settings, reason="a new camera"), NOW)
    assert problems == ()
    assert all(change.written for change in record.suites[0].changes)
