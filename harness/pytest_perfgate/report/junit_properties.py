"""A verdict as named properties of a test, which pytest writes into a JUnit file."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pytest_perfgate.records.verdict import Verdict

VERDICT = "verdict"
ANSWER = "perfgate"
"""The property of the whole test suite with the session's answer, in front of all tests."""


ABSENT = f"{ANSWER}.absent"
"""The property of the whole test suite with one thing that was not measured, and why."""


def head(config: pytest.Config, answer: str, absent: Iterable[str]) -> None:
    """Puts the session's answer in front of the JUnit file, where one is written, and each line of
    what was `absent`.

    Called at the end of the session, when no fixture can be asked for, and in the controller of
    pytest-xdist, which runs no test.
    """
    from _pytest.junitxml import xml_key  # record_testsuite_property is for tests only

    xml = config.stash.get(xml_key, None)
    if xml is not None:
        xml.add_global_property(ANSWER, answer)
        for line in absent:
            xml.add_global_property(ABSENT, line)


def of(
    verdict: Verdict, report: str, target: str = "", machine: str = ""
) -> list[tuple[str, object]]:
    """Names and values: numbers in the metric's base unit; what was not measured is left out.

    `target` and `machine` say where it was to be measured and where it was, "" for the session's
    machine and for none. `report` is the path of the session's page. A limit is named by its kind:
    `limit.speedup`, `limit.speedup.estimate`; ratios and differences as `limit.speedup.scale` says.
    Of a budget that was not measured again, `earlier.session` and so on name the session that
    measured it.
    """
    properties: list[tuple[str, object]] = [
        ("recipe", verdict.recipe),
        ("metric", verdict.metric),
        *([("target", target)] if target else []),
        *([("machine", machine)] if machine else []),
        (VERDICT, verdict.status.value),
        ("reason", verdict.reason),
    ]
    if verdict.next_step:
        properties.append(("next", verdict.next_step))
    properties += _measured("", verdict.value, verdict.low, verdict.high)
    if verdict.unit:
        properties.append(("unit", verdict.unit))
    if verdict.baseline is not None:
        properties.append(("baseline", verdict.baseline))
    for limit in verdict.limits:
        name = f"limit.{limit.kind}"
        properties += [(name, limit.text), (f"{name}.verdict", limit.status.value)]
        if limit.estimate is not None:
            properties.append((f"{name}.scale", limit.scale))
            properties += _measured(f"{name}.", limit.estimate, limit.low, limit.high)
        if limit.against:
            properties.append((f"{name}.against", limit.against))
    if verdict.earlier is not None:
        properties += [
            ("earlier.session", verdict.earlier.session),
            ("earlier.started", verdict.earlier.started),
            ("earlier.commit", verdict.earlier.commit),
            ("earlier.verdict", verdict.earlier.status.value),
        ]
    properties.append(("report", report))
    return properties


def _measured(
    place: str, value: float | None, low: float | None, high: float | None
) -> list[tuple[str, object]]:
    name = "estimate" if place else "value"
    parts = ((name, value), ("low", low), ("high", high))
    return [(f"{place}{name}", part) for name, part in parts if part is not None]
