"""NVML replayed: the functions, values and units that nvml.h documents, for one device.

The values are those of a data-centre GPU as its data sheet and nvml.h have them, written down by
hand. The tests marked `gpu` read a real one.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

UUID = "GPU-5a1b3c2d-0000-4444-8888-123456789abc"

IDLE, POWER_CAP, THERMAL = 0x01, 0x04, 0x40


def memory(used: int) -> Any:
    """What nvmlDeviceGetMemoryInfo gives, bytes."""
    total = 24_146_608_128
    return SimpleNamespace(total=total, used=used, free=total - used)


def process(pid: int, used: int | None) -> Any:
    """One entry of nvmlDeviceGetComputeRunningProcesses."""
    return SimpleNamespace(pid=pid, usedGpuMemory=used)


def values(**changed: Any) -> dict[str, Any]:
    """Function to what it returns, or to a list of what it returns call by call; None for what
    raises NVMLError_NotSupported.
    """
    return {
        "DeviceGetCount": 1,
        "DeviceGetHandleByIndex": 0xA10,
        "DeviceGetUUID": UUID,
        "DeviceGetName": "NVIDIA A10",
        "DeviceGetMemoryInfo": memory(2_000_000_000),
        "DeviceGetClockInfo": {1: 1695, 2: 6251},  # MHz
        "DeviceGetMaxClockInfo": {1: 1695, 2: 6251},
        "DeviceGetTemperature": 61,  # degrees
        "DeviceGetUtilizationRates": SimpleNamespace(gpu=87, memory=40),  # percent
        "DeviceGetPowerUsage": 148_210,  # mW
        "DeviceGetPowerManagementLimit": 150_000,
        "DeviceGetTotalEnergyConsumption": 9_876_543_210,  # mJ
        "DeviceGetCurrentClocksEventReasons": 0,
        "DeviceGetComputeRunningProcesses": [process(4711, 812_646_400)],
        "DeviceGetGraphicsRunningProcesses": [],
        "DeviceGetMigMode": None,
        "DeviceGetEccMode": [1, 1],
        "SystemGetDriverVersion": "550.90.07",
        "SystemGetCudaDriverVersion_v2": 12040,
    } | changed


class Turns(list[Any]):
    """Values that a function returns one after the other, the last again and again."""


class Recorded:
    """A `pytest_perfgate.machine.nvml.Library` that answers from such values."""

    def __init__(self, **changed: Any) -> None:
        self._values = values(**changed)
        self.closed = False

    def call(self, function: str, *arguments: Any) -> Any:
        """What the device would say."""
        result = self._values.get(function)
        if isinstance(result, Turns):
            return result.pop(0) if len(result) > 1 else result[0]
        if isinstance(result, dict):
            result = result[arguments[-1]]
            if isinstance(result, Turns):
                return result.pop(0) if len(result) > 1 else result[0]
        return result

    def close(self) -> None:
        """As NVML's shutdown."""
        self.closed = True


class Host(Recorded):
    """A library with several devices, by their names; their UUIDs are `uuid(0)`, `uuid(1)` …"""

    def __init__(self, *names: str, **changed: Any) -> None:
        super().__init__(**changed)
        self._names = names

    def call(self, function: str, *arguments: Any) -> Any:
        """What the device of that handle would say."""
        if function == "DeviceGetCount":
            return len(self._names)
        if function == "DeviceGetHandleByIndex":
            return arguments[0]
        if function == "DeviceGetUUID":
            return uuid(arguments[0])
        if function == "DeviceGetName":
            return self._names[arguments[0]]
        return super().call(function, *arguments)


def uuid(number: int) -> str:
    """That of a device of a `Host`."""
    return f"GPU-{number}a1b3c2d-0000-4444-8888-123456789abc"
