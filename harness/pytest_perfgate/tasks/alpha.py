"""What becomes of a picture's transparency."""

from __future__ import annotations

from typing import Any, Literal

from pytest_perfgate.errors import DataError

Alpha = Literal["drop", "keep"] | tuple[int, int, int]
"""Transparency is dropped, kept as a fourth channel, or the picture is laid over a background."""


def alpha_of(value: Any) -> Alpha:
    """What the key `alpha` of a data set asks for.

    Raises:
        DataError: it is nothing of that.
    """
    if value == "keep":
        return "keep"
    if value == "drop":
        return "drop"
    levels = value if isinstance(value, (list, tuple)) else ()
    if len(levels) != 3 or not all(type(part) is int and 0 <= part <= 255 for part in levels):
        raise DataError(
            f"alpha is {value!r}",
            valid='"drop", "keep" for color = "RGBA", or a background [red, green, blue], each 0 '
            "to 255",
        )
    red, green, blue = levels
    return red, green, blue
