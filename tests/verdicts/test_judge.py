"""Verdicts: pure functions with laws, and for each kind of limit a case that turns red."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.baselines.baseline import StoredMetric
from pytest_perfgate.machine.fingerprint import Gpu
from pytest_perfgate.metric import PERFORMANCE, Over, Scope
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.recipe import Budget, Condition, Limit, LimitKind
from pytest_perfgate.records.recipe_record import Failure, Link, RecipeRecord
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.tasks.detection import METRICS
from pytest_perfgate.units import Unit
from pytest_perfgate.verdicts.conditions import why_not
from pytest_perfgate.verdicts.evidence import Base, Evidence, Risk
from pytest_perfgate.verdicts.judge import judge
from pytest_perfgate.workloads.replicas import Replicas

from tests.verdicts.judging import (
    LATENCY,
    MACHINE,
    NOW,
    RISK,
    SPREAD,
    launches,
    recipe,
    stored,
    verdict,
)


@pytest.mark.parametrize(
    ("kind", "value", "good", "bad"),
    [
        (LimitKind.MAX, 0.012, 0.010, 0.014),
        (LimitKind.SPEEDUP, 1.8, 0.010, 0.013),
        (LimitKind.GROWTH, -0.4, 0.010, 0.014),
        (LimitKind.REGRESSION, 0.08, 0.010, 0.0125),
    ],
)
def test_each_limit_keeps_what_is_good_and_breaks_what_is_bad(
    kind: LimitKind, value: float, good: float, bad: float
) -> None:
    """Fourteen launches with one percent of spread decide both, with words and a next step."""
    assert verdict(kind, value, good).status is Status.PASS
    broken = verdict(kind, value, bad)
    assert broken.status is Status.FAIL
    assert "is broken" in broken.reason
    assert broken.next_step


@pytest.mark.parametrize(("level", "status"), [(0.97, Status.PASS), (0.55, Status.FAIL)])
def test_a_budget_on_scaling_efficiency_is_judged_by_launches(level: float, status: Status) -> None:
    """Of each launch the median over its turns; 75 % is the limit."""
    found = recipe("replicas", 0.01)
    turns = (level * 0.8, level, level * 1.1)
    measured = tuple(
        each.model_copy(
            update={
                "preprocess": (),
                "inference": (),
                "postprocess": (),
                "rounds": (0, 1, 2),
                "values": {
                    "scaling_efficiency": tuple(turn * SPREAD[each.index % 10] for turn in turns)
                },
            }
        )
        for each in found.launches
    )
    record = found.model_copy(update={"launches": measured})
    budget = Budget("scaling_efficiency", (Limit(LimitKind.MIN, 0.75, "75%"),))
    metric = Replicas.metrics["scaling_efficiency"]
    verdict = judge(budget, metric, Evidence(record=record), RISK, NOW)
    assert verdict.status is status
    assert verdict.value == pytest.approx(level, rel=0.01)


def test_the_machines_drift_is_taken_out() -> None:
    """On a machine that is 15 % slower today, a time that is 15 % longer is no regression."""
    assert verdict(LimitKind.REGRESSION, 0.08, 0.0115, yard=0.003 * 1.15).status is Status.PASS
    assert verdict(LimitKind.REGRESSION, 0.08, 0.0115).status is not Status.PASS
    hidden = verdict(LimitKind.REGRESSION, 0.08, 0.0100, yard=0.003 * 0.75)
    assert hidden.status is not Status.PASS  # as fast as before, on a far faster machine
    assert "drift" in hidden.reason


def test_a_loud_machine_proves_nothing_worse_than_what_is_stored() -> None:
    """A FAIL against a baseline becomes INCONCLUSIVE; one beside the reference stays."""
    evidence = Evidence(
        record=recipe("candidate", 0.02),
        reference=recipe("reference", 0.01),
        baseline=stored(0.010),
        yardstick=launches(0.003),
        loud="19 of 19 launches were unsteady",
    )

    def status(kind: LimitKind) -> Verdict:
        budget = Budget("latency_p50", (Limit(kind, 0.1, "10%"),))
        return judge(budget, LATENCY, evidence, RISK, NOW)

    assert status(LimitKind.REGRESSION).status is Status.INCONCLUSIVE
    assert status(LimitKind.REGRESSION).reason.startswith("19 of 19 launches were unsteady")
    assert status(LimitKind.GROWTH).status is Status.FAIL


def test_a_baseline_of_other_images_is_none_and_says_how_to_renew_it() -> None:
    """New validation images are no dead end."""

    def accuracy(digest: str, images: int) -> Accuracy:
        return Accuracy(
            values={"map": 0.5}, images=images, data_digest=digest, predictions_digest="p"
        )

    score = {"map": StoredMetric(unit=Unit.SCORE, value=0.5)}
    before = stored(0.01).model_copy(update={"metrics": score, "accuracy": accuracy("old", 40)})
    record = recipe("candidate", 0.01).model_copy(update={"accuracy": accuracy("new", 50)})
    budget = Budget("map", (Limit(LimitKind.REGRESSION, 0.01, "0.01"),))
    evidence = Evidence(record=record, baseline=before)
    found = judge(budget, METRICS["map"], evidence, RISK, NOW)
    assert found.status is Status.NO_BASELINE
    assert "other validation data (40 images there, 50 images here)" in found.reason
    assert "--perf-update" in found.next_step


def test_recipes_of_one_session_that_saw_other_images_are_not_compared() -> None:
    """Images that changed meanwhile: an error in words, for the images and for each set."""

    def scored(name: str, images: str, night: str) -> RecipeRecord:
        one, other = (
            Accuracy(values={"map": 0.5}, images=4, data_digest=digest, predictions_digest="p")
            for digest in (images, night)
        )
        accuracy = one.model_copy(update={"sets": {"night": other}})
        return recipe(name, 0.01).model_copy(update={"accuracy": accuracy})

    drop = Limit(LimitKind.DROP, 0.01, "0.01")
    reference = scored("reference", "a", "n")
    night, worst = (
        METRICS["map"].at(Scope(name, over))
        for name, over in (("night", Over.SET), ("worst", Over.WORST))
    )
    for record, metric, what in (
        (scored("candidate", "b", "n"), METRICS["map"], "validation data"),
        (scored("candidate", "a", "m"), night, "data of 'night'"),
        (scored("candidate", "a", "m"), worst, "data of 'night'"),
    ):
        evidence = Evidence(record=record, reference=reference)
        verdict = judge(Budget(metric.name, (drop,)), metric, evidence, RISK, NOW)
        assert verdict.status is Status.ERROR
        assert f"the {what} changed during the session: 'candidate'" in verdict.reason
        assert verdict.next_step.startswith("run the session again")


def test_no_baseline_says_what_is_stored_instead() -> None:
    """Another machine's, which is not compared: beside the limit, for every reader of it."""
    budget = Budget("latency_p50", (Limit(LimitKind.REGRESSION, 0.1, "10%"),))
    for elsewhere, notes in (("the nearest is far", ("the nearest is far",)), ("", ())):
        evidence = Evidence(record=recipe("candidate", 0.01), elsewhere=elsewhere)
        found = judge(budget, LATENCY, evidence, RISK, NOW)
        assert (found.status, found.limits[0].notes) == (Status.NO_BASELINE, notes)


def test_a_stored_baseline_may_have_a_limit_of_its_own() -> None:
    """Of another session, it is held more loosely than the base beside which a recipe is measured;
    the words are those of the limit that was asked.
    """
    limit = Limit(LimitKind.REGRESSION, 0.08, "8%", Limit(LimitKind.REGRESSION, 0.3, "30%"))
    budget = Budget("latency_p50", (limit,))
    slower = recipe("candidate", 0.0125)
    against_stored = Evidence(record=slower, baseline=stored(0.010), yardstick=launches(0.003))
    found = judge(budget, LATENCY, against_stored, RISK, NOW)
    assert found.status is Status.PASS
    assert found.limits[0].text == "30%"
    base = Base("main (1a2b3c4)", recipe("candidate", 0.010))
    beside = replace(against_stored, base=base)
    found = judge(budget, LATENCY, beside, RISK, NOW)
    assert found.status is Status.FAIL
    assert "regression 8% is broken" in found.reason


@pytest.mark.parametrize(
    ("pieces", "seconds", "status"), [(1, 0.0018, Status.FAIL), (4, 0.0072, Status.INCONCLUSIVE)]
)
def test_a_stored_time_is_corrected_by_a_yardstick_of_its_length(
    pieces: int, seconds: float, status: Status
) -> None:
    """Beside busy processes an inference of 11 ms takes three times as long, and so does the
    yardstick of four pieces; one piece fits into a slice, takes as long as ever, and would turn
    unchanged code red.
    """
    metric = stored(0.011, seconds).metrics["latency_p50"].model_copy(update={"pieces": pieces})
    evidence = Evidence(
        record=recipe("candidate", 0.033),
        baseline=stored(0.011).model_copy(update={"metrics": {"latency_p50": metric}}),
        yardstick=tuple(
            launch.model_copy(update={"values": {"pieces_4": (0.0216,) * 3}})
            for launch in launches(0.0018)
        ),
    )
    budget = Budget("latency_p50", (Limit(LimitKind.REGRESSION, 0.1, "10%"),))
    assert judge(budget, LATENCY, evidence, RISK, NOW).status is status


@pytest.mark.parametrize("count", [1, 3])
def test_too_few_launches_say_how_many_and_how_long(count: int) -> None:
    """A time that did not suffice ends INCONCLUSIVE, with the time that would: launches of 20 s."""
    evidence = Evidence(record=recipe("candidate", 0.010, count), pace=20.0)
    budget = Budget("latency_p50", (Limit(LimitKind.MAX, 0.1, "100 ms"),))
    verdict = judge(budget, LATENCY, evidence, Risk(fail=0.01), NOW)
    assert verdict.status is Status.INCONCLUSIVE
    assert verdict.next_step == (
        "at least 4 launches decide that a budget is kept, and 8 that it is broken: "
        "--perf-seconds=160"
    )


def test_a_reference_that_got_faster_makes_no_regression() -> None:
    """A stored time is compared through the yardstick, not through the reference."""
    evidence = Evidence(
        record=recipe("candidate", 0.010),
        reference=recipe("reference", 0.005),
        baseline=stored(0.010),
        yardstick=launches(0.003),
    )
    budget = Budget("latency_p50", (Limit(LimitKind.REGRESSION, 0.08, "8%"),))
    assert judge(budget, LATENCY, evidence, RISK, NOW).status is Status.PASS


@given(
    st.sampled_from([LimitKind.MAX, LimitKind.SPEEDUP, LimitKind.GROWTH, LimitKind.REGRESSION]),
    st.floats(0.005, 0.02),
    st.floats(1.0, 2.0),
)
def test_slower_never_turns_fail_into_pass(kind: LimitKind, seconds: float, more: float) -> None:
    """A verdict gets no better when the same launches are slower."""
    limit = {LimitKind.MAX: 0.012, LimitKind.SPEEDUP: 1.8}.get(kind, 0.08)
    faster, slower = verdict(kind, limit, seconds), verdict(kind, limit, seconds * more)
    assert slower.status.rank <= faster.status.rank


@given(st.floats(0.2, 5.0))
def test_ratios_do_not_depend_on_the_machines_speed(scale: float) -> None:
    """A machine that is faster for everything changes no verdict against the reference."""

    def on(machine: float) -> Status:
        evidence = Evidence(
            record=recipe("candidate", 0.0111 * machine),
            reference=recipe("reference", 0.02 * machine),
        )
        budget = Budget("latency_p50", (Limit(LimitKind.SPEEDUP, 1.8, "1.8"),))
        return judge(budget, LATENCY, evidence, RISK, NOW).status

    assert on(scale) is on(1.0)


def test_too_few_launches_decide_nothing() -> None:
    """Before the first look there is no PASS and no FAIL."""
    for seconds in (0.001, 0.5):
        found = verdict(LimitKind.MAX, 0.012, seconds, count=2)
        assert found.status is Status.INCONCLUSIVE
        assert "too few" in found.reason


@pytest.mark.parametrize(("size", "status"), [(1000, Status.PASS), (1001, Status.FAIL)])
def test_a_size_is_exact(size: int, status: Status) -> None:
    """A limit that is exactly met is kept; one byte more breaks it."""
    budget = Budget("artifact_size", (Limit(LimitKind.MAX, 1000.0, "1 kB"),))
    evidence = Evidence(record=recipe("candidate", 0.01, size=size))
    found = judge(budget, PERFORMANCE["artifact_size"], evidence, RISK, NOW)
    assert found.status is status


def test_what_was_not_measured_never_passes() -> None:
    """A failed recipe, a missing metric and a failed reference are errors, each with its reason."""
    failure = Failure(stage="build", problem="it broke")
    budget = Budget("latency_p50", (Limit(LimitKind.SPEEDUP, 0.1, "0.1"),))
    broken = recipe("candidate", 0.01).model_copy(update={"failure": failure})
    unmeasured = recipe("candidate", 0.01).model_copy(update={"launches": ()})
    no_reference = recipe("reference", 0.02).model_copy(update={"failure": failure})
    for evidence, reason in (
        (Evidence(record=broken, reference=recipe("reference", 0.02)), "it broke"),
        (Evidence(record=unmeasured, reference=recipe("reference", 0.02)), "was not measured"),
        (Evidence(record=recipe("candidate", 0.01), reference=no_reference), "it broke"),
    ):
        found = judge(budget, LATENCY, evidence, RISK, NOW)
        assert found.status is Status.ERROR
        assert reason in found.reason


def test_the_worst_limit_is_the_verdict() -> None:
    """One broken limit among kept ones fails the budget."""
    budget = Budget(
        "latency_p50",
        (
            Limit(LimitKind.MAX, 1.0, "1 s"),
            Limit(LimitKind.SPEEDUP, 4.0, "4"),
            Limit(LimitKind.REGRESSION, 0.5, "50%"),
        ),
    )
    evidence = Evidence(
        record=recipe("candidate", 0.010),
        reference=recipe("reference", 0.02),
        baseline=stored(0.010),
        yardstick=launches(0.003),
    )
    found = judge(budget, LATENCY, evidence, RISK, NOW)
    assert [limit.status for limit in found.limits] == [Status.PASS, Status.FAIL, Status.PASS]
    assert found.status is Status.FAIL
    assert found.baseline_age == pytest.approx(10)


@given(st.permutations(range(4)))
def test_the_order_of_limits_does_not_matter(order: Sequence[int]) -> None:
    """The same limits in another order give the same verdict."""
    limits = (
        Limit(LimitKind.MAX, 0.0099, "9.9 ms"),
        Limit(LimitKind.SPEEDUP, 4.0, "4"),
        Limit(LimitKind.GROWTH, 0.1, "10%"),
        Limit(LimitKind.REGRESSION, 0.05, "5%"),
    )
    evidence = Evidence(record=recipe("candidate", 0.010), reference=recipe("reference", 0.02))
    mixed = tuple(limits[index] for index in order)
    one = judge(Budget("latency_p50", limits), LATENCY, evidence, RISK, NOW)
    other = judge(Budget("latency_p50", mixed), LATENCY, evidence, RISK, NOW)
    assert one.status is other.status
    assert math.isclose(one.value or 0, other.value or 1)


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        (Condition(), ""),
        (Condition(cpu="avx2", cores=4, memory=16e9), ""),
        (Condition(cpu="amx_int8"), "no amx_int8"),
        (Condition(cores=8), "it has 4 cores, and the budget needs 8"),
        (Condition(memory=64e9), "16 GiB"),
        (Condition(gpu="*A10*"), "no GPU like"),
    ],
)
def test_a_condition_says_what_the_machine_lacks(condition: Condition, says: str) -> None:
    """Where a budget does not apply, the reason names what is asked for."""
    found = why_not(condition, MACHINE)
    assert bool(found) == bool(says)
    assert says in found
    with_gpu = MACHINE.model_copy(update={"gpus": (Gpu(name="NVIDIA A10G", count=1, driver="1"),)})
    assert why_not(Condition(gpu="*A10*"), with_gpu) == ""
    assert why_not(Condition(gpu="nvidia a10*"), with_gpu) == ""


@pytest.mark.parametrize(("limit", "status"), [(20.0, Status.PASS), (10.0, Status.FAIL)])
def test_what_is_observed_once_is_judged_as_it_is(limit: float, status: Status) -> None:
    """Which side of `max` it lies on decides, with no interval, and the reason says why."""
    link = {"options": {}, "effect": {}, "cached": True, "key": ""}
    record = recipe("candidate", 0.03).model_copy(
        update={
            "lineage": tuple(
                Link(step=name, seconds=seconds, **link)
                for name, seconds in (("model", 100.0), ("export", 3.0), ("quantize", 9.0))
            )
        }
    )
    budget = Budget("build_time", (Limit(LimitKind.MAX, limit, f"{limit:g} s"),))
    found = judge(budget, PERFORMANCE["build_time"], Evidence(record), RISK, NOW)
    assert (found.status, found.value, found.low, found.high) == (status, 12.0, None, None)
    assert "observed once" in found.reason
    assert found.limits[0].method == "observed once"


def test_what_was_not_observed_is_an_error() -> None:
    """A recipe without a cold load, or without a build, never passes."""
    for metric in ("build_time", "load_time_cold"):
        budget = Budget(metric, (Limit(LimitKind.MAX, 1.0, "1 s"),))
        evidence = Evidence(recipe("candidate", 0.03))
        found = judge(budget, PERFORMANCE[metric], evidence, RISK, NOW)
        assert (found.status, found.value) == (Status.ERROR, None)
