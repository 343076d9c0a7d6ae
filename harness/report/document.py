"""The small pages beside a session's own: two sessions compared, and the list of sessions."""

from __future__ import annotations

from collections import Counter
from typing import Any

from harness.report.difference import Differences, Direction, side


def differences(found: Differences) -> str:
    """The page of two sessions compared: self-contained, no script."""
    counted = Counter(row.direction for row in found.rows)
    return template(
        "difference.html",
        found=found,
        side=side,
        notable=[row for row in found.rows if row.notable],
        others=[row for row in found.rows if not row.notable],
        counts=[(each, counted[each]) for each in Direction if counted[each]],
    )


def template(name: str, **values: Any) -> str:
    """A page from its template; everything that it is given is escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(**values)
