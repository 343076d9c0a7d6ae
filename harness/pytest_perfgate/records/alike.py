"""Whether two records measured a metric alike: what was not is never compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_perfgate.metric import NODES, Metric, Rule
from pytest_perfgate.records.launch_values import PEAKS, batch_of
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.same_images import other_images

OF_BATCHES = frozenset({"throughput", *PEAKS})
"""Metrics that depend on the batches that a launch ran: the largest one takes the most memory."""

_UNNAMED = {"name": "images", "options": {}}


def batch_of_record(record: RecipeRecord, metric: str) -> int:
    """Images in the batches that a metric of a record was taken beside, 0: no batches."""
    return max((batch_of(launch, metric) for launch in record.launches), default=0)


def unlike(metric: Metric, ours: RecipeRecord, theirs: RecipeRecord) -> str:
    """Why values of two records, of one recipe at two versions of the code, are not compared; ""
    when they are.
    """
    if metric.rule is Rule.IMAGES and ours.accuracy and theirs.accuracy:
        return other_images(metric, ours.accuracy, theirs.accuracy, "base")
    if metric.name == NODES:
        return unlike_graphs(*(one.counts.source if one.counts else "" for one in (ours, theirs)))
    if metric.rule is not Rule.LAUNCHES:
        return ""
    if problem := unlike_work(work_of(ours), work_of(theirs)):
        return problem
    if metric.name in OF_BATCHES and ours.launches and theirs.launches:
        return unlike_batches(*(batch_of_record(one, metric.name) for one in (ours, theirs)))
    return ""


def work_of(record: RecipeRecord) -> str:
    """The work that a recipe's launches do, with all of its options, for people: two of one text
    are the same.
    """
    spec: Mapping[str, Any] = record.spec.get("workload") or _UNNAMED
    named = ", ".join(f"{key} = {value}" for key, value in sorted(spec.get("options", {}).items()))
    return f"{spec['name']} ({named})" if named else str(spec["name"])


def unlike_work(ours: str, theirs: str) -> str:
    """Why values of these works are not compared; "" when they are. Unknown work (files of before)
    is that of the other.
    """
    if ours == theirs or not ours or not theirs:
        return ""
    return f"it measures other work: {theirs} there, {ours} here"


def unlike_batches(ours: int, theirs: int) -> str:
    """Why values beside batches of these sizes are not compared; "" when they are."""
    if ours == theirs:
        return ""
    there, here = (f"batches of {size}" if size else "no batches" for size in (theirs, ours))
    return f"it ran {there} there, {here} here"


def unlike_graphs(ours: str, theirs: str) -> str:
    """Why numbers of nodes are not compared that were read there; "" when they are: operators that
    torch dispatches and nodes of a runtime's optimized graph are different things. An unknown place
    (files that do not name it) is that of the other.
    """
    if ours == theirs or not ours or not theirs:
        return ""
    return f"its nodes were counted in {theirs} there, in {ours} here"
