"""Places of labels in a picture: none lies on another, and none leaves the picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

_LETTER = 0.62
"""Width of a letter as a share of its size, of the widest usual sans serif (DejaVu, Verdana)."""


@dataclass(frozen=True)
class Box:
    """A rectangle, in pixels; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        """Whether they share more than an edge."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def inside(self, other: Box) -> bool:
        """Whether `other` holds all of it."""
        return (
            other.left <= self.left
            and other.top <= self.top
            and self.right <= other.right
            and self.bottom <= other.bottom
        )


@dataclass(frozen=True)
class Label:
    """A place for a text: its anchor in pixels, `align` ("left", "center", "right") and its box."""

    x: float
    y: float
    align: str
    box: Box


def label(text: str, x: float, y: float, align: str, size: float) -> Label:
    """A text of letters of `size` pixels with its baseline at `y`."""
    width = _LETTER * size * len(text)
    left = x - {"left": 0.0, "center": width / 2, "right": width}[align]
    return Label(x, y, align, Box(left, y - 0.95 * size, left + width, y + 0.3 * size))


@dataclass
class Places:
    """The places of one picture that are taken.

    Attributes:
        frame: the rectangle that no label leaves.
    """

    frame: Box
    taken: list[Box] = field(default_factory=list)

    def block(self, boxes: Iterable[Box]) -> None:
        """Keeps labels off these."""
        self.taken.extend(boxes)

    def first_free(self, candidates: Sequence[Label]) -> Label | None:
        """The first candidate that is free, which takes its place; None: none is."""
        for candidate in candidates:
            if candidate.box.inside(self.frame) and not any(
                candidate.box.overlaps(box) for box in self.taken
            ):
                self.taken.append(candidate.box)
                return candidate
        return None


def spread(places: Sequence[float], apart: float) -> list[float]:
    """Ascending places, moved up as far as it takes to keep them `apart`."""
    moved: list[float] = []
    for place in places:
        moved.append(place if not moved else max(place, moved[-1] + apart))
    return moved


def letters(number: int) -> str:
    """The `number`th of a, b, … z, aa, ab, …"""
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(ord("a") + rest) + text
    return text
