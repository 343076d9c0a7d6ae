"""What a launch makes of its devices' readings, and that its parent opens none of them."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.machine import cuda_context, gpu_sensors
from pytest_perfgate.machine.gpu_sensors import Devices
from pytest_perfgate.machine.nvml import Reading

from tests.machine.recorded import POWER_CAP, THERMAL, UUID, Recorded, Turns, memory, process


def readings(*reasons: int | None, every: float = 1.0) -> list[Reading]:
    """One reading a second, with these clocks event reasons."""
    return [Reading(at=index * every, reasons=bits) for index, bits in enumerate(reasons)]


def test_conditions_are_of_the_launchs_rounds() -> None:
    """Energy is the counter's difference, another process is counted, and nothing is made up."""
    library = Recorded(
        DeviceGetTotalEnergyConsumption=Turns([1_000_000, 1_250_000]),
        DeviceGetClockInfo={1: Turns([1695, 1500]), 2: 6251},
        DeviceGetComputeRunningProcesses=[process(4711, 10**9), process(99, 10**8)],
        DeviceGetTemperature=None,
    )
    devices = Devices(library, [UUID], [4711])
    devices.start()
    devices.look()
    devices.stop()
    (observed,) = devices.conditions(rounds=8, left_out=1)
    assert observed.energy == pytest.approx(250.0)
    assert (observed.sm_clock_lowest, observed.sm_clock_mean) == (1500e6, pytest.approx(1597.5e6))
    assert observed.temperature is None
    assert observed.others == 1
    assert (observed.rounds, observed.rounds_left_out) == (8, 1)
    assert observed.throttled == 0.0
    assert devices.peak(4711) == 10**9
    assert devices.peak(1) is None


def test_a_device_without_nvml_is_named_and_nothing_else() -> None:
    """What could not be read is none of it zero."""
    devices = Devices(None, [UUID], [1], problem="nvidia-ml-py is not installed")
    assert devices
    devices.start()
    devices.stop()
    (observed,) = devices.conditions(rounds=8, left_out=0)
    assert (observed.uuid, observed.problem) == (UUID, "nvidia-ml-py is not installed")
    assert (observed.sm_clock_mean, observed.energy, observed.throttled, observed.others) == (
        None,
    ) * 4
    assert devices.energy() is None
    assert devices.sm_clock(UUID) is None


def test_without_a_device_there_is_nothing() -> None:
    """A launch on the cores alone has no conditions of devices, and waits for no clocks."""
    devices = Devices(Recorded(), [], [1])
    turns: list[int] = []
    devices.settle(lambda: turns.append(1), 5.0)
    devices.start()
    devices.stop()
    assert not devices
    assert not turns
    assert devices.conditions(4, 0) == ()


def test_a_device_is_found_by_the_processes_on_it() -> None:
    """A runtime that does not tell which device it uses is seen on it all the same."""
    assert Devices(Recorded(), [], [4711])


def test_a_device_that_nvml_does_not_know_is_said_so() -> None:
    """And not taken for another."""
    devices = Devices(Recorded(), ["GPU-other"], [1])
    devices.start()
    devices.stop()
    (observed,) = devices.conditions(1, 0)
    assert "GPU-other" in observed.problem


def test_a_counter_that_began_anew_gives_no_energy() -> None:
    """After a reset of the driver the difference would be negative."""
    library = Recorded(DeviceGetTotalEnergyConsumption=Turns([1_000_000, 10]))
    devices = Devices(library, [UUID], [4711])
    devices.start()
    devices.stop()
    assert devices.conditions(1, 0)[0].energy is None


def test_warm_up_ends_when_the_clocks_are_steady() -> None:
    """Turns are taken until four in a row are within 2 %."""
    library = Recorded(
        DeviceGetClockInfo={1: Turns([300, 900, 1500, 1680, 1695, 1695, 1690]), 2: 1}
    )
    devices = Devices(library, [UUID], [4711])
    turns: list[int] = []
    devices.settle(lambda: turns.append(1), 5.0)
    devices.start()
    devices.stop()
    assert len(turns) == 7
    assert devices.conditions(1, 0)[0].settled is True


def test_clocks_that_are_never_steady_are_said_so() -> None:
    """The longest warm-up is kept, and the launch goes on."""
    library = Recorded(DeviceGetClockInfo={1: None, 2: None})
    devices = Devices(library, [UUID], [4711])
    devices.settle(lambda: None, 0.05)
    devices.start()
    devices.stop()
    (observed,) = devices.conditions(1, 0)
    assert observed.settled is False
    assert observed.warm_up is not None
    assert observed.warm_up >= 0.05


def test_the_thread_reads_beside_the_launch_and_ends() -> None:
    """With a core to spare readings come without being asked for."""
    devices = Devices(Recorded(), [UUID], [4711], cores=[10_000])
    devices.start()
    pause = gpu_sensors.threading.Event()
    pause.wait(0.2)
    devices.stop()
    count = devices.conditions(1, 0)[0].readings
    assert count > 2
    pause.wait(0.1)
    assert devices.conditions(1, 0)[0].readings == count


def test_rounds_while_a_device_throttles_are_left_out() -> None:
    """Those with such a reading inside, and those between two such readings."""
    spans = [(0, 0.1, 0.4), (1, 0.9, 1.1), (2, 1.2, 1.3), (3, 2.5, 2.6), (4, 3.5, 3.6)]
    observed = readings(0, THERMAL, POWER_CAP, 0, 0)
    assert gpu_sensors.throttled_rounds(spans, observed) == {1, 2}
    assert gpu_sensors.throttled_rounds(spans, readings(0, None, None, 0, 0)) == set()


def test_what_is_left_out_is_capped() -> None:
    """A device that throttles in more than a quarter of the rounds is as it is: all count."""
    throttling = Recorded(DeviceGetCurrentClocksEventReasons=Turns([THERMAL, 0]))
    devices = Devices(throttling, [UUID], [4711])
    devices.start()
    devices.stop()
    (watched,) = devices._watched.values()
    at = watched.readings[0].at
    few = [(0, at - 1, at + 1), (1, at + 2, at + 3), (2, at + 4, at + 5), (3, at + 6, at + 7)]
    assert devices.left_out(few) == {0}
    assert devices.left_out(few[:3]) == frozenset()


@given(
    st.lists(st.tuples(st.floats(0, 10), st.floats(0, 1)), max_size=8),
    st.lists(st.sampled_from([0, 1, POWER_CAP, THERMAL]), min_size=1, max_size=12),
)
def test_without_throttling_no_round_is_left_out(
    rounds: list[tuple[float, float]], bits: list[int]
) -> None:
    """A law: what is left out was throttled at some reading, and only rounds are left out."""
    spans = [(number, begin, begin + long) for number, (begin, long) in enumerate(rounds)]
    result = gpu_sensors.throttled_rounds(spans, readings(*bits))
    assert result <= set(range(len(rounds)))
    if not any(bit & (POWER_CAP | THERMAL) for bit in bits):
        assert result == set()


def test_the_peak_of_a_process_is_the_highest_that_was_seen() -> None:
    """Also what it has at the end, when it is asked for."""
    library = Recorded(
        DeviceGetComputeRunningProcesses=Turns(
            [[process(7, 5)], [process(7, 5)], [process(7, 9)], [process(7, 6)], [process(7, 8)]]
        ),
        DeviceGetMemoryInfo=memory(1),
    )
    devices = Devices(library, [UUID], [7])
    devices.start()
    devices.look()
    devices.stop()
    assert devices.peak(7) == 9


def test_a_parent_that_has_opened_cuda_forks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether torch says so, or a file of CUDA's is open."""
    monkeypatch.setitem(sys.modules, "torch", torch_that(initialized=False))
    cuda_context.refuse_opened(tmp_path)
    (tmp_path / "3").symlink_to("/dev/nvidiactl")  # NVML's
    cuda_context.refuse_opened(tmp_path)
    (tmp_path / "4").symlink_to("/dev/nvidia-uvm")
    with pytest.raises(RuntimeFault, match=r"opened CUDA before it forked.*nvidia-uvm"):
        cuda_context.refuse_opened(tmp_path)
    (tmp_path / "4").unlink()
    monkeypatch.setitem(sys.modules, "torch", torch_that(initialized=True))
    with pytest.raises(RuntimeFault, match="is_initialized"):
        cuda_context.refuse_opened(tmp_path)


def torch_that(*, initialized: bool) -> Any:
    """As much of torch as is asked."""
    return SimpleNamespace(cuda=SimpleNamespace(is_initialized=lambda: initialized))


@pytest.mark.slow
def test_importing_the_frameworks_of_every_runtime_opens_no_device() -> None:
    """What the parent of a launch imports before it forks leaves torch.cuda alone."""
    torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
    assert torch.cuda.is_initialized() is False
    cuda_context.refuse_opened()
