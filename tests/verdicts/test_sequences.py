"""Verdicts on scores whose sample is the sequence: few of them are called few."""

from __future__ import annotations

import numpy as np
import pytest
from pytest_perfgate.metric import Metric
from pytest_perfgate.records.accuracy import Accuracy, Packed, Ratio
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.records.verdict import Verdict
from pytest_perfgate.tasks.tracking import METRICS
from pytest_perfgate.verdicts.accuracy_intervals import accuracy_interval
from pytest_perfgate.verdicts.evidence import Evidence
from pytest_perfgate.verdicts.judge import judge

from tests.verdicts.judging import NOW, RISK, recipe


def accuracy(name: str, tops: list[float], bottom: float = 100.0) -> Accuracy:
    """A score of as many sequences, of so many boxes each."""
    top, below = np.array(tops), np.full(len(tops), bottom)
    return Accuracy(
        values={name: float(top.sum() / below.sum())},
        images=len(tops),
        unit="sequence",
        data_digest="d",
        predictions_digest=str(tops),
        ratios={name: Ratio(numerator=Packed.of(top), denominator=Packed.of(below))},
    )


def verdict(metric: Metric, limit: Limit, ours: Accuracy, theirs: Accuracy) -> Verdict:
    """The verdict on a recipe beside its reference."""
    evidence = Evidence(
        record=recipe("candidate", 0.01).model_copy(update={"accuracy": ours}),
        reference=recipe("reference", 0.02).model_copy(update={"accuracy": theirs}),
    )
    return judge(Budget(metric.name, (limit,)), metric, evidence, RISK, NOW)


@pytest.mark.parametrize(("count", "few"), [(5, True), (7, True), (8, False)])
@pytest.mark.parametrize("kind", [LimitKind.MIN, LimitKind.DROP])
def test_fewer_than_eight_sequences_are_named(count: int, few: bool, kind: LimitKind) -> None:
    """However many boxes they have."""
    better = [40.0 + number for number in range(count)]
    worse = [value - 5 for value in better]
    ours, theirs = accuracy("hota", worse), accuracy("hota", better)
    result = verdict(METRICS["hota"], Limit(kind, 0.3, "0.3"), ours, theirs)
    assert (f"a rough interval, over {count} sequences" in result.reason) == few
    assert "bootstrap over sequences" in str(result)


def test_an_interval_of_one_sequence_decides_nothing() -> None:
    """It says so in sequences, not in images."""
    ours, theirs = accuracy("hota", [40.0]), accuracy("hota", [45.0])
    result = verdict(METRICS["hota"], Limit(LimitKind.MIN, 0.39, "0.39"), ours, theirs)
    assert result.status == "INCONCLUSIVE"
    assert "1 sequence" in result.reason


def test_mota_and_switches_have_ranges_of_their_own() -> None:
    """A score below 0, and a count above 1, lie inside their intervals."""
    low = accuracy_interval(accuracy("mota", [-20.0, -60.0, -40.0] * 4), "mota", 0.05)
    assert low.low < low.estimate == -0.4 < low.high < 0
    many = accuracy_interval(
        accuracy("id_switches", [3.0, 5.0, 4.0] * 4, 1 / 12), "id_switches", 0.05
    )
    assert many.estimate == pytest.approx(48.0)
    assert 30 < many.low < many.estimate < many.high < 70
