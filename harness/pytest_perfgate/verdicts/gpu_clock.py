"""What a device's clock explains: times that differ while the cycles they took do not.

Cycles are time x SM clock. A launch that took longer at a lower clock, in as many cycles, was not
slower code. Pure functions over records.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.launch_values import equal_cycles, launch_value
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.units import show_percent


def clock_effects(recipes: Sequence[RecipeRecord]) -> tuple[str, ...]:
    """Recipes whose slowest launch differs from their fastest by the clock alone, a line each."""
    lines = []
    for record in recipes:
        known = [
            (time, launch.sm_clock, launch.index)
            for launch in record.launches
            if launch.sm_clock and (time := device_time(launch))
        ]
        if len(known) < 2:
            continue
        (slow, low, late), (fast, high, early) = max(known), min(known)
        if equal_cycles(math.log(slow / fast), math.log(low / high)):
            lines.append(
                f"{record.name} took {show_percent(slow / fast - 1)} in launch {late} beside "
                f"launch {early} at equal cycles ({low / 1e9:.2f} GHz and {high / 1e9:.2f} GHz): "
                "a clock effect"
            )
    return tuple(lines)


def device_time(launch: Launch) -> float | None:
    """Seconds of the launch's median inference, on the device where that was measured."""
    return launch_value(launch, "device_time_p50") or launch_value(launch, "inference_p50")


GAP = 0.2
"""The share of an inference outside of the device's work from which on it is worth a line."""


def launch_gaps(recipes: Sequence[RecipeRecord]) -> tuple[str, ...]:
    """Recipes whose inferences leave the device idle: launching kernels, copying, waiting."""
    lines = []
    for record in recipes:
        shares, gaps = [], []
        for launch in record.launches:
            busy = launch_value(launch, "device_time_p50")
            whole = launch_value(launch, "inference_p50")
            if busy is not None and whole:
                gaps.append(whole - busy)
                shares.append((whole - busy) / whole)
        if shares and (share := sum(shares) / len(shares)) >= GAP:
            gap = sum(gaps) / len(gaps)
            lines.append(
                f"{record.name}: {share * 100:.0f} % of an inference ({gap * 1e3:.2f} ms) is not "
                "the network's work on the device, but launching it, copies and waiting"
            )
    return tuple(lines)
