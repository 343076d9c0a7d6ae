"""The values that a score can have."""

from __future__ import annotations

import math

from pytest_perfgate.records.robustness import ROBUSTNESS

_OTHERS = {"mota": (-math.inf, 1.0), "id_switches": (0.0, math.inf), ROBUSTNESS: (0.0, math.inf)}
"""Scores that are no shares."""


def range_of(score: str) -> tuple[float, float]:
    """The least and the largest value of a score, by its name without a scope."""
    return _OTHERS.get(score, (0.0, 1.0))
