"""What rests on too little: unknown uncertainty, one side of a comparison, an older baseline."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from pytest_perfgate.baselines.baseline import Baseline, StoredMetric
from pytest_perfgate.metric import PERFORMANCE, Metric
from pytest_perfgate.records.accuracy import Accuracy, Packed, Ratio
from pytest_perfgate.records.launch import Growth
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.stats.ratio import bootstrap
from pytest_perfgate.tasks.detection import METRICS
from pytest_perfgate.tasks.detection.coco_scores import evaluate
from pytest_perfgate.units import Unit
from pytest_perfgate.verdicts.accuracy_intervals import accuracy_difference, accuracy_interval
from pytest_perfgate.verdicts.evidence import Base, Evidence
from pytest_perfgate.verdicts.judge import judge

from tests.verdicts.judging import LATENCY, NOW, RISK, launches, recipe, stored
from tests.verdicts.test_precision import detect, scenes

AGREEMENT = Metric.score("agreement", "share of equal predictions")


def accuracy(predictions: str, ratio: Ratio | None = None, **values: float) -> Accuracy:
    """Scores over the same forty images, without matches."""
    return Accuracy(
        values=values,
        images=40,
        data_digest="images",
        predictions_digest=predictions,
        ratios={} if ratio is None else {"agreement": ratio},
    )


def scored(name: str, scores: Accuracy | None) -> RecipeRecord:
    """A measured recipe with these scores."""
    return recipe(name, 0.01).model_copy(update={"accuracy": scores})


def ratio(top: list[float], bottom: list[float]) -> Ratio:
    """Sums per image."""
    return Ratio(numerator=Packed.of(np.array(top)), denominator=Packed.of(np.array(bottom)))


def against(limit: Limit, metric: Metric, evidence: Evidence) -> Verdict:
    """The verdict on a budget of that one limit."""
    return judge(Budget(metric.name, (limit,)), metric, evidence, RISK, NOW)


def test_scores_without_matches_of_other_predictions_decide_nothing() -> None:
    """How sure such a difference is, nobody knows; of equal predictions it is nothing."""
    drop = Limit(LimitKind.DROP, 0.01, "0.01")
    reference = scored("reference", accuracy("a", map=0.5))
    for predictions, value, status in (
        ("b", 0.7, Status.INCONCLUSIVE),
        ("b", 0.1, Status.INCONCLUSIVE),
        ("a", 0.5, Status.PASS),
    ):
        record = scored("candidate", accuracy(predictions, map=value))
        evidence = Evidence(record=record, reference=reference)
        assert against(drop, METRICS["map"], evidence).status is status


def test_the_same_hits_in_the_same_order_are_no_difference() -> None:
    """Runtimes differ in the last bits of a score; other hits are a difference."""
    data, boxes = scenes(1)
    one = evaluate(data, detect(boxes, 2))
    assert one.matches is not None
    halved = Packed.of(one.matches.score.array() / 2)
    alike = one.model_copy(
        update={
            "predictions_digest": "other",
            "matches": one.matches.model_copy(update={"score": halved}),
        }
    )
    difference = accuracy_difference(one, alike, "map", 0.05)
    assert difference is not None
    assert (difference.low, difference.high, difference.identical) == (0.0, 0.0, True)
    worse = accuracy_difference(one, evaluate(data, detect(boxes, 2, miss=0.4)), "map", 0.05)
    assert worse is not None
    assert not worse.identical
    assert worse.low < worse.estimate < worse.high


def test_a_score_that_one_side_lacks_is_an_error() -> None:
    """A reference or base without accuracy, or without this score, keeps no budget."""
    drop = Limit(LimitKind.DROP, 0.5, "0.5")
    regression = Limit(LimitKind.REGRESSION, 0.5, "0.5")
    record = scored("candidate", accuracy("a", map=0.5))
    for other in (None, accuracy("b", map50=0.5)):
        beside = scored("reference", other)
        for limit, evidence in (
            (drop, Evidence(record=record, reference=beside)),
            (regression, Evidence(record=record, base=Base("main", beside))),
        ):
            found = against(limit, METRICS["map"], evidence)
            assert found.status is Status.ERROR
            assert "was not measured on both sides" in found.reason


def test_a_ratio_of_nothing_is_anything() -> None:
    """With nothing to divide by, its interval is the whole scale, and no comparison is decided."""
    nothing, something = ratio([0, 0, 0], [0, 0, 0]), ratio([1, 2, 1], [2, 2, 2])
    empty, known = accuracy("a", nothing, agreement=0.4), accuracy("b", something, agreement=0.6)
    interval = accuracy_interval(empty, "agreement", 0.05)
    assert (interval.low, interval.high) == (0.0, 1.0)
    difference = accuracy_difference(known, empty, "agreement", 0.05)
    assert difference is not None
    assert (difference.low, difference.high) == (-math.inf, math.inf)
    at_least = Limit(LimitKind.MIN, 0.3, "0.3")
    evidence = Evidence(record=scored("candidate", empty))
    assert against(at_least, AGREEMENT, evidence).status is Status.INCONCLUSIVE


@pytest.mark.parametrize("images", [1, 2])
def test_a_ratio_over_too_few_images_has_no_bounds(images: int) -> None:
    """One image says nothing of others; two say little."""
    estimate = bootstrap((np.arange(1.0, images + 1), np.full(images, 4.0)))
    assert estimate.value == pytest.approx([0.25, 0.375][images - 1])
    low, high = estimate.bounds(0.05)
    assert (low, high) == (-math.inf, math.inf) if images == 1 else low < 0 and high > 1


def test_a_baseline_of_one_launch_keeps_nothing() -> None:
    """Without a spread nothing is said of what would be measured again."""
    one = StoredMetric(unit=Unit.SECONDS, value=0.01, launches=(0.01,), yardstick=(0.003,))
    before = stored(0.01).model_copy(update={"metrics": {"latency_p50": one}})
    evidence = Evidence(recipe("candidate", 0.01), baseline=before, yardstick=launches(0.003))
    found = against(Limit(LimitKind.REGRESSION, 0.5, "50%"), LATENCY, evidence)
    assert found.status is Status.ERROR
    assert "was not measured on both sides" in found.reason


def test_a_baseline_of_zero_scores_proves_nothing() -> None:
    """Nothing is lower than 0, so that the limit would hold whatever was measured."""
    zero = StoredMetric(unit=Unit.SCORE, value=0.0)
    scores = {"metrics": {"map": zero}, "accuracy": accuracy("a", map=0.0)}
    evidence = Evidence(
        record=scored("candidate", accuracy("b", map=0.0)),
        baseline=stored(0.01).model_copy(update=scores),
    )
    limit = Limit(LimitKind.REGRESSION, 0.01, "0.01")
    beside = Base("main (1a2b3c4)", scored("candidate", accuracy("a", map=0.0)))
    for one in (evidence, replace(evidence, base=beside)):
        found = against(limit, METRICS["map"], one)
        assert found.status is Status.ERROR
        assert "the lowest possible value" in found.reason
    zero_is_no_end = Evidence(
        record=scored("candidate", accuracy("b", mota=0.0)),
        base=Base("main", scored("candidate", accuracy("b", mota=0.0))),
    )
    mota = Metric.score("mota", "It may be below 0.")
    assert against(limit, mota, zero_is_no_end).status is Status.PASS


def test_a_broken_limit_wins_over_one_that_was_not_compared() -> None:
    """One limit of a budget is proven to be broken, the other has nothing to be compared with."""
    limits = (Limit(LimitKind.MIN, 0.9, "0.9"), Limit(LimitKind.DROP, 0.01, "0.01"))
    reference = scored("reference", None)
    evidence = Evidence(record=scored("candidate", accuracy("a", map=0.5)), reference=reference)
    for some in (limits, limits[::-1]):
        found = judge(Budget("map", some), METRICS["map"], evidence, RISK, NOW)
        assert {one.status for one in found.limits} == {Status.FAIL, Status.ERROR}
        assert found.status is Status.FAIL
        assert "min 0.9 is broken" in found.reason


def test_a_yardstick_of_another_length_corrects_nothing() -> None:
    """A time stored beside 16 pieces is not corrected by one piece, and the reason says so."""
    metric = stored(0.01).metrics["latency_p50"].model_copy(update={"pieces": 16})
    evidence = Evidence(
        record=recipe("candidate", 0.01),
        baseline=stored(0.01).model_copy(update={"metrics": {"latency_p50": metric}}),
        yardstick=launches(0.006),
    )
    limit = against(Limit(LimitKind.REGRESSION, 0.5, "50%"), LATENCY, evidence).limits[0]
    assert limit.estimate == pytest.approx(1.0, abs=0.01)  # not halved
    assert "no yardstick of the baseline's length (16 pieces)" in limit.reason


def without_yardstick(baseline: Baseline) -> Baseline:
    """The same baseline of an older program."""
    metrics = {
        name: metric.model_copy(update={"yardstick": ()})
        for name, metric in baseline.metrics.items()
    }
    return baseline.model_copy(update={"metrics": metrics})


def test_without_a_yardstick_the_drift_is_said_to_be_in() -> None:
    """What was decided absolutely says so."""
    evidence = Evidence(
        record=recipe("candidate", 0.02),
        baseline=without_yardstick(stored(0.01)),
        yardstick=launches(0.003),
    )
    (limit,) = against(Limit(LimitKind.REGRESSION, 0.1, "10%"), LATENCY, evidence).limits
    assert limit.status is Status.FAIL
    assert "has no yardstick" in limit.reason
    assert limit.notes == ("absolutely: +99.8 % (this decides)",)


def test_the_age_of_a_baseline_is_that_of_the_metric_s_own_session() -> None:
    """A later session that renewed another metric resets no age, and is not compared with."""
    before = stored(0.01)
    origin = before.latest.model_copy(update={"recorded": "2026-11-01T00:00:00+00:00"})
    evidence = Evidence(
        record=recipe("candidate", 0.01),
        reference=recipe("reference", 0.02),
        baseline=before.model_copy(update={"origins": (origin,)}),
        reference_baseline=stored(0.02),
        yardstick=launches(0.003),
    )
    verdict = against(Limit(LimitKind.REGRESSION, 0.1, "10%"), LATENCY, evidence)
    assert verdict.baseline_age == pytest.approx(origin.age_days(NOW))
    assert "baseline of 2026-11-01" in verdict.limits[0].against
    assert "was recorded in another session" in verdict.limits[0].notes[-1]


@pytest.mark.parametrize("metric", ["latency_p50", "device_memory"])
def test_a_stored_value_of_zero_is_no_crash(metric: str) -> None:
    """Whatever was measured since is worse, in a way that no percentage says."""
    unit = PERFORMANCE[metric].unit
    zero = StoredMetric(unit=unit, value=0.0, launches=(0.0,) * 10, yardstick=(0.003,) * 10)
    before = stored(0.02).metrics["latency_p50"]
    memory = {"device_memory_process": 4096}
    now = [
        recipe(name, 0.01).model_copy(
            update={"launches": tuple(each.model_copy(update=memory) for each in launches(0.01))}
        )
        for name in ("candidate", "reference")
    ]
    evidence = Evidence(
        record=now[0],
        reference=now[1],
        baseline=stored(0.01).model_copy(update={"metrics": {metric: zero}}),
        reference_baseline=stored(0.02).model_copy(update={"metrics": {metric: before}}),
        yardstick=launches(0.003),
    )
    limit = Limit(LimitKind.REGRESSION, 0.1, "10%")
    found = against(limit, PERFORMANCE[metric], evidence)
    assert found.status is Status.FAIL
    assert len(found.limits[0].notes) == 1  # the comparison that decides, and no other


@pytest.mark.parametrize(
    ("recorded", "metric", "says"),
    [
        ("", "latency_p50", "through reference: +100"),
        ("2026-11-01T00:00:00+00:00", "latency_p50", "was recorded in another session"),
        ("", "latency_p99", ""),
    ],
)
def test_the_way_through_the_reference_needs_its_baseline_of_that_session(
    recorded: str, metric: str, says: str
) -> None:
    """Two sessions' references are not laid beside each other, and one without the metric is not
    mentioned.
    """
    before = stored(0.02)
    before = before.model_copy(
        update={
            "recorded": recorded or before.recorded,
            "metrics": {metric: before.metrics["latency_p50"]},
        }
    )
    evidence = Evidence(
        record=recipe("candidate", 0.02),
        reference=recipe("reference", 0.02),
        baseline=stored(0.01),
        reference_baseline=before,
        yardstick=launches(0.003),
    )
    (limit,) = against(Limit(LimitKind.REGRESSION, 0.1, "10%"), LATENCY, evidence).limits
    ways = [note for note in limit.notes if note.startswith("through reference:")]
    assert len(ways) == bool(says)
    assert says in " ".join(ways)
    assert limit.status is Status.FAIL


@pytest.mark.parametrize("stretches", [(), (100.0,)])
def test_growth_of_one_stretch_is_no_record(stretches: tuple[float, ...]) -> None:
    """From one stretch no spread is known: it is refused where it is read."""
    with pytest.raises(ValueError, match="at least 2 items"):
        Growth(stretches=stretches, images=1000, warm_up=100)


def test_the_smallest_provable_change_of_a_score_is_a_difference() -> None:
    """Half of the interval's width: a score moves within 0 to 1, and not by a factor."""
    few = ratio([1, *[0] * 5], [1] * 6)
    scores = accuracy("a", ratio=few, agreement=1 / 6)
    limit = Limit(LimitKind.MIN, 0.2, "0.2")
    verdict = against(limit, AGREEMENT, Evidence(record=scored("candidate", scores)))
    assert verdict.status is Status.INCONCLUSIVE
    result = verdict.limits[0]
    assert result.smallest == pytest.approx((result.high - result.low) / 2)
    assert f"proven is about {result.smallest:.4f}" in result.reason


def test_growth_that_was_not_measured_never_passes() -> None:
    """Not under the widest budget either."""
    evidence = Evidence(record=recipe("candidate", 0.01))
    most = Limit(LimitKind.MAX, 1e12, "1 TB")
    found = against(most, PERFORMANCE["memory_growth"], evidence)
    assert found.status is Status.ERROR
    assert "was not measured" in found.reason


def test_undecided_growth_asks_for_a_wider_budget() -> None:
    """More launches would not help: there is one long run."""
    growth = Growth(stretches=(-4e6, 5e6, -3e6, 4e6), images=4000, warm_up=100)
    record = recipe("candidate", 0.01).model_copy(update={"growth": growth})
    metric = PERFORMANCE["memory_growth"]
    found = against(Limit(LimitKind.MAX, 1e6, "1 MB"), metric, Evidence(record=record))
    assert found.status is Status.INCONCLUSIVE
    assert "one run cannot distinguish a leak" in found.next_step


def test_a_stored_launch_beyond_all_others_leaves_no_infinite_number() -> None:
    """A baseline that somebody has edited: undecided, and a record that can be stored."""
    baseline = stored(0.010)
    metric = baseline.metrics["latency_p50"]
    edited = metric.model_copy(update={"launches": (*metric.launches[:-1], 1e300)})
    evidence = Evidence(
        record=recipe("candidate", 0.01),
        reference=recipe("reference", 0.02),
        baseline=baseline.model_copy(update={"metrics": {"latency_p50": edited}}),
        yardstick=launches(0.003),
    )
    budget = Budget("latency_p50", (Limit(LimitKind.REGRESSION, 0.05, "5%"),))
    verdict = judge(budget, LATENCY, evidence, RISK, NOW)
    assert verdict.status is Status.INCONCLUSIVE
    assert verdict.limits[0].smallest is None
