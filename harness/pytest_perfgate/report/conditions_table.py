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
    """What the page shows: notes in words, column heads, and per launch its cells and state."""

    notes: tuple[str, ...]
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
    "highest temperature",
    "power: mean, highest",
    "energy over the rounds",
    "throttled",
    "rounds left out for that",
    "most memory in use",
    "other processes on it",
)


def table(suite: SuiteRecord) -> Table | None:
    """The table of a suite, None when nothing was recorded (an older session)."""
    if not suite.conditions:
        return None
    ordered = sorted(suite.conditions, key=lambda seen: seen.index)
    devices = any(seen.devices for seen in ordered)
    return Table(
        notes=steadiness.notes(ordered),
        heads=_HEADS + (_DEVICE_HEADS if devices else ()),
        rows=tuple(
            (
                f"launch {seen.index}",
                cells(seen) + (device_cells(seen.devices) if devices else ()),
                _state(seen),
            )
            for seen in ordered
        ),
    )


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


def _device(seen: DeviceConditions) -> tuple[str, ...]:
    reasons = f" ({', '.join(seen.throttles)})" if seen.throttles else ""
    warm_up = show(seen.warm_up, Unit.SECONDS)
    if seen.warm_up is not None and seen.settled is False:
        warm_up += ", not steady"
    return (
        seen.name or seen.uuid or NOT_MEASURED,
        warm_up,
        _both(frequency(seen.sm_clock_lowest), frequency(seen.sm_clock_mean)),
        _both(frequency(seen.memory_clock_lowest), frequency(seen.memory_clock_mean)),
        NOT_MEASURED if seen.temperature is None else f"{seen.temperature:.0f} °C",
        _both(_watts(seen.power_mean), _watts(seen.power_highest)),
        show(seen.energy, Unit.JOULES),
        percent(seen.throttled) + reasons,
        f"{seen.rounds_left_out} of {seen.rounds}" if seen.rounds else NOT_MEASURED,
        show(seen.used_memory, Unit.BYTES),
        _count(seen.others, "other"),
    )


def _watts(power: float | None) -> str:
    return NOT_MEASURED if power is None else f"{power:.0f} W"


def cells(seen: Conditions) -> tuple[str, ...]:
    """One launch's values with their units, in the order of the heads."""
    stops = NOT_MEASURED
    if seen.quota_stops is not None:
        stops = f"{_count(seen.quota_stops, 'time')}, {percent(seen.quota_stopped)}"
    return (
        ", ".join(map(str, seen.cores)) or "all",
        show(seen.seconds, Unit.SECONDS),
        percent(seen.stolen),
        percent(seen.others),
        percent(seen.waited),
        _both(_count(seen.swapped_in, "page"), _count(seen.swapped_out, "page")),
        _count(seen.major_faults, "fault"),
        _both(frequency(seen.frequency_lowest), frequency(seen.frequency_mean)),
        _count(seen.throttle_events, "time"),
        stops,
        _both(percent(seen.cpu_pressure), percent(seen.memory_pressure)),
    )


def _count(number: int | None, what: str) -> str:
    if number is None:
        return NOT_MEASURED
    return count_of(number, what)


def _both(first: str, second: str) -> str:
    return first if first == second == NOT_MEASURED else f"{first}, {second}"


def _state(seen: Conditions) -> str:
    if seen.discarded:
        return f"does not count: {seen.discarded}"
    reason = steadiness.unsteady(seen)
    return f"unsteady: {reason}" if reason else "steady"
