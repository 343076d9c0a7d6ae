"""Files of baselines in the forms of earlier versions, each made into the next version's."""

from __future__ import annotations

from typing import Any

from pytest_perfgate.records.migrations import Migration, add_ignored, round_ratios


def _from_1(data: dict[str, Any]) -> dict[str, Any]:
    """The first files of version 1 have no `ignored` beside the matches."""
    add_ignored(data.get("accuracy"))
    return {**data, "version": 2}


def _from_2(data: dict[str, Any]) -> dict[str, Any]:
    """Files of version 2 hold in their JSON what is now in a file beside it; both are read. Their
    sums of scores are not rounded.
    """
    round_ratios(data.get("accuracy"))
    return {**data, "version": 3}


def _from_3(data: dict[str, Any]) -> dict[str, Any]:
    """Files of version 3 and before may hold a peak that was measured in the timed process, which
    is larger than the same recipe's peak now; nothing in them tells which it is.
    """
    metrics, peak = data.get("metrics"), "peak_memory"
    if not isinstance(metrics, dict) or peak not in metrics:
        return {**data, "version": 4}
    kept = {name: metric for name, metric in metrics.items() if name != peak}
    return {**data, "version": 4, "metrics": kept, "redefined": [peak]}


def _from_4(data: dict[str, Any]) -> dict[str, Any]:
    """Files of version 4 hold in their JSON what is now in files beside it for sets; both are
    read.
    """
    return {**data, "version": 5}


def _from_5(data: dict[str, Any]) -> dict[str, Any]:
    """Files of version 5 name one origin, which all their metrics keep."""
    return {**data, "version": 6}


def _from_6(data: dict[str, Any]) -> dict[str, Any]:
    """Files beside those of version 6 are whole, none the differences to another; both are read."""
    return {**data, "version": 7}


MIGRATIONS: dict[int, Migration] = {
    1: _from_1,
    2: _from_2,
    3: _from_3,
    4: _from_4,
    5: _from_5,
    6: _from_6,
}
"""Version to the function that makes its data into the next version's."""
