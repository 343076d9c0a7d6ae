"""NVML: what NVIDIA's driver tells of its devices. It opens no CUDA context, in any process.

`Library` is the outer edge: NVML's own functions, values and units (MHz, mW, mJ, bytes). `Device`
turns them into base units. What a device or driver does not tell is None, never zero.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pytest_perfgate.errors import MissingPackage, PerfgateError, RuntimeFault

GET_IT = "python -m pip install 'pytest-perfgate[gpu]'"

_SM, _MEMORY = 1, 2  # NVML_CLOCK_SM, NVML_CLOCK_MEM
_CORE = 0  # NVML_TEMPERATURE_GPU

THROTTLES: Mapping[int, str] = {
    0x04: "software power cap",
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
}
"""Bits of the clocks event reasons that mean: slower than it could be (nvml.h,
`nvmlClocksEventReasons`). An idle device, and clocks that somebody has set, are none."""


class Library(Protocol):
    """NVML in one process, between its init and its shutdown."""

    def call(self, function: str, *arguments: Any) -> Any:
        """What `nvml<function>` returns, in NVML's units; None where it is not told."""
        ...

    def close(self) -> None:
        """Shuts NVML down."""
        ...


class Pynvml:
    """NVML through nvidia-ml-py.

    Raises:
        MissingPackage: that is not installed.
        RuntimeFault: there is no driver, or it does not answer.
    """

    def __init__(self) -> None:
        try:
            import pynvml
        except ImportError as error:
            raise MissingPackage("nvidia-ml-py is not installed", next_step=GET_IT) from error
        self._pynvml = pynvml
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise RuntimeFault(
                f"NVML does not start: {error}",
                next_step="nvidia-smi  # must list a GPU: use a machine that has one",
            ) from error

    def call(self, function: str, *arguments: Any) -> Any:
        """See `Library`."""
        called = getattr(self._pynvml, f"nvml{function}", None)
        if called is None:
            return None  # a version of the package that does not have it
        try:
            return called(*arguments)
        except self._pynvml.NVMLError:
            # Most often "not supported": which functions a device answers differs by model, driver
            # and container, and no query says so beforehand.
            return None

    def close(self) -> None:
        """See `Library`."""
        self._pynvml.nvmlShutdown()


@dataclass(frozen=True)
class Reading:
    """One device at one moment; None: not told.

    Attributes:
        at: seconds of `time.monotonic`.
        sm_clock, memory_clock: Hz.
        temperature: degrees Celsius, of the chip.
        power: watts; on newer devices NVML's average over a second.
        reasons: the clocks event reasons, as bits.
        used_memory: bytes, of the whole device.
        utilization: share of NVML's last sample period (1/6 to 1 s) in which a kernel ran (nvml.h,
            `nvmlUtilization_t.gpu`).
        processes: of each process on the device, bytes, None where NVML does not tell them.
    """

    at: float
    sm_clock: float | None = None
    memory_clock: float | None = None
    temperature: float | None = None
    power: float | None = None
    reasons: int | None = None
    used_memory: int | None = None
    utilization: float | None = None
    processes: Mapping[int, int | None] | None = None

    @property
    def throttles(self) -> tuple[str, ...] | None:
        """What slows the device down, in words."""
        if self.reasons is None:
            return None
        return tuple(words for bit, words in THROTTLES.items() if self.reasons & bit)


@dataclass(frozen=True)
class Setup:
    """How a device is set up: what does not move while one measures.

    `power_limit` is in watts, clocks in Hz, `memory` in bytes.
    """

    name: str
    uuid: str
    memory: int | None
    power_limit: float | None
    sm_clock_cap: float | None
    memory_clock_cap: float | None
    mig: bool | None
    ecc: bool | None


class Device:
    """One device of a library."""

    def __init__(self, library: Library, handle: Any) -> None:
        self._call = library.call
        self._handle = handle
        self.uuid = str(self._ask("DeviceGetUUID") or "")
        self.name = str(self._ask("DeviceGetName") or "")

    def read(self) -> Reading:
        """The device now."""
        memory = self._ask("DeviceGetMemoryInfo")
        rates = self._ask("DeviceGetUtilizationRates")
        reasons = self._ask("DeviceGetCurrentClocksEventReasons")
        if reasons is None:  # the name before driver 535
            reasons = self._ask("DeviceGetCurrentClocksThrottleReasons")
        return Reading(
            at=time.monotonic(),
            sm_clock=_scaled(self._ask("DeviceGetClockInfo", _SM), 1e6),
            memory_clock=_scaled(self._ask("DeviceGetClockInfo", _MEMORY), 1e6),
            temperature=_scaled(self._ask("DeviceGetTemperature", _CORE), 1.0),
            power=_scaled(self._ask("DeviceGetPowerUsage"), 1e-3),
            reasons=None if reasons is None else int(reasons),
            used_memory=None if memory is None else int(memory.used),
            utilization=None if rates is None else int(rates.gpu) / 100,
            processes=self.processes(),
        )

    def energy(self) -> float | None:
        """Joules since the driver was loaded, by a counter that moves a few times a second."""
        return _scaled(self._ask("DeviceGetTotalEnergyConsumption"), 1e-3)

    def sm_clock(self) -> float | None:
        """The SM clock now, in Hz."""
        return _scaled(self._ask("DeviceGetClockInfo", _SM), 1e6)

    def compute_capability(self) -> tuple[int, int] | None:
        """Major and minor compute capability, such as (9, 0)."""
        capability = self._ask("DeviceGetCudaComputeCapability")
        return None if capability is None else (int(capability[0]), int(capability[1]))

    def setup(self) -> Setup:
        """How it is set up."""
        memory = self._ask("DeviceGetMemoryInfo")
        return Setup(
            name=self.name,
            uuid=self.uuid,
            memory=None if memory is None else int(memory.total),
            power_limit=_scaled(self._ask("DeviceGetPowerManagementLimit"), 1e-3),
            sm_clock_cap=_scaled(self._ask("DeviceGetMaxClockInfo", _SM), 1e6),
            memory_clock_cap=_scaled(self._ask("DeviceGetMaxClockInfo", _MEMORY), 1e6),
            mig=_current(self._ask("DeviceGetMigMode")),
            ecc=_current(self._ask("DeviceGetEccMode")),
        )

    def processes(self) -> dict[int, int | None] | None:
        """Of each process on the device, bytes, None where NVML does not tell them; None: not
        even which there are.
        """
        sizes: dict[int, int | None] = {}
        known = False
        # Two lists, because NVML keeps contexts of CUDA and of graphics apart.
        for kind in ("Compute", "Graphics"):
            listed = self._ask(f"DeviceGet{kind}RunningProcesses")
            if listed is None:
                continue
            known = True
            for process in listed:
                # Its size is None in containers and under WDDM: the ids are those of the host's
                # namespace, or the driver keeps the sizes to itself.
                size = process.usedGpuMemory
                sizes[int(process.pid)] = None if size is None else int(size)
        return sizes if known else None

    def _ask(self, function: str, *arguments: Any) -> Any:
        return self._call(function, self._handle, *arguments)


def devices(library: Library) -> list[Device]:
    """Every device, in NVML's order (that of the PCI bus)."""
    handles = (
        library.call("DeviceGetHandleByIndex", index)
        for index in range(library.call("DeviceGetCount") or 0)
    )
    return [Device(library, handle) for handle in handles if handle is not None]


def find(library: Library, uuid: str) -> Device | None:
    """The device of that UUID; of a MIG instance, the device it is on."""
    if uuid.startswith("MIG-"):
        # Clocks, power and energy are counted for the whole device only; an instance has none.
        instance = library.call("DeviceGetHandleByUUID", uuid)
        handle = None
        if instance is not None:
            handle = library.call("DeviceGetDeviceHandleFromMigDeviceHandle", instance)
        return None if handle is None else Device(library, handle)
    return next((device for device in devices(library) if same(device.uuid, uuid)), None)


def same(one: str, other: str) -> bool:
    """Whether two UUIDs are of one device: CUDA leaves out NVML's "GPU-"."""
    return one.removeprefix("GPU-") == other.removeprefix("GPU-")


def used_by(library: Library, pids: Iterable[int]) -> list[Device]:
    """The devices that one of these processes has opened, as far as NVML tells."""
    wanted = set(pids)
    return [device for device in devices(library) if wanted & (device.processes() or {}).keys()]


def versions(library: Library) -> dict[str, str]:
    """The driver, and the newest CUDA that it can run."""
    named = {}
    driver = library.call("SystemGetDriverVersion")
    if driver:
        named["NVIDIA driver"] = str(driver)
    cuda = library.call("SystemGetCudaDriverVersion_v2")
    if cuda:
        named["CUDA of the driver"] = f"{cuda // 1000}.{cuda % 1000 // 10}"
    return named


def connect() -> tuple[Library | None, str]:
    """NVML of this machine, or None and why there is none."""
    try:
        return Pynvml(), ""
    except PerfgateError as error:
        return None, error.problem


def _scaled(value: Any, scale: float) -> float | None:
    return None if value is None else float(value) * scale


def _current(modes: Any) -> bool | None:
    """NVML tells a mode as it is and as it will be after the next reset."""
    return None if modes is None else bool(modes[0])
