"""What was not measured alike is never compared, and the reason says in what it differs."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_perfgate.metric import PERFORMANCE
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.verdicts.evidence import Base, Evidence
from pytest_perfgate.verdicts.judge import judge
from pytest_perfgate.verdicts.shown_values import summarise

from tests.verdicts.judging import NOW, RISK, recipe, stored

PEAK = PERFORMANCE["peak_memory"]
REGRESSION = Budget("peak_memory", (Limit(LimitKind.REGRESSION, 0.1, "10%"),))
REPLICAS = {"workload": {"name": "replicas", "options": {"devices": 2}}}


def beside(batch: int, factor: float = 1.0, **more: Any) -> RecipeRecord:
    """A recipe whose launches ran batches of this size (0: none), and its peak of memory."""
    record = recipe("candidate", 0.01)
    changed = {"batches": (0.08,) if batch else (), "batch_size": batch or 8}
    launches = tuple(
        launch.model_copy(update=changed | {"peak_memory": round(factor * 1e8)})
        for launch in record.launches
    )
    return record.model_copy(update={"launches": launches, **more})


@pytest.mark.parametrize(
    ("there", "word"),
    [
        (beside(0, 0.25), "it ran no batches there, batches of 8 here"),
        (beside(4, 0.6), "it ran batches of 4 there, batches of 8 here"),
        (beside(8, 1.0, spec=REPLICAS), "other work: replicas (devices = 2) there, images here"),
    ],
)
def test_a_peak_of_other_work_is_no_regression(there: RecipeRecord, word: str) -> None:
    """Identical code of which one side ran batches was "worse by 277 %"."""
    here = beside(8)
    evidence = Evidence(
        record=here, base=Base("main (1a2b3c4)", there), metrics={"peak_memory": PEAK}
    )
    verdict = judge(REGRESSION, PEAK, evidence, RISK, NOW)
    assert verdict.status is Status.NO_BASELINE
    assert word in verdict.reason
    (summary,) = summarise(evidence)
    assert summary.base is None


def test_what_was_measured_alike_is_compared() -> None:
    """Both sides ran batches of 8: the value stands on the page, and the verdict is reached."""
    evidence = Evidence(
        record=beside(8), base=Base("main", beside(8)), metrics={"peak_memory": PEAK}
    )
    assert judge(REGRESSION, PEAK, evidence, RISK, NOW).status is Status.PASS
    (summary,) = summarise(evidence)
    assert summary.base == pytest.approx(1e8)


@pytest.mark.parametrize(
    ("batch", "status"), [(8, Status.PASS), (4, Status.NO_BASELINE), (None, Status.PASS)]
)
def test_a_stored_peak_is_of_its_batches(batch: int | None, status: Status) -> None:
    """A file that does not say how large they were is compared as before."""
    metric = (
        stored(0.01)
        .metrics["latency_p50"]
        .model_copy(
            update={"unit": PEAK.unit, "value": 1e8, "launches": (1e8,) * 10, "batch": batch}
        )
    )
    baseline = stored(0.01).model_copy(update={"metrics": {"peak_memory": metric}})
    verdict = judge(REGRESSION, PEAK, Evidence(record=beside(8), baseline=baseline), RISK, NOW)
    assert verdict.status is status


@pytest.mark.parametrize(
    ("work", "status"),
    [
        ("images", Status.PASS),
        ("", Status.PASS),
        ("batches (size = 8)", Status.NO_BASELINE),
    ],
)
def test_a_stored_time_is_of_its_work(work: str, status: Status) -> None:
    """A batch of 2 is faster than one of 8, and no image is: times of other work are no baseline. A
    file that does not say what its launches did is compared as before.
    """
    baseline = stored(0.01)
    metric = baseline.metrics["latency_p50"].model_copy(update={"work": work})
    baseline = baseline.model_copy(update={"metrics": {"latency_p50": metric}})
    budget = Budget("latency_p50", (Limit(LimitKind.REGRESSION, 0.5, "50%"),))
    evidence = Evidence(record=recipe("candidate", 0.01), baseline=baseline)
    verdict = judge(budget, PERFORMANCE["latency_p50"], evidence, RISK, NOW)
    assert verdict.status is status
    if status is Status.NO_BASELINE:
        assert verdict.reason == (
            "it measures other work: batches (size = 8) there, images here: --perf-update "
            "--perf-reason renews the baseline"
        )
