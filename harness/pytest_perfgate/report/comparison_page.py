"""The small pages beside a session's own: two sessions compared, and the list of sessions."""

from __future__ import annotations

from collections import Counter

from pytest_perfgate.report import templating
from pytest_perfgate.report.comparison import Differences, Direction, side


def differences(found: Differences) -> str:
    """The page of two sessions compared: self-contained, no script."""
    counted = Counter(row.direction for row in found.rows)
    return templating.page(
        "difference.html",
        found=found,
        side=side,
        notable=[row for row in found.rows if row.notable],
        others=[row for row in found.rows if not row.notable],
        counts=[(each, counted[each]) for each in Direction if counted[each]],
    )
