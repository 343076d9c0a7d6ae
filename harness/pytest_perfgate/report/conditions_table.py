"""The conditions of the machine per launch, as a table of words for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_perfgate.machine import steadiness
from pytest_perfgate.machine.conditions import Conditions, DeviceConditions
from pytest_perfgate.records.recipe import ALTERNATE, BLOCKED, FLUSH, ROTATE
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.units import NOT_MEASURED, Unit, count_of, frequency, percent, show


@dataclass(frozen=True)
class Table:
    """What the page shows.

    Attributes:
        notes: in words.
        constant: head and cell of the columns that are the same in every launch.
        heads, rows: the others, and per launch its name, its cells and its state.
    """

    notes: tuple[str, ...]
    constant: tuple[tuple[str, str], ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...], str], ...]


_HEADS = (
    "cores",
    "rounds took",
    "stolen by the hypervisor",
    "used by others",
    "waited for the core",
    "swapped in, out",
    "major faults",
    "frequency: lowest, mean",
    "slowed for heat",
    "stopped by the CPU quota",
    "pressure: CPU, memory",
)


_DEVICE_HEADS = (
    "GPU",
    "warm-up until clocks were steady",
    "SM clock: lowest, mean",
    "memory clock: lowest, mean",
    "a kernel ran",
    "highest temperature",
    "power: mean, highest",
    "energy over the rounds",
    "throttled",
    "rounds left out",
    "peak memory in use",
    "other processes on it",
)


def table(suite: SuiteRecord) -> Table | None:
    """The table of a suite, None when nothing was recorded (an older session)."""
    if not suite.conditions:
        return None
    ordered = sorted(suite.conditions, key=lambda conditions: conditions.index)
    devices = any(conditions.devices for conditions in ordered)
    heads = _HEADS + (_DEVICE_HEADS if devices else ())
    rows = [
        cells(conditions) + (device_cells(conditions.devices) if devices else ())
        for conditions in ordered
    ]
    constant = [len(rows) > 1 and len(set(column)) == 1 for column in zip(*rows, strict=True)]
    return Table(
        notes=steadiness.notes(ordered),
        constant=tuple(
            (head, cell) for head, cell, same in zip(heads, rows[0], constant, strict=True) if same
        ),
        heads=_varying(heads, constant),
        rows=tuple(
            (f"launch {conditions.index}", _varying(row, constant), _state(conditions))
            for conditions, row in zip(ordered, rows, strict=True)
        ),
    )


def _varying(values: Sequence[str], constant: Sequence[bool]) -> tuple[str, ...]:
    return tuple(value for value, same in zip(values, constant, strict=True) if not same)


_POLICIES = {
    ROTATE: "between samples the image changes",
    FLUSH: "between samples the image changes and the GPU's L2 cache is flushed",
    ALTERNATE: "arms that are compared take turns at every inference",
    BLOCKED: "arms that are compared take turns at every visit of several inferences",
}


def policy(suite: SuiteRecord) -> str:
    """How samples were taken, in a sentence; "" of an older session."""
    words = [_POLICIES.get(value, value) for value in suite.policy.values()]
    return f"How it was measured: {'; '.join(words)}." if words else ""


def device_cells(devices: Sequence[DeviceConditions]) -> tuple[str, ...]:
    """The values of a launch's GPUs with their units, several separated by semicolons."""
    if not devices:
        return tuple(NOT_MEASURED for _ in _DEVICE_HEADS)
    columns = zip(*(_device(device) for device in devices), strict=True)
    return tuple("; ".join(column) for column in columns)


def _device(device: DeviceConditions) -> tuple[str, ...]:
    reasons = f" ({', '.join(device.throttles)})" if device.throttles else ""
    warm_up = show(device.warm_up, Unit.SECONDS)
    if device.warm_up is not None and device.settled is False:
        warm_up += ", not steady"
    return (
        device.name or device.uuid or NOT_MEASURED,
        warm_up,
        _both(frequency(device.sm_clock_lowest), frequency(device.sm_clock_mean)),
        _both(frequency(device.memory_clock_lowest), frequency(device.memory_clock_mean)),
        percent(device.utilization),
        NOT_MEASURED if device.temperature is None else f"{device.temperature:.0f} °C",
        _both(_watts(device.power_mean), _watts(device.power_highest)),
        show(device.energy, Unit.JOULES),
        percent(device.throttled) + reasons,
        f"{device.rounds_left_out} of {device.rounds}" if device.rounds else NOT_MEASURED,
        show(device.used_memory, Unit.BYTES),
        _count(device.others, "other"),
    )


def _watts(power: float | None) -> str:
    return NOT_MEASURED if power is None else f"{power:.0f} W"


def cells(conditions: Conditions) -> tuple[str, ...]:
    """One launch's values with their units, in the order of the heads."""
    stops = NOT_MEASURED
    if conditions.quota_stops is not None:
        stops = f"{_count(conditions.quota_stops, 'time')}, {percent(conditions.quota_stopped)}"
    return (
        ", ".join(map(str, conditions.cores)) or "all",
        show(conditions.seconds, Unit.SECONDS),
        percent(conditions.stolen),
        percent(conditions.others),
        percent(conditions.waited),
        _both(_count(conditions.swapped_in, "page"), _count(conditions.swapped_out, "page")),
        _count(conditions.major_faults, "fault"),
        _both(frequency(conditions.frequency_lowest), frequency(conditions.frequency_mean)),
        _count(conditions.throttle_events, "time"),
        stops,
        _both(percent(conditions.cpu_pressure), percent(conditions.memory_pressure)),
    )


def _count(number: int | None, what: str) -> str:
    if number is None:
        return NOT_MEASURED
    return count_of(number, what)


def _both(first: str, second: str) -> str:
    return first if first == second == NOT_MEASURED else f"{first}, {second}"


def _state(conditions: Conditions) -> str:
    if conditions.discarded:
        return f"does not count: {conditions.discarded}"
    reason = steadiness.unsteady(conditions)
    return f"unsteady: {reason}" if reason else "steady"
