"""Verdicts: pure functions with laws, and for each kind of limit a case that turns red."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.baselines.store import Baseline, StoredMetric
from pytest_perfgate.machine.fingerprint import Environment, Gpu, Machine
from pytest_perfgate.metric import PERFORMANCE
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.recipe import Budget, Condition, Limit, LimitKind
from pytest_perfgate.records.recipe_record import ArtifactInfo, Failure, Link, RecipeRecord
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.tasks.detection import METRICS
from pytest_perfgate.units import Unit
from pytest_perfgate.verdicts import limit_bounds
from pytest_perfgate.verdicts.evidence import SIGNS, Base, Evidence, Risk
from pytest_perfgate.verdicts.judge import judge, why_not
from pytest_perfgate.workloads.replicas import Replicas
from scipy import stats

Noise = Callable[[np.random.Generator, tuple[int, int]], Any]

NOW = datetime(2026, 11, 20, tzinfo=UTC)
RISK = Risk(fail=0.01 / 20)
LATENCY = PERFORMANCE["latency_p50"]
SPREAD = (0.99, 1.0, 1.01, 1.0, 0.995, 1.005, 1.0, 0.99, 1.01, 1.0)
MACHINE = Machine(cpu="Test", features=("avx2",), cores=4, memory=16, os="Linux")


def launches(seconds: float, count: int = 14, memory: int = 100) -> tuple[Launch, ...]:
    """Launches whose medians scatter by one percent."""
    return tuple(
        Launch(
            index=index,
            core=0,
            started=float(index),
            load_time=0.1 * SPREAD[index % 10],
            preprocess=(0.0,) * 3,
            inference=(seconds * SPREAD[index % 10],) * 3,
            postprocess=(0.0,) * 3,
            peak_memory=round(memory * 1e6 * SPREAD[index % 10]),
        )
        for index in range(count)
    )


def recipe(name: str, seconds: float, count: int = 14, size: int = 1000) -> RecipeRecord:
    """A measured recipe."""
    return RecipeRecord(
        name=name,
        reference="reference",
        parent="" if name == "reference" else "reference",
        artifact=ArtifactInfo(kind="onnx", digest="", size=size, files={}),
        launches=launches(seconds, count),
    )


def stored(seconds: float, yard: float = 0.003) -> Baseline:
    """A baseline of ten launches, ten days old."""
    values = tuple(seconds * each for each in SPREAD)
    metric = StoredMetric(unit=Unit.SECONDS, value=seconds, launches=values, yardstick=(yard,) * 10)
    return Baseline(
        suite="s",
        recipe="candidate",
        recorded=(NOW - timedelta(days=10)).isoformat(),
        machine=MACHINE,
        environment=Environment(python="3", kernel="6", packages={}),
        spec="",
        metrics={"latency_p50": metric},
    )


def verdict(
    kind: LimitKind, value: float, seconds: float, *, count: int = 14, yard: float = 0.003
) -> Verdict:
    """The verdict on a candidate beside a reference of 20 ms and a baseline of 10 ms."""
    evidence = Evidence(
        record=recipe("candidate", seconds, count),
        reference=recipe("reference", 0.02, count),
        baseline=stored(0.010),
        yardstick=launches(yard, count),
    )
    budget = Budget("latency_p50", (Limit(kind, value, str(value)),))
    return judge(budget, LATENCY, evidence, RISK, NOW)


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
    assert "40 images then, 50 now" in found.reason
    assert "--perf-update" in found.next_step


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


def arm(name: str, seconds: Sequence[float]) -> RecipeRecord:
    """A recipe whose launches took these times."""
    return recipe(name, 0.01).model_copy(
        update={
            "launches": tuple(
                Launch(
                    index=index,
                    core=0,
                    started=float(index),
                    load_time=0.1,
                    preprocess=(0.0,),
                    inference=(each,),
                    postprocess=(0.0,),
                )
                for index, each in enumerate(seconds)
            )
        }
    )


def against_base(
    candidate: Sequence[float],
    base: Sequence[float],
    limit: float = 0.05,
    copy: Sequence[float] | None = None,
) -> Verdict:
    """The verdict on a regression to the base's arm; with a copy of the reference, if told."""
    reference = arm("reference", [0.02] * len(candidate))
    evidence = Evidence(
        record=arm("candidate", candidate),
        reference=reference,
        baseline=stored(0.001),  # ten times faster: it must not matter
        base=Base("main (1a2b3c4)", arm("candidate", base)),
        control=(reference, arm("reference", copy)) if copy else None,
        pace=2.0,
    )
    budget = Budget("latency_p50", (Limit(LimitKind.REGRESSION, limit, f"{limit:.0%}"),))
    return judge(budget, LATENCY, evidence, RISK, NOW)


def times(seconds: float, count: int = 14) -> list[float]:
    """Times that scatter by one percent."""
    return [seconds * SPREAD[index % 10] for index in range(count)]


def test_a_regression_to_the_base_needs_no_stored_baseline() -> None:
    """10 % slower than the base breaks 5 %, as fast as the base keeps it, and both say so."""
    broken = against_base(times(0.011), times(0.010)[::-1])
    assert broken.status is Status.FAIL
    assert "base main (1a2b3c4)" in broken.reason
    assert broken.limits[0].method == SIGNS
    assert against_base(times(0.010), times(0.010)[::-1]).status is Status.PASS


def test_without_a_base_to_compare_with_there_is_no_baseline() -> None:
    """A recipe that is new, or could not be built at the base, is NO BASELINE and says why."""
    evidence = Evidence(
        record=arm("candidate", times(0.01)),
        baseline=stored(0.01),
        base=Base("main", problem="there is no recipe 'candidate' at main"),
    )
    budget = Budget("latency_p50", (Limit(LimitKind.REGRESSION, 0.05, "5%"),))
    found = judge(budget, LATENCY, evidence, RISK, NOW)
    assert found.status is Status.NO_BASELINE
    assert "no recipe 'candidate' at main" in found.reason


def test_an_unchanged_copy_that_looks_different_forbids_every_fail() -> None:
    """The same evidence that is FAIL beside a copy that agrees is INCONCLUSIVE beside one that
    does not, with that as the reason; a PASS stays one.
    """
    agreeing = [0.02 * each for each in times(1.0)]
    different = [0.0215 * each for each in times(1.0)]
    slow, base = times(0.012), times(0.010)[::-1]
    assert against_base(slow, base, copy=agreeing).status is Status.FAIL
    found = against_base(slow, base, copy=different)
    assert found.status is Status.INCONCLUSIVE
    assert "unchanged copy" in found.reason
    assert "+7.5 %" in found.reason
    assert against_base(base, base, copy=different).status is Status.PASS


def test_what_could_not_be_decided_says_what_would_help() -> None:
    """The smallest provable change, launches and seconds to go, a base, a wider budget."""
    found = verdict(LimitKind.REGRESSION, 0.055, 0.0105, count=6)
    assert found.status is Status.INCONCLUSIVE
    assert "smallest change" in found.reason or "too few" in found.reason
    for part in ("--perf-base", "pytest-perfgate doctor", "wider budget"):
        assert part in found.next_step
    near = against_base(times(0.01045, 6), times(0.010, 6)[::-1])
    assert near.status is Status.INCONCLUSIVE
    limit = near.limits[0]
    assert limit.needed is not None
    assert limit.needed > limit.sample == 6
    assert limit.possible is not None
    assert limit.possible < limit.needed  # were the truth a little worse than it was seen to be
    assert f"({(limit.needed - 6) * 2:.0f} s" in near.next_step
    assert "regression" in near.next_step  # the limit that would have been kept


def test_what_lies_on_the_limit_may_still_be_decided() -> None:
    """No number of launches is likely to, but few have not ruled out that it lies beside it."""
    pattern = (0.1, -0.1, 0.08, -0.08, 0.05, -0.05)
    on_it = [0.010 * 1.05 * math.exp(off) for off in pattern]
    found = against_base(on_it, [0.010] * 6)
    limit = found.limits[0]
    assert found.status is Status.INCONCLUSIVE
    assert limit.needed is None
    assert limit.possible is not None


ratios = st.lists(st.floats(-0.3, 0.3), min_size=4, max_size=30)


@given(ratios, ratios, st.lists(st.floats(1.0, 3.0), min_size=30, max_size=30))
def test_no_launch_that_is_slower_turns_fail_into_pass(
    candidate: list[float], base: list[float], slower: list[float]
) -> None:
    """Each launch of the candidate slower by a factor of its own: never from FAIL to PASS."""
    count = min(len(candidate), len(base))
    mine = [0.01 * math.exp(each) for each in candidate[:count]]
    theirs = [0.01 * math.exp(each) for each in base[:count]]
    later = [each * more for each, more in zip(mine, slower, strict=False)]
    if against_base(mine, theirs).status is Status.FAIL:
        assert against_base(later, theirs).status is Status.FAIL
    if against_base(later, theirs).status is Status.PASS:
        assert against_base(mine, theirs).status is not Status.FAIL


@given(ratios, ratios, st.floats(0.001, 1000.0))
def test_units_do_not_matter(candidate: list[float], base: list[float], scale: float) -> None:
    """The same times in other units give the same verdict."""
    count = min(len(candidate), len(base))
    mine = [0.01 * math.exp(each) for each in candidate[:count]]
    theirs = [0.01 * math.exp(each) for each in base[:count]]
    one = against_base(mine, theirs)
    other = against_base([each * scale for each in mine], [each * scale for each in theirs])
    assert one.limits[0].estimate == pytest.approx(other.limits[0].estimate)
    if abs((one.limits[0].kept or 9) - 1.05) > 1e-9:
        assert one.status is other.status


@given(ratios, ratios)
def test_swapped_sides_give_the_mirrored_bounds(candidate: list[float], base: list[float]) -> None:
    """A against B and B against A: reciprocal estimate and bounds, so mirrored verdicts."""
    count = min(len(candidate), len(base))
    risk = Risk(fail=0.01)
    sides = [
        arm(name, [0.01 * math.exp(each) for each in values[:count]])
        for name, values in (("a", candidate), ("b", base))
    ]
    one = limit_bounds.against_arm(LATENCY, sides[0], sides[1], "b", risk)
    other = limit_bounds.against_arm(LATENCY, sides[1], sides[0], "a", risk)
    assert one is not None
    assert other is not None

    def mirrored(value: float) -> float:
        return 1 / value if value > 0 else math.inf

    assert (one.estimate, one.fail_low, one.fail_high, one.keep_low, one.keep_high) == (
        pytest.approx(
            (
                mirrored(other.estimate),
                mirrored(other.fail_high),
                mirrored(other.fail_low),
                mirrored(other.keep_high),
                mirrored(other.keep_low),
            )
        )
    )


@pytest.mark.parametrize(
    "noise",
    [
        lambda random, shape: 0.3 * random.standard_cauchy(size=shape),
        lambda random, shape: np.where(random.random(shape) < 0.5, -0.2, 0.2),
        lambda random, shape: np.linspace(0.01, 2, shape[1]) * random.normal(size=shape),
    ],
    ids=["cauchy", "two modes", "growing"],
)
def test_an_unchanged_tree_is_rarely_red_under_any_symmetric_noise(noise: Noise) -> None:
    """Judged after every launch up to 24, at a limit of nothing at all: red in at most alpha."""
    random = np.random.default_rng(5)
    alpha, runs = 0.05, 100
    risk, budget = Risk(fail=alpha), Budget("latency_p50", (Limit(LimitKind.REGRESSION, 0, "0%"),))
    red = 0
    for row in noise(random, (runs, 24)):
        mine, base = arm("candidate", 0.01 * np.exp(row)), arm("candidate", [0.01] * 24)
        for count in range(4, 25):
            evidence = Evidence(
                record=mine.model_copy(update={"launches": mine.launches[:count]}),
                base=Base("main", base),
            )
            if judge(budget, LATENCY, evidence, risk, NOW).status is Status.FAIL:
                red += 1
                break
    assert red <= stats.binom.isf(1e-4, runs, alpha)
    assert red >= 1


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
