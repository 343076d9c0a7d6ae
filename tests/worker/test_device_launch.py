"""A real launch whose arms say that they run on a device: times, policies, energy, NVML replayed.

The launch runs in this process, and forks its arms; their sessions are of this file.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.machine import nvml
from pytest_perfgate.machine.cores import usable_cores
from pytest_perfgate.records.recipe import ModelSpec, Suite
from pytest_perfgate.runtimes import InferenceSession
from pytest_perfgate.worker import arm as arms
from pytest_perfgate.worker import launch, protocol, visits

from tests.conftest import scheduling_restored
from tests.machine.recorded import THERMAL, UUID, Host, Recorded, Turns, process, uuid

WORK = 2e-3  # seconds of an inference
ON_DEVICE = 1.5e-3


class DeviceVisit(visits.Visit):
    """An arm that sleeps, and says that it did so on a device."""

    pace = 4 * WORK  # as if its turns took as long as four pieces of the yardstick

    def __init__(self, told: bool = True) -> None:
        super().__init__()
        self.facts = {"device_uuid": UUID} if told else {"device": "cpu"}
        self._told = told

    def sample(self, number: int) -> Sequence[float]:  # noqa: ARG002 - always the same work
        """Sleeps."""
        start = time.perf_counter()
        time.sleep(WORK)
        on_device = ON_DEVICE if self._told else math.nan
        return 0.0, time.perf_counter() - start, 0.0, on_device

    def batch(self) -> float:
        """As long as four."""
        return 4 * WORK

    def inferences(self, seconds: float) -> tuple[float, float]:
        """Fifty of them, once it is asked for any."""
        return seconds, 50.0 * (seconds > 0)

    def peak_memory(self) -> int | None:
        """A megabyte."""
        return 10**6

    def peak_device_memory(self) -> int | None:
        """Its allocator's."""
        return 5 * 10**8 if self._told else None


def recipe_work(label: str, folder: Path) -> protocol.RecipeWork:
    """Work that only names its visit: a suite that an arm enters, a file without images, and
    nothing to open.
    """
    images = folder / "images.npz"
    np.savez(images)
    suite = Suite(
        name="tiny",
        file=folder / "recipes.toml",
        root=folder,
        task="detection",
        model=ModelSpec("squares.onnx"),
        data={},
        trainer="",
        input={},
        output={},
        batch=4,
        threads=1,
        recipes={},
    )
    nothing: Any = None
    return protocol.RecipeWork(suite, label, nothing, folder, images, 20.0, folder / "outputs.npz")


@pytest.fixture
def measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a launch of arms of these labels; gives all that it says, by type and arm."""
    monkeypatch.setattr(arms, "RecipeVisit", lambda work, _: DeviceVisit(work.recipe != "cpu"))
    # This process has more threads of BLAS than a launch, which spin on its one core.
    monkeypatch.setattr(visits.yardstick, "piece", lambda: lambda: time.sleep(1e-4))

    def run(library: nvml.Library | None, *labels: str, **more: Any) -> dict[str, Any]:
        monkeypatch.setattr(nvml, "connect", lambda: (library, "" if library else "no driver"))
        job = protocol.LaunchJob(
            index=0,
            cores=tuple(usable_cores()[:1]),
            preload=(),
            separate=False,
            arms=tuple(
                protocol.ArmSpec(
                    label,
                    sys.executable,
                    work=None if label == protocol.YARDSTICK else recipe_work(label, tmp_path),
                )
                for label in labels
            ),
            ahead=False,
            silence=20.0,
            logs=tmp_path,
        )
        plan = protocol.LaunchPlan(
            blocks=(labels,),
            rounds=8,
            batches=labels,
            energies=labels,
            seconds=10.0,
            started=0.0,
        )
        received: dict[str, Any] = {}

        def hear(message: protocol.Message) -> None:
            protocol.MESSAGES.encode(message)  # it crosses the wall
            kind = type(message).__name__
            received[f"{kind} {getattr(message, 'label', '')}".strip()] = message

        with scheduling_restored():
            launch.launch(job, lambda: replace(plan, **more), hear)
        return received

    return run


def test_times_memory_and_energy_of_a_device(measure: Any) -> None:
    """Host and device times beside each other; joules are the counter's over the inferences."""
    counter = Turns([1_000_000, 1_400_000, 1_500_000, 1_600_000, 1_600_000])
    said = measure(Recorded(DeviceGetTotalEnergyConsumption=counter), "a")
    found = said["ArmMeasured a"].launch
    assert found.device == (ON_DEVICE,) * 8
    assert len(found.inference) == 8
    assert min(found.inference) >= WORK
    assert found.device_memory_allocator == 5 * 10**8
    assert found.energies == (2.0,)  # 100 J over 50 inferences
    assert found.sm_clock == 1695e6
    assert said["ArmMeasured a"].unmeasured == {}
    seen = said["LaunchConditions"].conditions.devices
    assert [device.uuid for device in seen] == [UUID]
    assert seen[0].energy == pytest.approx(400.0)
    assert seen[0].settled is True


def test_the_first_launch_has_a_yardstick_as_long_as_its_arms_turns(measure: Any) -> None:
    """Later ones are told how long that was; the shortest is always there."""
    said = measure(None, "cpu", "yardstick", paced=True, batches=())
    assert said["ArmMeasured yardstick"].launch.values.keys() == {"pieces_4"}
    said = measure(None, "cpu", "yardstick", longest=16, batches=())
    assert said["ArmMeasured yardstick"].launch.values.keys() == {"pieces_4", "pieces_16"}
    assert len(said["ArmMeasured yardstick"].launch.inference) == 8


def test_a_yardstick_that_no_verdict_needs_leaves_its_visits_to_the_others(measure: Any) -> None:
    """In every second of two visits it has half of the rounds; other arms, and a yardstick that
    shares its block, have all of theirs.
    """
    apart = (("cpu",), ("yardstick",))
    said = measure(None, "cpu", "yardstick", blocks=apart, yardstick_every=2, batches=())
    assert len(said["ArmMeasured cpu"].launch.inference) == 8
    assert len(said["ArmMeasured yardstick"].launch.inference) == 4
    said = measure(None, "cpu", "yardstick", yardstick_every=2, batches=())
    assert len(said["ArmMeasured yardstick"].launch.inference) == 8


def test_a_launch_without_a_device_measures_none_of_it(measure: Any) -> None:
    """Its values are absent, and why they are is told."""
    said = measure(None, "cpu")
    found = said["ArmMeasured cpu"].launch
    assert (found.device, found.energies) == ((), ())
    assert found.device_memory_allocator is found.device_memory_process is found.sm_clock is None
    assert (
        said["ArmMeasured cpu"].unmeasured["energy"].startswith("the recipe ran on no NVIDIA GPU; ")
    )
    assert said["LaunchConditions"].conditions.devices == ()


def test_an_arm_without_a_device_has_no_energy_of_the_others(measure: Any) -> None:
    """The counter is the device's: an arm on the cores is not asked for it."""
    said = measure(Recorded(), "a", "cpu")
    assert said["ArmMeasured cpu"].launch.energies == ()
    assert said["ArmMeasured cpu"].unmeasured["energy"] == "the recipe ran on no NVIDIA GPU"


class SeveralVisit(DeviceVisit):
    """An arm that works in two other processes, each on a device, with two times in a turn."""

    columns = ("replica_throughput", "replica_latency", "replica_latency")

    def __init__(self) -> None:
        super().__init__()
        self.facts = {"device_uuid": [uuid(0), uuid(1)]}
        self.processes = (101, 102)

    def sample(self, number: int) -> Sequence[float]:
        """The number of the round is in it."""
        return 7.0, float(number), number + 0.5


class ServedVisit(visits.Visit):
    """An arm whose turn is a run of requests to a server that it started."""

    columns = ("request_latency_p50",)
    runs = 1
    paired = 3

    def sample(self, number: int) -> Sequence[float]:  # noqa: ARG002 - always the same run
        """Its median."""
        return (0.02,)

    def latencies(self, number: int) -> Sequence[float]:
        """Those of three requests; in every other turn the generator is late."""
        return (0.01, 0.02, 0.03) if number % 2 else ()

    def batch(self) -> float:
        """None."""
        return math.nan

    def peak_server_memory(self) -> int | None:
        """Two megabytes."""
        return 2 * 10**6

    def repeated(self) -> tuple[int, str]:
        """Two runs."""
        return 2, "it was late"


def test_a_served_arm_has_one_run_and_turns_that_are_compared(
    measure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it says reaches the session: each request's time, the server's memory, repeated runs."""
    monkeypatch.setattr(arms, "RecipeVisit", lambda *_: ServedVisit())
    said = measure(None, "a", "b", paired=("a", "b"))
    for label in "ab":
        measured = said[f"ArmMeasured {label}"]
        assert measured.repeated == (2, "it was late")
        assert measured.launch.peak_memory == 2 * 10**6
        assert measured.launch.values == {"request_latency_p50": (0.02,)}
        assert measured.launch.pairs == ((), (0.01, 0.02, 0.03)) * 4
    # Nothing is compared: no time is spent on it.
    assert measure(None, "a", "b")["ArmMeasured a"].launch.pairs == ()


def test_an_arm_on_several_devices_is_told_of_all_of_them(
    measure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory of its processes is added up, none of them is somebody else's, and each of a round's
    times is kept.
    """
    monkeypatch.setattr(arms, "RecipeVisit", lambda *_: SeveralVisit())
    listed = [process(101, 10**9), process(102, 2 * 10**9)]
    library = Host("NVIDIA A10", "NVIDIA A10", DeviceGetComputeRunningProcesses=listed)
    said = measure(library, "a")
    found = said["ArmMeasured a"].launch
    assert found.values["replica_throughput"] == (7.0,) * 8
    assert found.values["replica_latency"] == tuple(each / 2 for each in range(16))
    assert found.device_memory_process == 2 * 3 * 10**9  # both devices list both
    assert found.sm_clock == 1695e6
    seen = said["LaunchConditions"].conditions.devices
    assert [device.uuid for device in seen] == [uuid(0), uuid(1)]
    assert [device.others for device in seen] == [0, 0]
    listed.pop()
    said = measure(library, "a")
    assert said["ArmMeasured a"].launch.device_memory_process is None


def test_throttled_rounds_do_not_count_for_any_arm(measure: Any) -> None:
    """The first reading is throttled: the rounds at it are left out of both arms alike."""
    library = Recorded(
        DeviceGetCurrentClocksEventReasons=Turns([THERMAL, THERMAL, *[0] * 10_000]),
    )
    said = measure(library, "a", "b", rounds=32)
    one, two = (said[f"ArmMeasured {name}"].launch for name in "ab")
    seen = said["LaunchConditions"].conditions.devices[0]
    assert one.rounds == two.rounds
    assert len(one.inference) == len(one.rounds) == 32 - seen.rounds_left_out
    assert seen.throttled


def test_blocked_turns_are_an_arms_own_in_a_row(
    measure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four timed ones after one that is not; alternating arms never have five in a row."""
    asked: list[str] = []
    real = launch.Turns._one

    def noted(self: Any, arm: Any, number: int, *, timed: bool) -> None:
        asked.append(arm.label)
        real(self, arm, number, timed=timed)

    monkeypatch.setattr(launch.Turns, "_one", noted)
    said = measure(None, "a", "b", turns="blocked")
    assert [len(set(asked[at : at + 5])) for at in range(0, len(asked), 5)] == [1] * 4
    one, two = (said[f"ArmMeasured {name}"].launch for name in "ab")
    assert one.rounds == two.rounds == tuple(range(8))
    asked.clear()
    measure(None, "a", "b")
    assert all(set(asked[at : at + 2]) == {"a", "b"} for at in range(0, len(asked), 2))


def test_a_parent_that_has_opened_the_device_measures_nothing(
    measure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The launch fails before it forks, which every recipe in it shows as ERROR."""

    def opened() -> None:
        raise RuntimeFault("the launch's parent has opened CUDA before it forked its arms")

    monkeypatch.setattr("pytest_perfgate.worker.arm_process.refuse_opened", opened)
    with pytest.raises(RuntimeFault, match="opened CUDA"):
        measure(None, "a")


class Plain(InferenceSession):
    """A session without a device."""

    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """The batch."""
        return (inputs.images,)


class Flushed(Plain):
    """A session that can flush."""

    def flush_cache(self) -> bool:
        """Nothing to wait for."""
        return True


def test_a_flush_that_a_runtime_cannot_do_is_a_fault() -> None:
    """Never a measurement with a warm cache under the name of a cold one."""
    assert visits.flush_of(Plain(), "rotate") is None
    assert visits.flush_of(Flushed(), "rotate") is None
    assert visits.flush_of(Flushed(), "flush_l2") is not None
    with pytest.raises(RuntimeFault, match="cannot flush a device cache"):
        visits.flush_of(Plain(), "flush_l2")
