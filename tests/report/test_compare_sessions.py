"""Two sessions compared: directions, refusals, and what else is said to differ."""

from __future__ import annotations

import pytest
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.report import compare_sessions, comparison
from pytest_perfgate.report.comparison import Differences, Direction, Row

from tests.report import sessions
from tests.report.pairs import calm, moved


def row(result: Differences, recipe: str, metric: str) -> Row:
    """The row of one metric."""
    return next(row for row in result.rows if (row.recipe, row.metric.name) == (recipe, metric))


def terminal(result: Differences) -> list[str]:
    """What is written to a terminal."""
    lines: list[str] = []
    comparison.write(result, lambda text, **_: lines.append(text))
    return lines


def facts(result: Differences) -> str:
    """What else differs, as one text."""
    return "\n".join(f"{fact.about}: {fact.text}" for fact in result.facts)


def test_what_became_slower_is_worse_and_what_did_not_is_not() -> None:
    """30 % on one recipe is told, with an interval around it; the others show no difference."""
    result = compare_sessions.sessions(calm(), moved(calm(), {"int8": 1.3}))
    slow = row(result, "int8", "latency_p50")
    assert slow.direction is Direction.WORSE
    assert slow.moved is not None
    assert slow.moved.low < 1.26 < slow.moved.high
    assert row(result, "fp32", "latency_p50").direction is Direction.NO_DIFFERENCE
    assert result.rows[0].direction is Direction.WORSE
    assert "worse" in result.answer
    assert any("int8 latency_p50" in line for line in terminal(result))


def test_rates_that_rise_are_better_and_times_that_fall_too() -> None:
    """The direction is the metric's own: more images per second is better."""
    result = compare_sessions.sessions(calm(), moved(calm(), {"onnx": 0.7}))
    assert row(result, "onnx", "throughput").direction is Direction.BETTER
    assert row(result, "onnx", "latency_p50").direction is Direction.BETTER
    assert "none worse" in result.answer


def test_a_slower_machine_is_not_a_slower_recipe() -> None:
    """Where the yardstick moved with the recipes, its drift is taken out."""
    result = compare_sessions.sessions(calm(), moved(calm(), {}, machine=1.1))
    assert row(result, "fp32", "latency_p50").direction is Direction.NO_DIFFERENCE


def test_the_same_session_twice_has_no_difference() -> None:
    """Nothing is worse or better than itself."""
    result = compare_sessions.sessions(calm(), calm())
    assert {row.direction for row in result.rows} <= {Direction.NO_DIFFERENCE, Direction.REFUSED}
    assert "both files hold the same session" in facts(result)
    assert result.answer.endswith("no difference that these two sessions can prove.")


def test_two_machines_are_refused_in_words() -> None:
    """Nothing is compared; the values still stand beside each other."""
    other = moved(calm(), {"int8": 1.3})
    other = other.model_copy(
        update={"machine": other.machine.model_copy(update={"cores": 64, "cpu": "Another CPU"})}
    )
    result = compare_sessions.sessions(calm(), other)
    assert {row.direction for row in result.rows} == {Direction.REFUSED}
    assert "different machines" in result.answer
    assert "cores 2 -> 64" in result.answer
    assert all(row.before is not None for row in result.rows)
    assert all(row.moved is None for row in result.rows)


def test_times_of_other_work_are_not_compared() -> None:
    """Batches of 2 take less time than batches of 8; nothing became faster."""
    work = {"workload": {"name": "batches", "options": {"size": 2}}}
    (suite,) = calm().suites
    records = tuple(
        record.model_copy(update={"spec": {**record.spec, **work}}) for record in suite.recipes
    )
    after = calm().model_copy(update={"suites": (suite.model_copy(update={"recipes": records}),)})
    result = compare_sessions.sessions(calm(), after)
    assert row(result, "int8", "latency_p50").reason == (
        "it measures other work: images there, batches (size = 2) here"
    )


def test_what_one_session_did_not_measure_is_not_compared() -> None:
    """Not measured is never taken for zero."""
    broken = sessions.broken()
    result = compare_sessions.sessions(calm(), broken)
    found_row = row(result, "int8", "latency_p50")
    assert found_row.direction is Direction.REFUSED
    assert found_row.reason == "not measured after"
    assert "not measured" in found_row.values
    assert "not measured after: the worker ended by signal 9" in facts(result)


def test_scores_of_other_images_are_not_compared() -> None:
    """Another digest of the validation data refuses the scores and leaves the times."""
    after = calm()
    suite = after.suites[0]
    records = tuple(
        record.model_copy(
            update={"accuracy": record.accuracy.model_copy(update={"data_digest": "other"})}
        )
        for record in suite.recipes
        if record.accuracy
    )
    after = after.model_copy(update={"suites": (suite.model_copy(update={"recipes": records}),)})
    result = compare_sessions.sessions(calm(), after)
    assert row(result, "int8", "map").reason == "the validation images are not the same"
    assert row(result, "int8", "latency_p50").direction is Direction.NO_DIFFERENCE


def test_a_single_launch_and_another_batch_are_refused() -> None:
    """What has no interval is not given a direction."""
    result = compare_sessions.sessions(calm(), calm(1))
    assert row(result, "int8", "latency_p50").reason == "fewer than two launches after"
    suite = calm().suites[0].model_copy(update={"batch": 8})
    result = compare_sessions.sessions(calm(), calm().model_copy(update={"suites": (suite,)}))
    assert row(result, "int8", "throughput").reason == "batches of 4 before and of 8 after"
    assert row(result, "int8", "latency_p50").direction is Direction.NO_DIFFERENCE


def test_versions_commits_settings_and_recipes_that_differ_are_named() -> None:
    """Everything that can be the cause stands there as before -> after."""
    before, after = calm(), moved(calm(), {})
    suite = after.suites[0]
    last = suite.recipes[-1].model_copy(update={"spec": {"runtime": {"name": "openvino"}}})
    renamed = suite.recipes[0].model_copy(update={"name": "new", "reference": "new"})
    suite = suite.model_copy(update={"recipes": (renamed, suite.recipes[1], last)})
    after = after.model_copy(
        update={
            "commit": "f" * 40,
            "settings": {"alpha": 0.05, "limits": 31},
            "suites": (suite,),
            "environment": after.environment.model_copy(update={"packages": {"numpy": "2.4"}}),
        }
    )
    said = facts(compare_sessions.sessions(before, after))
    assert "commit: e513370d21 with local changes -> ffffffffff with local changes" in said
    assert "toolchain: numpy 2.0 -> 2.4" in said
    assert "settings: alpha 0.02 -> 0.05" in said
    assert "digits new: this recipe is in the later session only" in said
    assert "digits fp32: this recipe is in the earlier session only" in said
    assert "digits int8: runtime.name onnxruntime -> openvino" in said


def test_a_changed_verdict_is_shown_where_nothing_moved() -> None:
    """PASS that became FAIL is a row of its own in the terminal, whatever the interval says."""
    after = calm()
    suite = after.suites[0]
    verdicts = tuple(
        verdict.model_copy(update={"status": Status.FAIL})
        if (verdict.recipe, verdict.metric) == ("onnx", "latency_p50")
        else verdict
        for verdict in suite.verdicts
    )
    after = after.model_copy(update={"suites": (suite.model_copy(update={"verdicts": verdicts}),)})
    text = "\n".join(terminal(compare_sessions.sessions(calm(), after)))
    assert "PASS -> FAIL" in text


@pytest.mark.parametrize("text", ["", "-a-name-of-" + "long" * 12])
def test_no_line_is_wider_than_100_columns(text: str) -> None:
    """Also with names of nearly the 64 letters that a name may have."""
    other = sessions.broken(text).suites[0].model_copy(update={"task": "detection"})
    broken = sessions.broken(text).model_copy(update={"suites": (other,)})
    same = sessions.session(text=text)
    same = same.model_copy(
        update={"suites": (same.suites[0].model_copy(update={"task": "detection"}),)}
    )
    lines = terminal(compare_sessions.sessions(same, broken))
    assert max(map(len, lines)) <= 100
    assert len(lines) > 10


def test_a_difference_of_a_byte_is_not_shown_as_none() -> None:
    """Sizes are exact: a ratio that would be rounded to +0.0 % keeps a digit."""
    small = comparison.Moved(1.0000004, 1.0000004, 1.0000004, True, "exact")
    assert small.text == "+4e-05 %"
    assert comparison.Moved(1.0, 1.0, 1.0, True, "exact").text == "+0.0 %"
