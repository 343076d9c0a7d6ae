"""Pictures of a session in time: memory and the state of the machine."""

from __future__ import annotations

from typing import Any

from pytest_perfgate.machine.conditions import Conditions
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.report.drawing import (
    BLUE,
    DESCRIBED,
    ORANGE,
    by_value,
    lines_with_points,
    number_axis,
    panels,
)

_KEYS = {
    "index",
    "seconds",
    "cores",
    "discarded",
    "readings",
    "rounds",
}  # these tell of the launch, not of the machine
_UNITS = {
    "frequency": (1e9, "GHz"),
    "sm_clock": (1e9, "GHz"),
    "memory_clock": (1e9, "GHz"),
    "temperature": (1.0, "degrees C"),
    "power": (1.0, "W"),
    "energy": (1.0, "J"),
    "used_memory": (1e9, "GB"),
    "throttled": (1.0, "share of the readings"),
} | dict.fromkeys(
    (
        "utilization",
        "stolen",
        "others",
        "waited",
        "cpu_pressure",
        "memory_pressure",
        "quota_stopped",
    ),
    (1.0, "share of the time"),
)
_COUNTS = {"others": "processes_of_others"}  # a GPU's; the machine's are a share
_RECIPES = 8  # lines that colours can tell apart


def memory(suite: SuiteRecord) -> dict[str, Any] | None:
    """Peak memory of every recipe over the launches of the session; None: not measured."""
    values = []
    for record in suite.recipes[:_RECIPES]:
        for launch in record.launches:
            if launch.peak_memory is not None:
                megabytes = launch.peak_memory / 1e6
                values.append(
                    {
                        "recipe": record.name,
                        "s": launch.started,
                        "MB": round(megabytes, 2),
                        "words": f"{record.name}, launch {launch.index}: {megabytes:.1f} MB",
                    }
                )
    if not values:
        return None
    names = list(dict.fromkeys(str(value["recipe"]) for value in values))
    return lines_with_points(
        values,
        names,
        number_axis("s", "seconds since the first launch"),
        number_axis("MB", "peak memory, MB"),
        height=200,
    )


def _numbers(conditions: Conditions) -> dict[str, float]:
    """All that was measured in one launch of the machine and, behind its number, of each GPU."""
    parts: list[tuple[str, Any]] = [("", conditions)]
    several = len(conditions.devices) > 1
    for number, device in enumerate(conditions.devices):
        parts.append((f"GPU {number}: " if several else "GPU: ", device))
    return {
        f"{where}{_COUNTS.get(name, name) if where else name}": float(value)
        for where, part in parts
        for name, value in part
        if name not in _KEYS and isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def machine(suite: SuiteRecord) -> dict[str, Any] | None:
    """What the machine did, launch by launch, a panel for everything that was measured and is not
    always the same; None: nothing.
    """
    values = _readings(suite)
    if not values:
        return None
    names = list(dict.fromkeys(row["panel"] for row in values))
    axis = {"tickMinStep": 1, "tickCount": 5}
    spec = {
        "width": 170,
        "height": 70,
        "mark": {"type": "point", "filled": True, "size": 26},
        "encoding": {
            "x": number_axis("launch", "launch", axis=axis),
            "y": number_axis("value", None, axis={"tickCount": 3}),
            "color": by_value("kept", {True: BLUE, False: ORANGE}),
            "shape": by_value("kept", {True: "circle", False: "cross"}),
            **DESCRIBED,
        },
    }
    return {**panels(values, names, 3, spec), "resolve": {"scale": {"y": "independent"}}}


def _readings(suite: SuiteRecord) -> list[dict[str, Any]]:
    """A row for every value of every launch, of what is not always the same."""
    values: list[dict[str, Any]] = []
    by_launch = {condition.index: _numbers(condition) for condition in suite.conditions}
    for name in dict.fromkeys(name for numbers in by_launch.values() for name in numbers):
        known = {index: numbers[name] for index, numbers in by_launch.items() if name in numbers}
        if len(known) < 2 or len(set(known.values())) < 2:
            continue
        scale, unit = next(
            (known_unit for word, known_unit in _UNITS.items() if _bare(name).startswith(word)),
            (1.0, ""),
        )
        panel = name.replace("_", " ") + (f", {unit}" if unit else "")
        values += [
            {
                "panel": panel,
                "launch": index,
                "value": value / scale,
                "kept": index not in suite.discarded,
                "words": f"launch {index}: {panel} {value / scale:.4g}",
            }
            for index, value in known.items()
        ]
    return values


def _bare(name: str) -> str:
    """The name of a reading without its GPU."""
    return name.rpartition(": ")[2]
