"""Budgets on peak memory, whose launches scatter by less than a percent."""

from __future__ import annotations

import pytest
from pytest_perfgate.metric import PERFORMANCE
from pytest_perfgate.records.launch_values import batch_of
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.stats.sequential import fewest
from pytest_perfgate.verdicts.evidence import Base, Evidence
from pytest_perfgate.verdicts.judge import judge

from tests.verdicts.judging import NOW, RISK, launches, stored

PEAK = PERFORMANCE["peak_memory"]
OF_LAUNCH = (1.0, 1.008, 0.994, 1.006, 1.0, 0.992)  # what a parent has in common
OF_ARM = (1.0, 1.002, 0.999, 0.998, 1.001)


def record(name: str, factor: float, count: int) -> RecipeRecord:
    """A recipe whose peaks scatter as they were measured to."""
    return RecipeRecord(
        name=name,
        reference=name,
        launches=tuple(
            launch.model_copy(
                update={
                    "peak_memory": round(1e8 * factor * OF_LAUNCH[at % 6] * OF_ARM[at * 2 % 5]),
                    "peak_batch": 8,
                }
            )
            for at, launch in enumerate(launches(0.01, count))
        ),
    )


@pytest.mark.parametrize("growth", [1.05, 1.0])
def test_five_percent_are_red_with_the_launches_that_a_time_needs(growth: float) -> None:
    """At a limit of 2 %, and not before; as much as there was is green after the fewest."""
    enough = fewest(RISK.fail)
    statuses = {}
    for count in range(4, enough + 1):
        base = Base("main (1a2b3c4)", record("candidate", 1.0, count))
        evidence = Evidence(record("candidate", growth, count), base=base)
        budget = Budget("peak_memory", (Limit(LimitKind.REGRESSION, 0.02, "2%"),))
        statuses[count] = judge(budget, PEAK, evidence, RISK, NOW).status
    if growth == 1.0:
        assert set(statuses.values()) == {Status.PASS}
        return
    assert statuses.pop(enough) is Status.FAIL
    assert set(statuses.values()) == {Status.INCONCLUSIVE}


def test_a_stored_peak_of_another_definition_is_no_baseline() -> None:
    """Beside it a peak twice as large would pass; the reason tells how to renew it."""
    budget = Budget("peak_memory", (Limit(LimitKind.REGRESSION, 0.05, "5%"),))
    before = stored(0.01).model_copy(update={"redefined": ("peak_memory",)})
    evidence = Evidence(record("candidate", 2.0, 14), baseline=before)
    verdict = judge(budget, PEAK, evidence, RISK, NOW)
    assert verdict.status is Status.NO_BASELINE
    assert verdict.reason == (
        "the stored peak_memory is by an earlier definition, and is not compared: "
        "--perf-update renews it"
    )


def test_the_batch_of_a_peak_is_its_own() -> None:
    """It ran in another process than the batches that are timed; records of before have no word."""
    (launch,) = record("candidate", 1.0, 1).launches
    assert batch_of(launch, "peak_memory") == 8
    assert batch_of(launch, "throughput") == 0
    before = launch.model_copy(update={"peak_batch": None, "batches": (0.1,), "batch_size": 4})
    assert batch_of(before, "peak_memory") == 4
