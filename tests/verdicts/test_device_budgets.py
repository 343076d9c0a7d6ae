"""Budgets on what only a device has: kept, broken, and never passed where nothing was measured."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_perfgate.baselines.baseline import StoredMetric
from pytest_perfgate.baselines.update import baseline_of
from pytest_perfgate.machine import gpu_sensors
from pytest_perfgate.machine.pipes import PipeReader
from pytest_perfgate.metric import PERFORMANCE
from pytest_perfgate.records.launch_values import launch_value
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.units import Unit
from pytest_perfgate.verdicts.evidence import Evidence
from pytest_perfgate.verdicts.judge import judge
from pytest_perfgate.worker import launch
from pytest_perfgate.worker.arm_process import HeldArm

from tests.machine.recorded import UUID, Recorded
from tests.verdicts.judging import MACHINE, NOW, RISK, SPREAD, launches, recipe, stored

VALUES: dict[str, dict[str, Any]] = {
    "device_memory": {"device_memory_process": 800_000_000, "device_memory_allocator": 10},
    "energy": {"energies": (0.9, 1.0, 1.4)},
    "device_time_p50": {"device": (0.008,) * 3},
}


def on_a_device(**scaled: Any) -> RecipeRecord:
    """A recipe with these values in every launch."""
    record = recipe("candidate", 0.010)
    return record.model_copy(
        update={"launches": tuple(each.model_copy(update=scaled) for each in record.launches)}
    )


def verdict(metric: str, record: RecipeRecord, limit: float, kind: LimitKind) -> Verdict:
    """On one limit, without a reference."""
    budget = Budget(metric, (Limit(kind, limit, str(limit)),))
    return judge(budget, PERFORMANCE[metric], Evidence(record=record), RISK, NOW)


@pytest.mark.parametrize(
    ("metric", "value"), [("device_memory", 8e8), ("energy", 1.0), ("device_time_p50", 0.008)]
)
def test_a_budget_is_kept_and_broken(metric: str, value: float) -> None:
    """Of energy the median of a launch counts, of memory the process's where it is known."""
    record = on_a_device(**VALUES[metric])
    assert launch_value(record.launches[0], metric) == value
    assert verdict(metric, record, value * 1.1, LimitKind.MAX).status is Status.PASS
    assert verdict(metric, record, value * 0.9, LimitKind.MAX).status is Status.FAIL


@pytest.mark.parametrize("metric", VALUES)
def test_what_was_not_measured_never_passes_and_says_what_is_missing(metric: str) -> None:
    """On a machine without a GPU: ERROR, the reason, and what to do."""
    record = recipe("candidate", 0.010).model_copy(
        update={"unmeasured": {metric: "the recipe ran on no NVIDIA GPU"}}
    )
    found = verdict(metric, record, 1e12, LimitKind.MAX)
    assert found.status is Status.ERROR
    assert found.value is None
    assert found.reason == f"{metric} was not measured: the recipe ran on no NVIDIA GPU"
    assert "pip install 'pytest-perfgate[gpu]'" in found.next_step


def test_a_fixed_batch_says_why_there_is_no_throughput() -> None:
    """The artifact's batch and the suite's, and how to make them one."""
    process: Any = SimpleNamespace(pid=4711)
    arm = HeldArm("a", process, 0, PipeReader(0), Path(), batch_size=8, fixed_batch=1)
    reasons = launch._unmeasured(arm, gpu_sensors.Devices(None, [], []))
    record = recipe("candidate", 0.010).model_copy(update={"unmeasured": reasons})
    found = verdict("throughput", record, 1.0, LimitKind.MIN)
    assert found.status is Status.ERROR
    assert found.reason.endswith(
        "not measured: the artifact takes batches of 1, and the suite's batch is 8"
    )
    assert found.next_step.startswith("set batch in [suite]")
    arm.fixed_batch = 8
    assert "throughput" not in launch._unmeasured(arm, gpu_sensors.Devices(None, [], []))


def test_where_no_process_is_told_the_allocators_memory_counts() -> None:
    """As in many containers; without either there is no value."""
    (first, *_) = on_a_device(device_memory_allocator=5_000_000).launches
    assert launch_value(first, "device_memory") == 5e6
    assert launch_value(launches(0.01)[0], "device_memory") is None


def test_a_launch_says_why_it_has_no_value() -> None:
    """No device; a runtime that does not tell its time; a device without a counter."""
    process: Any = SimpleNamespace(pid=4711)
    arm = HeldArm("a", process, 0, PipeReader(0), Path())  # it says nothing
    nowhere = gpu_sensors.Devices(None, [], [], problem="nvidia-ml-py is not installed")
    found = launch._unmeasured(arm, nowhere)
    assert found.keys() == VALUES.keys()
    assert found["energy"] == "the recipe ran on no NVIDIA GPU; nvidia-ml-py is not installed"
    arm.facts = {"device_uuid": UUID}
    arm.times = [(0.0, 0.01, 0.0, float("nan"))]
    here = gpu_sensors.Devices(Recorded(DeviceGetTotalEnergyConsumption=None), [UUID], [4711])
    assert launch._unmeasured(arm, here) == {
        "device_time_p50": "its runtime does not report the time on the device",
        "device_memory": "NVML does not report it for this device",
        "energy": "NVML does not report it for this device",
    }
    arm.facts["device_time_problem"] = "pycuda is not installed: pip install pycuda"
    found = launch._unmeasured(arm, here)
    assert found["device_time_p50"].endswith(
        "on the device: pycuda is not installed: pip install pycuda"
    )
    assert found["device_memory"].endswith(
        "nor does its runtime: pycuda is not installed: pip install pycuda"
    )
    arm.times, arm.device_memory_process = [(0.0, 0.01, 0.0, 0.009)], 10**9
    assert launch._unmeasured(arm, gpu_sensors.Devices(Recorded(), [UUID], [4711])) == {}


def test_a_regression_at_equal_cycles_is_named_as_the_clocks() -> None:
    """10 ms when it was stored at 1.6 GHz, 12.5 ms now at 1.28 GHz."""
    metric = "device_time_p50"
    record = on_a_device(device=(0.0125,) * 3, sm_clock=1.28e9)
    values = tuple(0.010 * each for each in SPREAD)
    before = StoredMetric(
        unit=Unit.SECONDS, value=0.010, launches=values, clocks=(1.6e9,) * len(values)
    )
    evidence = Evidence(
        record=record, baseline=stored(0.010).model_copy(update={"metrics": {metric: before}})
    )
    budget = Budget(metric, (Limit(LimitKind.REGRESSION, 0.05, "5%"),))
    (limit,) = judge(budget, PERFORMANCE[metric], evidence, RISK, NOW).limits
    assert limit.status is Status.FAIL
    assert any(
        "in cycles of the GPU" in line and "+0.0 %: a clock effect" in line for line in limit.notes
    )
    assert not any("yardstick" in line for line in limit.notes)  # that is work of the cores


def test_equal_cycles_are_not_claimed_of_another_machine_state() -> None:
    """At the same clock the same difference is the code's."""
    record = on_a_device(device=(0.0125,) * 3, sm_clock=1.6e9)
    values = tuple(0.010 * each for each in SPREAD)
    before = StoredMetric(unit=Unit.SECONDS, value=0.010, launches=values, clocks=(1.6e9,) * 10)
    baseline = stored(0.010).model_copy(update={"metrics": {"device_time_p50": before}})
    budget = Budget("device_time_p50", (Limit(LimitKind.REGRESSION, 0.05, "5%"),))
    found = judge(
        budget,
        PERFORMANCE["device_time_p50"],
        Evidence(record=record, baseline=baseline),
        RISK,
        NOW,
    )
    assert not any("clock effect" in line for line in found.limits[0].notes)


@pytest.mark.parametrize(
    ("cores", "device", "status"),
    [
        (1.0, 1.0, Status.PASS),
        (1.25, 1.0, Status.PASS),  # the cores are slower, the GPU is not: nothing to take out
        (0.8, 1.0, Status.PASS),  # and the reverse
        (1.25, 1.25, Status.FAIL),  # a slower GPU is not excused by slower cores
        (1.0, 1.25, Status.FAIL),
    ],
)
def test_times_of_a_gpu_are_not_corrected_by_the_cores(
    cores: float, device: float, status: Status
) -> None:
    """Host latency of a recipe on a GPU, 10 ms when it was stored; the note says what decided."""
    metric = "latency_p50"
    record = recipe("candidate", 0.010 * device).model_copy(
        update={"runtime_facts": {"device_uuid": UUID}}
    )
    evidence = Evidence(record=record, baseline=stored(0.010), yardstick=launches(0.003 * cores))
    budget = Budget(metric, (Limit(LimitKind.REGRESSION, 0.15, "15%"),))
    (limit,) = judge(budget, PERFORMANCE[metric], evidence, RISK, NOW).limits
    assert limit.status is status
    assert limit.estimate == pytest.approx(device, rel=0.01)
    assert any("absolutely: " in line and "this decides" in line for line in limit.notes)


@pytest.mark.parametrize(("facts", "kept"), [({}, 14), ({"device_uuid": UUID}, 0)])
def test_a_baseline_of_a_gpu_has_no_times_of_the_cores(facts: dict[str, Any], kept: int) -> None:
    """What is stored of a recipe on the cores has the yardstick beside each launch."""
    record = recipe("candidate", 0.010).model_copy(update={"runtime_facts": facts})
    suite: Any = SimpleNamespace(
        title="s", folder="suites/s", yardstick=launches(0.003), device_yardsticks={}
    )
    session: Any = SimpleNamespace(
        started=NOW.isoformat(),
        commit="",
        dirty=False,
        machine=MACHINE,
        environment=stored(0.010).environment,
    )
    baseline = baseline_of(session, suite, record, PERFORMANCE)
    assert baseline.metrics["latency_p50"].work == "images"
    assert len(baseline.metrics["latency_p50"].yardstick) == kept
    assert len(baseline.metrics["latency_p50"].launches) == 14
