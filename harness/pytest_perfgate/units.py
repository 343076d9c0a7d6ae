"""Quantities with units: read from what a user writes, shown as a user reads them.

Every value inside the program is in its dimension's base unit: seconds, bytes, images per
second, joules, or a plain number.
"""

from __future__ import annotations

import math
import re
from enum import StrEnum

from pytest_perfgate.errors import PerfgateError


class Unit(StrEnum):
    """The dimension of a metric, named by its base unit."""

    SECONDS = "s"
    BYTES = "B"
    IMAGES_PER_SECOND = "images/s"
    SCORE = "score"
    COUNT = "count"
    RATIO = "ratio"
    JOULES = "J"


NOT_MEASURED = "not measured"
"""In place of a value, wherever people read one."""

_SCALES: dict[Unit, dict[str, float]] = {
    Unit.SECONDS: {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0},
    Unit.BYTES: {
        "B": 1.0,
        "kB": 1e3,
        "MB": 1e6,
        "GB": 1e9,
        "KiB": 1024.0,
        "MiB": 1024.0**2,
        "GiB": 1024.0**3,
    },
    Unit.IMAGES_PER_SECOND: {"images/s": 1.0, "img/s": 1.0, "/s": 1.0},
    Unit.SCORE: {"": 1.0},
    Unit.COUNT: {"": 1.0},
    Unit.JOULES: {"uJ": 1e-6, "mJ": 1e-3, "J": 1.0, "kJ": 1e3},
    Unit.RATIO: {"": 1.0, "x": 1.0, "%": 0.01},
}

_QUANTITY = re.compile(r"^\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*$")


def parse(value: object, unit: Unit) -> float:
    """`value` in the base unit of `unit`: `parse("25 ms", Unit.SECONDS)` is 0.025.

    A bare number is accepted only where the dimension has no unit to name.

    Raises:
        PerfgateError: not a finite number, or the unit is missing or does not fit.
    """
    scales = _SCALES[unit]
    names = ", ".join(repr(f"25 {name}".strip()) for name in scales if name != "µs")
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise PerfgateError(f"{value!r} is not a quantity", valid=names)
    if isinstance(value, (int, float)):
        if "" not in scales:
            raise PerfgateError(f"{value!r} has no unit", valid=names)
        number, name = float(value), ""
    else:
        match = _QUANTITY.match(value)
        if match is None:
            raise PerfgateError(f"{value!r} is not a quantity", valid=names)
        number, name = float(match.group(1)), match.group(2)
    if name not in scales:
        what = f"{value!r} has no unit" if not name else f"{name!r} is not a unit that fits here"
        raise PerfgateError(f"{what}: write a quantity in {unit.value}", valid=names)
    if not math.isfinite(number):
        raise PerfgateError(f"{value!r} is not a finite number", valid=names)
    return number * scales[name]


def show(value: float | None, unit: Unit) -> str:
    """`value` for people, three significant digits: `show(0.0251, SECONDS)` is "25.1 ms"."""
    if value is None:
        return NOT_MEASURED
    if not math.isfinite(value):
        return str(value)
    if unit is Unit.SECONDS:
        return _scaled(value, (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)))
    if unit is Unit.BYTES:
        return _scaled(value, (("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0)))
    if unit is Unit.JOULES:
        return _scaled(value, (("kJ", 1e3), ("J", 1.0), ("mJ", 1e-3), ("uJ", 1e-6)))
    if unit is Unit.IMAGES_PER_SECOND:
        return f"{_digits(value)} images/s"
    if unit is Unit.SCORE:
        return f"{value:.4f}"
    if unit is Unit.COUNT:
        return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"
    return f"{value:.3f}x"


def show_percent(change: float) -> str:
    """A relative change with its sign: 0.0512 is "+5.1 %"."""
    return f"{change * 100:+.1f} %"


def show_plain(value: object) -> str:
    """An option or a fact for people, short: yes and no, at most six digits, "none" for what is
    empty.
    """
    if value is None or (isinstance(value, (list, tuple, dict)) and not value):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{key}={show_plain(inner)}" for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(show_plain, value))
    return str(value)


def count_of(number: int, one: str, many: str = "") -> str:
    """A number of things for people: `count_of(1200, "launch", "launches")` is "1,200 launches";
    `many` defaults to `one` with an s.
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def seconds_for(seconds: float) -> int:
    """A time to name in an option: rounded up to whole tens of seconds."""
    return max(10, math.ceil(seconds / 10) * 10)


def percent(share: float | None) -> str:
    """A share for people: 0.034 is "3.4 %"."""
    return NOT_MEASURED if share is None else f"{share * 100:.1f} %"


def frequency(hertz: float | None) -> str:
    """A frequency for people: 2.5e9 is "2.50 GHz"."""
    return NOT_MEASURED if hertz is None else f"{hertz / 1e9:.2f} GHz"


def _scaled(value: float, steps: tuple[tuple[str, float], ...]) -> str:
    for name, scale in steps:
        if abs(value) >= scale:
            return f"{_digits(value / scale)} {name}"
    name, scale = steps[-1]
    return f"{_digits(value / scale)} {name}"


def _digits(value: float) -> str:
    if value == 0:
        return "0"
    whole = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(whole, 6)}f}"
