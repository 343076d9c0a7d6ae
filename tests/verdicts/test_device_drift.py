"""Stored times of a GPU go through its own yardstick: the cores may drift without it, and it
without them.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pytest_perfgate.baselines.baseline import Baseline
from pytest_perfgate.baselines.changes import propose
from pytest_perfgate.baselines.correction import Corrects, corrected_by
from pytest_perfgate.baselines.store import rendered
from pytest_perfgate.baselines.update import baseline_of
from pytest_perfgate.metric import PERFORMANCE
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.verdict import LimitResult, Status
from pytest_perfgate.records.yardsticks import device_values
from pytest_perfgate.verdicts.evidence import Evidence
from pytest_perfgate.verdicts.judge import judge

from tests.machine.recorded import UUID, uuid
from tests.verdicts.judging import MACHINE, NOW, RISK, launches, recipe, stored

HOST, DEVICE = 0.004, 0.006  # of an inference of 10 ms


def yardstick(seconds: float) -> tuple[Launch, ...]:
    """The GPU's yardstick, as launches measure it: host and device time beside each other."""
    return tuple(
        launch.model_copy(update={"device": launch.inference}) for launch in launches(seconds)
    )


def on_gpu(cores: float = 1.0, gpu: float = 1.0, code: float = 1.0) -> RecipeRecord:
    """A recipe on a GPU, on a machine whose cores and GPU take so many times as long."""
    record = recipe("candidate", HOST * cores + DEVICE * gpu * code)
    of_device = launches(DEVICE * gpu * code)
    return record.model_copy(
        update={
            "runtime_facts": {"device_uuid": UUID},
            "launches": tuple(
                launch.model_copy(update={"device": beside.inference})
                for launch, beside in zip(record.launches, of_device, strict=True)
            ),
        }
    )


def baseline(record: RecipeRecord, cores: float = 1.0, gpu: float = 1.0) -> Baseline:
    """What a session on that machine stores."""
    suite: Any = SimpleNamespace(
        title="s",
        folder="suites/s",
        yardstick=launches(0.002 * cores),
        device_yardsticks={UUID: yardstick(0.003 * gpu)},
    )
    session: Any = SimpleNamespace(
        started=stored(0.01).recorded,
        commit="",
        dirty=False,
        machine=MACHINE,
        environment=stored(0.01).environment,
    )
    return baseline_of(session, suite, record, PERFORMANCE)


def judged(
    metric: str, cores: float, gpu: float, code: float = 1.0, *, yardsticks: bool = True
) -> LimitResult:
    """A regression of 30 % beside a baseline of the calm machine."""
    evidence = Evidence(
        record=on_gpu(cores, gpu, code),
        baseline=baseline(on_gpu()),
        yardstick=launches(0.002 * cores),
        device_yardsticks={UUID: yardstick(0.003 * gpu)} if yardsticks else {},
    )
    budget = Budget(metric, (Limit(LimitKind.REGRESSION, 0.3, "30%"),))
    return judge(budget, PERFORMANCE[metric], evidence, RISK, NOW).limits[0]


@pytest.mark.parametrize(
    ("cores", "gpu", "code", "status"),
    [
        (1.0, 1.0, 1.0, Status.PASS),
        (2.0, 1.0, 1.0, Status.PASS),  # the cores drift: the device's time knows nothing of it
        (0.5, 1.0, 1.0, Status.PASS),
        (1.0, 1.5, 1.0, Status.PASS),  # the GPU drifts: that is removed
        (1.0, 1.0, 1.5, Status.FAIL),  # neither drifts: it is the code
        (1.5, 1.0, 1.5, Status.FAIL),  # slower cores excuse nothing of a device
    ],
)
def test_a_devices_time_goes_through_the_devices_yardstick(
    cores: float, gpu: float, code: float, status: Status
) -> None:
    """Recorded values of a machine whose cores or whose GPU take longer than when it was stored."""
    limit = judged("device_time_p50", cores, gpu, code)
    assert limit.status is status
    assert limit.estimate == pytest.approx(code, rel=0.01)
    assert "through the GPU's yardstick" in limit.notes[0]
    assert "this decides" in limit.notes[0]
    assert "widens" not in limit.reason


@pytest.mark.parametrize(
    ("cores", "gpu", "code", "status", "estimate"),
    [
        (1.0, 1.0, 1.0, Status.PASS, 1.0),
        (2.0, 1.0, 1.0, Status.INCONCLUSIVE, 1.4),  # not the GPU's, and never called the code's
        (1.0, 1.5, 1.0, Status.PASS, 1.3 / 1.5 ** (6 / 13 * 1.5)),
        (1.0, 1.0, 2.0, Status.FAIL, 1.6),
    ],
)
def test_host_latency_mixes_both_and_says_which_decided(
    cores: float, gpu: float, code: float, status: Status, estimate: float
) -> None:
    """The GPU's yardstick decides; what the cores' drift may have moved of the host's share of the
    time widens the bounds, so that slower cores turn nothing red.
    """
    limit = judged("latency_p50", cores, gpu, code)
    assert limit.status is status
    assert limit.estimate == pytest.approx(estimate, rel=0.01)
    assert "through the GPU's yardstick" in limit.notes[0]
    assert "this decides" in limit.notes[0]
    assert any(line.startswith("absolutely: ") for line in limit.notes)
    assert any(line.startswith("through the cores' yardstick: ") for line in limit.notes)
    assert ("cores' drift, +100.0 %, widens the bounds" in limit.reason) is (cores == 2.0)


def test_without_the_gpus_yardstick_absolute_times_decide() -> None:
    """That of the cores is no stand-in for it."""
    limit = judged("latency_p50", 2.0, 1.0, yardsticks=False)
    assert limit.estimate == pytest.approx(1.4, rel=0.01)
    assert "this session has no yardstick of it" in limit.reason
    assert "absolute times decide" in limit.reason


def test_the_stages_on_the_cores_go_through_the_cores() -> None:
    """Of a recipe on a GPU too; loading goes through neither, memory and energy are no times."""
    record = on_gpu()
    by = {name: corrected_by(PERFORMANCE[name], record) for name in PERFORMANCE}
    assert by["preprocess_p50"] is by["postprocess_p50"] is Corrects.CORES
    assert by["latency_p95"] is by["device_time_p50"] is by["throughput"] is Corrects.DEVICE
    assert by["load_time"] is by["device_memory"] is by["energy"] is Corrects.NONE
    on_cores = recipe("candidate", 0.01)
    assert corrected_by(PERFORMANCE["load_time"], on_cores) is Corrects.CORES
    assert corrected_by(PERFORMANCE["device_time_p50"], on_cores) is Corrects.NONE


def test_several_gpus_are_corrected_by_all_of_theirs() -> None:
    """The geometric mean of those that the recipe runs on; one that is missing leaves none."""
    yardsticks = {uuid(0): yardstick(0.001)[:1], uuid(1): yardstick(0.004)[:1]}
    (value,) = device_values(yardsticks, [uuid(0), uuid(1)]).values()
    assert value == pytest.approx(0.002, rel=0.02)
    assert device_values(yardsticks, [uuid(0), uuid(2)]) == {}
    assert device_values(yardsticks, []) == {}


def test_a_gpu_that_drifts_moves_no_baseline() -> None:
    """Nor do the cores; code that got slower does. Of a recipe on the cores nothing is stored."""
    before = baseline(on_gpu())

    def kinds(cores: float, gpu: float, code: float = 1.0) -> dict[str, str]:
        new = baseline(on_gpu(cores, gpu, code), cores, gpu)
        changes = propose({"candidate": before}, {"candidate": new}, PERFORMANCE)
        return {change.metric: change.kind for change in changes}

    assert kinds(1.0, 1.5) == {}
    assert kinds(2.0, 1.0) == {}
    assert kinds(1.0, 1.0, 1.5)["device_time_p50"] == "loosen"
    assert "device_yardstick" in rendered(before)[0]
    assert "device_yardstick" not in rendered(baseline(recipe("candidate", 0.01)))[0]
