"""What the machine and its devices did while one launch was measured, as frozen data."""

from __future__ import annotations

from pytest_perfgate.frozen import Frozen


class DeviceConditions(Frozen):
    """What one GPU did while a launch took its timed rounds, as far as NVML tells.

    None is "not measured", never zero. Shares are 0 to 1.

    Attributes:
        uuid, name: of the device; "" where it is not known which one it was.
        problem: why NVML told nothing, "" when it did.
        readings: how often it was read.
        warm_up: seconds of turns before the rounds, until its clocks were steady.
        settled: whether they were steady then; False: the longest warm-up was not enough.
        sm_clock_lowest, sm_clock_mean, memory_clock_lowest, memory_clock_mean: Hz.
        temperature: the highest, in degrees Celsius.
        power_mean, power_highest: watts.
        energy: joules over the rounds, idle power included.
        throttled: share of the readings in which it was slower than it could be.
        throttles: what for, in words.
        rounds_left_out: rounds that do not count because it was, of `rounds`.
        used_memory: the most that was in use on the whole device, in bytes.
        utilization: mean share of the time in which a kernel ran, by NVML's sample periods.
        others: the most processes on it that are no arms of the launch.
        mig: whether it is divided into instances.
    """

    uuid: str = ""
    name: str = ""
    problem: str = ""
    readings: int = 0
    warm_up: float | None = None
    settled: bool | None = None
    sm_clock_lowest: float | None = None
    sm_clock_mean: float | None = None
    memory_clock_lowest: float | None = None
    memory_clock_mean: float | None = None
    temperature: float | None = None
    power_mean: float | None = None
    power_highest: float | None = None
    energy: float | None = None
    throttled: float | None = None
    throttles: tuple[str, ...] = ()
    rounds: int = 0
    rounds_left_out: int = 0
    used_memory: int | None = None
    utilization: float | None = None
    others: int | None = None
    mig: bool | None = None


class Conditions(Frozen):
    """What the machine did while one launch took its timed rounds, as far as its kernel tells.

    None is "not measured", never zero. Shares are 0 to 1.

    Attributes:
        index: the launch's number.
        seconds: how long the rounds took.
        cores: the cores that `stolen`, `others`, `frequency_*` and `throttle_events` are about.
        stolen: share of the cores' time that the hypervisor gave to other guests.
        others: share of the cores' time that was used by neither the launch nor its arms.
        waited: share of `seconds` in which the launch was ready to run and had to wait for a core.
        swapped_in, swapped_out: pages, of the whole machine.
        major_faults: page faults of the launch and its arms that had to read a disk.
        frequency_lowest, frequency_mean: of the cores, in Hz, read between rounds.
        throttle_events: times that a core or its package was slowed down for its heat.
        quota_stops: times that the control group had used up its quota of CPU time.
        quota_stopped: share of `seconds` in which the control group was stopped for that.
        cpu_pressure, memory_pressure: share of `seconds` in which some process of the machine
            waited for a core, or for memory.
        devices: the GPUs that its arms had opened.
        discarded: why the launch does not count, "" when it does.
    """

    index: int = 0
    seconds: float | None = None
    cores: tuple[int, ...] = ()
    stolen: float | None = None
    others: float | None = None
    waited: float | None = None
    swapped_in: int | None = None
    swapped_out: int | None = None
    major_faults: int | None = None
    frequency_lowest: float | None = None
    frequency_mean: float | None = None
    throttle_events: int | None = None
    quota_stops: int | None = None
    quota_stopped: float | None = None
    cpu_pressure: float | None = None
    memory_pressure: float | None = None
    devices: tuple[DeviceConditions, ...] = ()
    discarded: str = ""
