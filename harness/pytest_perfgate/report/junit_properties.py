"""A verdict as named properties of a test, which pytest writes into a JUnit file."""

from __future__ import annotations

from pytest_perfgate.records.verdict import Verdict

VERDICT = "verdict"


def of(verdict: Verdict, report: str) -> list[tuple[str, object]]:
    """Names and values: numbers in the metric's base unit; what was not measured is left out.

    `report` is the path of the session's page. A limit is named by its kind: `limit.speedup`,
    `limit.speedup.estimate`; ratios and differences as `limit.speedup.scale` says.
    """
    found: list[tuple[str, object]] = [
        ("recipe", verdict.recipe),
        ("metric", verdict.metric),
        (VERDICT, verdict.status.value),
        ("reason", verdict.reason),
    ]
    if verdict.next_step:
        found.append(("next", verdict.next_step))
    found += _measured("", verdict.value, verdict.low, verdict.high)
    if verdict.unit:
        found.append(("unit", verdict.unit))
    if verdict.baseline is not None:
        found.append(("baseline", verdict.baseline))
    for limit in verdict.limits:
        name = f"limit.{limit.kind}"
        found += [(name, limit.text), (f"{name}.verdict", limit.status.value)]
        if limit.estimate is not None:
            found.append((f"{name}.scale", limit.scale))
            found += _measured(f"{name}.", limit.estimate, limit.low, limit.high)
        if limit.against:
            found.append((f"{name}.against", limit.against))
    found.append(("report", report))
    return found


def _measured(
    place: str, value: float | None, low: float | None, high: float | None
) -> list[tuple[str, object]]:
    name = "estimate" if place else "value"
    parts = ((name, value), ("low", low), ("high", high))
    return [(f"{place}{name}", part) for name, part in parts if part is not None]
