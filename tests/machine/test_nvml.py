"""What NVML tells, in base units; what it does not tell is None, and never zero."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from pytest_perfgate.errors import MissingPackage
from pytest_perfgate.machine import nvml

from tests.machine.recorded import IDLE, POWER_CAP, THERMAL, UUID, Recorded, process


def test_a_reading_is_in_base_units() -> None:
    """Hz, watts, joules, bytes."""
    (device,) = nvml.devices(Recorded())
    observed = device.read()
    assert (observed.sm_clock, observed.memory_clock) == (1695e6, 6251e6)
    assert observed.power == pytest.approx(148.21)
    assert (observed.temperature, observed.used_memory) == (61, 2_000_000_000)
    assert observed.utilization == 0.87
    assert observed.processes == {4711: 812_646_400}
    assert device.energy() == pytest.approx(9_876_543.21)
    assert (device.uuid, device.name) == (UUID, "NVIDIA A10")


@pytest.mark.parametrize(
    ("function", "field"),
    [
        ("DeviceGetClockInfo", "sm_clock"),
        ("DeviceGetTemperature", "temperature"),
        ("DeviceGetPowerUsage", "power"),
        ("DeviceGetMemoryInfo", "used_memory"),
        ("DeviceGetUtilizationRates", "utilization"),
        ("DeviceGetCurrentClocksEventReasons", "throttles"),
    ],
)
def test_what_a_device_does_not_tell_is_none(function: str, field: str) -> None:
    """Not supported is not zero."""
    (device,) = nvml.devices(Recorded(**{function: None}))
    assert getattr(device.read(), field) is None


def test_processes_without_their_memory_are_still_processes() -> None:
    """In a container NVML may list them, and not what they use; without a list none is known."""
    (device,) = nvml.devices(Recorded(DeviceGetComputeRunningProcesses=[process(7, None)]))
    assert device.read().processes == {7: None}
    none = Recorded(DeviceGetComputeRunningProcesses=None, DeviceGetGraphicsRunningProcesses=None)
    assert nvml.devices(none)[0].read().processes is None


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (0, ()),
        (IDLE, ()),
        (POWER_CAP, ("software power cap",)),
        (THERMAL | 0x08, ("hardware slowdown", "hardware thermal slowdown")),
    ],
)
def test_only_what_slows_a_device_down_is_throttling(bits: int, words: tuple[str, ...]) -> None:
    """An idle device is at a low clock, and not throttled."""
    (device,) = nvml.devices(Recorded(DeviceGetCurrentClocksEventReasons=bits))
    assert device.read().throttles == words


def test_older_drivers_name_the_reasons_otherwise() -> None:
    """Before 535 they were throttle reasons."""
    library = Recorded(
        DeviceGetCurrentClocksEventReasons=None, DeviceGetCurrentClocksThrottleReasons=POWER_CAP
    )
    assert nvml.devices(library)[0].read().throttles == ("software power cap",)


def test_a_device_is_found_by_the_name_that_cuda_gives_it() -> None:
    """Without NVML's prefix; another one is none."""
    result = nvml.find(Recorded(), UUID.removeprefix("GPU-"))
    assert result is not None
    assert result.uuid == UUID
    assert nvml.find(Recorded(), "GPU-ffffffff") is None


def test_a_mig_instance_is_found_by_the_device_that_it_is_on() -> None:
    """Clocks and energy are those of the whole device."""
    library = Recorded(DeviceGetHandleByUUID=3, DeviceGetDeviceHandleFromMigDeviceHandle=0xA10)
    result = nvml.find(library, "MIG-1234")
    assert result is not None
    assert result.uuid == UUID
    assert nvml.find(Recorded(), "MIG-1234") is None


def test_how_a_device_is_set_up() -> None:
    """Power limit in watts, caps in Hz; a device without MIG does not tell its mode."""
    setup = nvml.devices(Recorded())[0].setup()
    assert (setup.power_limit, setup.sm_clock_cap) == (150.0, 1695e6)
    assert (setup.mig, setup.ecc) == (None, True)
    assert nvml.devices(Recorded(DeviceGetMigMode=[1, 1]))[0].setup().mig is True


def test_versions_are_readable() -> None:
    """The driver's, and that of CUDA, which NVML tells as a number."""
    assert nvml.versions(Recorded()) == {
        "NVIDIA driver": "550.90.07",
        "CUDA of the driver": "12.4",
    }
    assert (
        nvml.versions(Recorded(SystemGetDriverVersion=None, SystemGetCudaDriverVersion_v2=None))
        == {}
    )


def test_a_missing_package_is_said_with_the_command_that_gets_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And `connect` gives its words in place of a library."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MissingPackage, match="nvidia-ml-py is not installed") as raised:
        nvml.Pynvml()
    assert "pip install" in raised.value.next_step
    assert nvml.connect() == (None, "nvidia-ml-py is not installed")


def test_the_real_package_has_every_function_that_is_asked_for() -> None:
    """By name: what `Recorded` answers is what nvidia-ml-py has."""
    pynvml: Any = pytest.importorskip("pynvml", reason=nvml.GET_IT)
    requested = [
        *Recorded()._values,
        "DeviceGetCurrentClocksThrottleReasons",
        "DeviceGetHandleByUUID",
    ]
    requested.append("DeviceGetDeviceHandleFromMigDeviceHandle")
    assert [name for name in requested if not hasattr(pynvml, f"nvml{name}")] == []
    bits = {
        0x04: "SwPowerCap",
        0x08: "HwSlowdown",
        0x20: "SwThermalSlowdown",
        0x40: "HwThermalSlowdown",
        0x80: "HwPowerBrakeSlowdown",
    }
    assert nvml.THROTTLES.keys() == bits.keys()
    for bit, name in bits.items():
        assert getattr(pynvml, f"nvmlClocksEventReason{name}") == bit


def test_without_a_driver_nvml_says_so() -> None:
    """On this machine, unless it has one."""
    pytest.importorskip("pynvml", reason=nvml.GET_IT)
    library, problem = nvml.connect()
    if library is not None:
        library.close()
        pytest.skip("this machine has an NVIDIA driver")
    assert "NVML does not start" in problem


@pytest.mark.gpu
def test_a_real_device_is_read() -> None:
    """Its clocks, memory and name are told."""
    library, problem = nvml.connect()
    if library is None:
        pytest.skip(f"needs an NVIDIA GPU: {problem}")
    try:
        (device, *_) = nvml.devices(library)
        observed = device.read()
        assert observed.sm_clock
        assert observed.sm_clock > 1e8
        assert observed.used_memory is not None
        assert nvml.find(library, device.uuid) is not None
    finally:
        library.close()
