"""The small pages beside a session's own: two sessions compared, and the list of sessions."""

from __future__ import annotations

from collections import Counter

from pytest_perfgate.report import templating
from pytest_perfgate.report.comparison import Differences, Direction, side


def differences(differences: Differences) -> str:
    """The page of two sessions compared: self-contained, no script."""
    counted = Counter(row.direction for row in differences.rows)
    return templating.page(
        "difference.html",
        differences=differences,
        side=side,
        notable=[row for row in differences.rows if row.notable],
        others=[row for row in differences.rows if not row.notable],
        counts=[(direction, counted[direction]) for direction in Direction if counted[direction]],
    )
