"""Recipes that gain nothing: what a budget may not ask, and a reader of the report must see."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pytest_perfgate.metric import PERFORMANCE
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.units import show_percent
from pytest_perfgate.verdicts.limit_bounds import log_ratios

GAIN = 0.02
"""A recipe that is not faster than its reference by this much has not become faster."""

_SURE = 0.025  # on each side


def without_gain(recipes: Sequence[RecipeRecord]) -> tuple[str, ...]:
    """Recipes with steps of their own that are surely not faster than their reference, a line each.

    They were measured beside each other; what was not says nothing.
    """
    from pytest_perfgate.stats.sequential import fixed_bounds

    metric = PERFORMANCE["latency_p50"]
    records = {record.name: record for record in recipes}
    lines = []
    for record in recipes:
        reference = records.get(record.reference)
        if reference is None or reference is record or record.failure or reference.failure:
            continue
        steps = [link.step for link in record.lineage[len(reference.lineage) :]]
        ratios = log_ratios(metric, record, reference)
        if not steps or len(ratios) < 2:
            continue
        middle, low, _ = fixed_bounds(ratios, _SURE)
        if low <= math.log1p(-GAIN):
            continue
        word = "slower" if low > 0 else "no faster"
        change = show_percent(math.expm1(middle))
        lines.append(
            f"{record.name} is {word} than {reference.name} (latency_p50 {change}): "
            f"{', '.join(steps)} changed the model, not its speed here"
        )
    return tuple(lines)
