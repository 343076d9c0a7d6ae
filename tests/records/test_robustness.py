"""Scores of corrupted images are compared only where these were corrupted alike."""

from __future__ import annotations

from pytest_perfgate.baselines.baseline import StoredMetric
from pytest_perfgate.metric import Metric
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.alike import unlike
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.records.robustness import corruption_of, unlike_corruptions
from pytest_perfgate.units import Unit
from pytest_perfgate.verdicts.evidence import Evidence
from pytest_perfgate.verdicts.judge import judge

from tests.verdicts.judging import NOW, RISK, recipe, stored


def accuracy(how: str, *names: str) -> Accuracy:
    """Scores under some corruptions."""
    values = {"map": 0.9, "robustness": 0.5} | {f"map@{name}": 0.4 for name in names}
    common = {"images": 4, "data_digest": "", "predictions_digest": ""}
    return Accuracy(values=values, corrupted_by=how, **common)


METRIC = Metric.score("robustness", "")


def test_other_severities_and_other_corruptions_are_not_compared() -> None:
    """The score under one corruption does not depend on the others, robustness does; clean images
    are always alike.
    """
    ours = accuracy("severities 3, seed 0, all images", "fog", "snow")
    stronger = accuracy("severities 5, seed 0, all images", "fog", "snow")
    fewer = accuracy("severities 3, seed 0, all images", "fog")
    for metric in ("robustness", "map@fog"):
        assert unlike_corruptions(metric, ours, stronger) == (
            "it is of images with severities 5, seed 0, all images, and these have severities 3, "
            "seed 0, all images"
        )
        assert unlike_corruptions(metric, ours, ours) == ""
    assert unlike_corruptions("map", ours, stronger) == ""
    assert unlike_corruptions("map@fog", ours, fewer) == ""
    assert (
        unlike_corruptions("robustness", ours, fewer) == "it is over fog, and this over fog, snow"
    )
    one, other = (
        recipe("candidate", 0.01).model_copy(update={"accuracy": side}) for side in (ours, stronger)
    )
    assert unlike(METRIC, one, other).startswith("it is of images with severities 5")
    assert [corruption_of(name) for name in ("map@fog", "map@night", "map")] == ["fog", "", ""]


def test_a_baseline_of_other_severities_is_none() -> None:
    """It says so, and how to renew it."""
    ours, theirs = accuracy("severities 3", "fog"), accuracy("severities 5", "fog")
    value = StoredMetric(unit=Unit.SCORE, value=0.5)
    baseline = stored(0.01).model_copy(
        update={"accuracy": theirs, "metrics": {"robustness": value}}
    )
    record = recipe("candidate", 0.01).model_copy(update={"accuracy": ours})
    budget = Budget("robustness", (Limit(LimitKind.REGRESSION, 0.01, "0.01"),))
    result = judge(budget, METRIC, Evidence(record, baseline=baseline), RISK, NOW)
    assert result.status == "NO BASELINE"
    assert (
        "of images with severities 5, and these have severities 3: --perf-update" in result.reason
    )
