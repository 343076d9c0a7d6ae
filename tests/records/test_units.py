"""Quantities: read with their units, shown for people."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.units import Unit, parse, show, show_percent


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("25 ms", Unit.SECONDS, 0.025),
        ("25ms", Unit.SECONDS, 0.025),
        ("1.5 s", Unit.SECONDS, 1.5),
        ("300 MB", Unit.BYTES, 3e8),
        ("1 KiB", Unit.BYTES, 1024),
        ("5%", Unit.RATIO, 0.05),
        ("-50 %", Unit.RATIO, -0.5),
        (1.5, Unit.RATIO, 1.5),
        (0.006, Unit.SCORE, 0.006),
        ("40 images/s", Unit.IMAGES_PER_SECOND, 40),
    ],
)
def test_quantities_are_read_in_base_units(text: object, unit: Unit, value: float) -> None:
    """A quantity becomes a number in the base unit of its dimension."""
    assert parse(text, unit) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "unit", "says"),
    [
        ("25", Unit.SECONDS, "has no unit"),
        (25, Unit.SECONDS, "has no unit"),
        ("25 MB", Unit.SECONDS, "'MB' is not a unit that fits"),
        ("fast", Unit.SECONDS, "not a quantity"),
        (True, Unit.SCORE, "not a quantity"),
        (None, Unit.SCORE, "not a quantity"),
        (math.inf, Unit.SCORE, "not a finite number"),
        (math.nan, Unit.RATIO, "not a finite number"),
    ],
)
def test_what_is_no_quantity_is_refused(text: object, unit: Unit, says: str) -> None:
    """The error says what is wrong and shows what would be valid."""
    with pytest.raises(PerfgateError) as caught:
        parse(text, unit)
    assert says in caught.value.problem
    assert caught.value.valid


@given(st.floats(1e-8, 1e5))
def test_times_survive_being_shown(seconds: float) -> None:
    """A shown time reads back as itself, to the digits shown."""
    assert parse(show(seconds, Unit.SECONDS), Unit.SECONDS) == pytest.approx(seconds, rel=0.01)


@given(st.floats(1, 1e13))
def test_sizes_survive_being_shown(size: float) -> None:
    """A shown size reads back as itself, to the digits shown."""
    assert parse(show(size, Unit.BYTES), Unit.BYTES) == pytest.approx(size, rel=0.01)


def test_what_was_not_measured_is_said() -> None:
    """None is words, not zero; a change carries its sign."""
    assert show(None, Unit.SECONDS) == "not measured"
    assert show_percent(0.05) == "+5.0 %"
    assert show_percent(-0.5) == "-50.0 %"
