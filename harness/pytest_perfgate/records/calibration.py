"""Scores of an evaluation's predictions beside whether each is right, from its matches."""

from __future__ import annotations

from typing import Any

from pytest_perfgate.records.accuracy import Matches, Packed, Ratio, in_steps

ECE = "ece"
"""The metric of an expected calibration error; records hold it as matches."""

OVERLAP = 0.5
"""The IoU from which on a detection is right."""


def counted(matches: Matches) -> tuple[Any, Any, Any]:
    """Of all predictions that count: the index of each one's image int32 (N,), its score float32
    (N,), and whether it is right at `OVERLAP`, bool (N,).
    """
    bit = 1 << matches.thresholds.index(OVERLAP)
    counts = (matches.ignored.array() & bit) == 0
    right = (matches.hits.array()[counts] & bit) > 0
    return matches.image.array()[counts], matches.score.array()[counts], right


def calibration_parts(matches: Matches) -> Ratio:
    """What the expected calibration error is made of: see `stats.reliability`."""
    from pytest_perfgate.stats.reliability import calibration_shares

    top, bottom = calibration_shares(*counted(matches), matches.truth.shape[0])
    return Ratio(numerator=Packed.of(in_steps(top)), denominator=Packed.of(bottom))
