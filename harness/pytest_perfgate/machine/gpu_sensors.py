"""What the devices of a launch did while it was measured: its parent reads it through NVML.

A reading is taken between two visits, and, where the launch leaves a core free, by a thread that
runs on no core of the launch. Nothing of it is inside a timed region; no CUDA context is opened.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_perfgate.machine import nvml
from pytest_perfgate.machine.conditions import DeviceConditions
from pytest_perfgate.machine.cores import usable_cores

_DRIVER = Path("/dev/nvidiactl")  # what NVML opens

_EVERY = 0.02  # seconds between two readings of the thread

_STEADY = 0.02  # clocks of the last turns of a warm-up that differ by less are steady
_LAST_TURNS = 4

_MOST_LEFT_OUT = 0.25
"""Of a launch's rounds; a device that throttles in more of them is as it is, and not disturbed."""


@dataclass
class _Watched:
    """One device, and what was read of it so far."""

    device: nvml.Device
    begin: float | None
    readings: list[nvml.Reading] = field(default_factory=list)
    peaks: dict[int, int] = field(default_factory=dict)

    def look(self) -> None:
        reading = self.device.read()
        self.readings.append(reading)
        self.note(reading)

    def note(self, reading: nvml.Reading) -> None:
        for pid, size in (reading.processes or {}).items():
            if size is not None:
                self.peaks[pid] = max(size, self.peaks.get(pid, 0))


class Devices:
    """Watches the devices that the arms of a launch have opened.

    Args:
        library: NVML; None where there is none.
        uuids: the devices that arms say they use.
        pids: of all arms; devices that NVML sees them on are watched too.
        cores: those of the launch, which the thread keeps off.
        problem: why there is no NVML.
    """

    def __init__(
        self,
        library: nvml.Library | None,
        uuids: Iterable[str],
        pids: Sequence[int],
        cores: Collection[int] = (),
        problem: str = "",
    ) -> None:
        self._pids = set(pids)
        self._unknown = list(dict.fromkeys(uuids)) if library is None else []
        self._problem = problem
        self._warm_up: float | None = None
        self._settled: bool | None = None
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self._spare = set(usable_cores()) - set(cores) if cores else set()
        by_uuid: dict[str, nvml.Device] = {}
        if library is not None:
            for uuid in dict.fromkeys(uuids):
                device = nvml.find(library, uuid)
                if device is None:
                    self._unknown.append(uuid)
                    self._problem = f"NVML knows no device {uuid}"
                else:
                    by_uuid[device.uuid] = device
            # A runtime that names no device may have opened one all the same.
            by_uuid |= {device.uuid: device for device in nvml.used_by(library, pids)}
        self._watched = {uuid: _Watched(device, None) for uuid, device in by_uuid.items()}

    def __bool__(self) -> bool:
        """Whether any device is used, known to NVML or not."""
        return bool(self._watched or self._unknown)

    def settle(self, turns: Callable[[], None], longest: float) -> None:
        """Takes untimed turns until the SM clocks are steady, for `longest` seconds at most."""
        if not self._watched:
            return
        start = time.monotonic()
        clocks: list[list[float | None]] = []
        self._settled = False
        while not self._settled and time.monotonic() - start < longest:
            turns()
            clocks.append([watched.device.sm_clock() for watched in self._watched.values()])
            self._settled = steady(clocks[-_LAST_TURNS:])
        self._warm_up = round(time.monotonic() - start, 3)

    def start(self) -> None:
        """From here on it counts: after the warm-up, before the first round."""
        for watched in self._watched.values():
            watched.begin = watched.device.energy()
            watched.look()
        if self._watched and self._spare:
            self._thread = threading.Thread(target=self._sample, daemon=True)
            self._thread.start()

    def look(self) -> None:
        """One reading: for between two visits, where no thread takes them."""
        if self._thread is None:
            for watched in self._watched.values():
                watched.look()

    def _sample(self) -> None:
        if hasattr(os, "sched_setaffinity"):
            # 0 is this thread alone (sched_setaffinity(2)): the launch stays on its cores.
            os.sched_setaffinity(0, self._spare)
        while not self._end.wait(_EVERY):
            for watched in self._watched.values():
                watched.look()

    def stop(self) -> None:
        """The end of the rounds: what is read later is no condition of theirs."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._energies = {uuid: watched.device.energy() for uuid, watched in self._watched.items()}

    def left_out(self, spans: Sequence[tuple[int, float, float]]) -> frozenset[int]:
        """Rounds that do not count; `spans` are number, begin and end of each, of one clock with
        the readings.
        """
        throttled: set[int] = set()
        for watched in self._watched.values():
            throttled |= throttled_rounds(spans, watched.readings)
        rounds = {number for number, _, _ in spans}
        # A device that throttles most of the time is judged as it is: leaving out its slow rounds
        # would show a speed that it does not keep up.
        return frozenset(throttled if len(throttled) <= _MOST_LEFT_OUT * len(rounds) else ())

    def conditions(self, rounds: int, left_out: int) -> tuple[DeviceConditions, ...]:
        """Of every device, after `stop`."""
        conditions = [
            summary(
                watched.device.setup(),
                watched.readings,
                self._pids,
                energy=_passed(watched.begin, self._energies.get(uuid)),
            ).model_copy(
                update={
                    "warm_up": self._warm_up,
                    "settled": self._settled,
                    "rounds": rounds,
                    "rounds_left_out": left_out,
                }
            )
            for uuid, watched in self._watched.items()
        ]
        conditions += [DeviceConditions(uuid=uuid, problem=self._problem) for uuid in self._unknown]
        return tuple(conditions)

    def peak(self, pid: int) -> int | None:
        """The most memory that a process had on the devices, in bytes, as far as it was seen."""
        known = []
        for watched in self._watched.values():
            # Once more: an arm's last batch may have been the largest.
            watched.note(watched.device.read())
            if pid in watched.peaks:
                known.append(watched.peaks[pid])
        return sum(known) if known else None

    def energy(self) -> float | None:
        """Joules of all devices since their drivers were loaded; None: one has no counter."""
        counters = [watched.device.energy() for watched in self._watched.values()]
        known = [joules for joules in counters if joules is not None]
        return sum(known) if known and len(known) == len(counters) else None

    def sm_clock(self, uuid: str) -> float | None:
        """The mean SM clock of a device over the rounds, in Hz."""
        for watched in self._watched.values():
            if nvml.same(watched.device.uuid, uuid):
                clocks = _known(reading.sm_clock for reading in watched.readings)
                return statistics.fmean(clocks) if clocks else None
        return None

    @property
    def problem(self) -> str:
        """Why NVML tells nothing of a device that is used, "" when it does."""
        return self._problem


def watch(uuids: Iterable[str], pids: Sequence[int], cores: Collection[int]) -> Devices:
    """The devices of these arms. NVML is started only where an arm uses a device, or a driver is:
    no launch on the cores waits for it.
    """
    named = list(uuids)
    if not named and not _DRIVER.exists():
        return Devices(None, (), pids, cores, "there is no NVIDIA driver here")
    library, problem = nvml.connect()
    return Devices(library, named, pids, cores, problem)


def steady(clocks: Sequence[Sequence[float | None]]) -> bool:
    """Whether the clocks of the last turns differ by less than 2 % on every device. A clock that is
    not told is never steady.
    """
    if len(clocks) < _LAST_TURNS:
        return False
    for column in zip(*clocks, strict=True):
        known = [clock for clock in column if clock is not None]
        if len(known) < len(column) or max(known) > (1 + _STEADY) * min(known):
            return False
    return True


def throttled_rounds(
    spans: Iterable[tuple[int, float, float]], readings: Sequence[nvml.Reading]
) -> set[int]:
    """Rounds between whose begin and end the device was seen throttled, or was so at the last
    reading before and the first one after.
    """
    throttled: set[int] = set()
    for number, begin, end in spans:
        inside = [reading for reading in readings if begin <= reading.at <= end]
        if any(reading.throttles for reading in inside):
            throttled.add(number)
            continue
        # A round may be shorter than the time between two readings: then both around it decide.
        before = [reading for reading in readings if reading.at < begin]
        after = [reading for reading in readings if reading.at > end]
        if before and after:
            last = max(before, key=lambda reading: reading.at)
            first = min(after, key=lambda reading: reading.at)
            if not inside and last.throttles and first.throttles:
                throttled.add(number)
    return throttled


def summary(
    setup: nvml.Setup,
    readings: Sequence[nvml.Reading],
    pids: Collection[int],
    *,
    energy: float | None,
) -> DeviceConditions:
    """What the readings of one device come to; `pids` are the launch's own."""
    clocks = _known(reading.sm_clock for reading in readings)
    memory = _known(reading.memory_clock for reading in readings)
    power = _known(reading.power for reading in readings)
    rates = _known(reading.utilization for reading in readings)
    reasons = [reading.throttles for reading in readings if reading.throttles is not None]
    others = [
        len(reading.processes.keys() - set(pids))
        for reading in readings
        if reading.processes is not None
    ]
    return DeviceConditions(
        uuid=setup.uuid,
        name=setup.name,
        readings=len(readings),
        sm_clock_lowest=min(clocks, default=None),
        sm_clock_mean=statistics.fmean(clocks) if clocks else None,
        memory_clock_lowest=min(memory, default=None),
        memory_clock_mean=statistics.fmean(memory) if memory else None,
        temperature=max(_known(reading.temperature for reading in readings), default=None),
        power_mean=statistics.fmean(power) if power else None,
        power_highest=max(power, default=None),
        energy=energy,
        throttled=sum(map(bool, reasons)) / len(reasons) if reasons else None,
        throttles=tuple(sorted({words for reading in reasons for words in reading})),
        used_memory=max(
            (reading.used_memory for reading in readings if reading.used_memory is not None),
            default=None,
        ),
        utilization=statistics.fmean(rates) if rates else None,
        others=max(others, default=None),
        mig=setup.mig,
    )


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _passed(begin: float | None, end: float | None) -> float | None:
    """Joules between two states of a counter; None where it is not told, or began anew."""
    return None if begin is None or end is None or end < begin else end - begin
