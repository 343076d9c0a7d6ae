"""Sessions of earlier versions, carried up a version at a time, as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_perfgate.records.migrations import add_ignored


def from_1(data: dict[str, Any]) -> dict[str, Any]:
    """Version 1 grew while it was written; version 2 is what it came to.

    Its first files have no `ignored` beside the matches: detections on objects that are to be
    ignored were left out of them, so none of those that are there is ignored. Later ones say how
    many samples a round has, `per_round`; sample k was compared with sample k, as it is without.
    """
    for record in _records(data):
        for launch in _dicts(record.get("launches")):
            launch.pop("per_round", None)
        add_ignored(record.get("accuracy"))
    for suite in _dicts(data.get("suites")):
        for launch in _dicts(suite.get("yardstick")):
            launch.pop("per_round", None)
    return {**data, "version": 2}


def _records(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every recipe, copy and base recipe of every suite."""
    for suite in _dicts(data.get("suites")):
        yield from _dicts(suite.get("recipes"))
        yield from _dicts(suite.get("controls"))
        base = suite.get("base")
        yield from _dicts(base.get("recipes") if isinstance(base, dict) else None)


def _dicts(parsed: Any) -> Iterator[dict[str, Any]]:
    yield from (
        entry for entry in (parsed if isinstance(parsed, list) else ()) if isinstance(entry, dict)
    )
