"""A budget's last sessions as a line that fits into a cell: drawn of numbers alone."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_perfgate.records.session import LastSessions
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.units import count_of

_WIDTH, _HEIGHT, _EDGE = 96.0, 18.0, 3.0


def svg(line: LastSessions, status: Status) -> str:
    """The line as an SVG element, the newest session as a dot; "" for fewer than two values. A
    session without a value is a gap.
    """
    known = [value for value in line.values if value is not None]
    if len(known) < 2:
        return ""
    low, high = min(known), max(known)
    wide, tall = _WIDTH - 2 * _EDGE, _HEIGHT - 2 * _EDGE

    def place(index: int, value: float) -> str:
        across = _EDGE + wide * index / (len(line.values) - 1)
        up = (value - low) / (high - low) if high > low else 0.5
        return f"{across:.1f},{_HEIGHT - _EDGE - tall * up:.1f}"

    parts = [
        f'<polyline points="{" ".join(place(*point) for point in stretch)}"/>'
        for stretch in _stretches(line.values)
        if len(stretch) > 1
    ]
    newest = line.values[-1]
    if newest is not None:
        x, y = place(len(line.values) - 1, newest).split(",")
        parts.append(f'<circle cx="{x}" cy="{y}" r="2.2"/>')
    label = f"last {len(line.values)} sessions, {low:.4g} to {high:.4g}"
    kind = status.value.replace(" ", "")
    return (
        f'<svg class="nights {kind}" role="img" aria-label="{label}" '
        f'viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}">{"".join(parts)}</svg>'
    )


def since(line: LastSessions, status: Status) -> str:
    """Since when the verdict is what it is, in words."""
    if line.alike < len(line.values):
        return f"{status.value} since {line.since} ({count_of(line.alike, 'session')})"
    return f"{status.value} in all of the last {count_of(len(line.values), 'session')}"


def _stretches(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """The values between gaps, each with its index."""
    stretches: list[list[tuple[int, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            stretches.append([])
        else:
            stretches[-1].append((index, value))
    return stretches
