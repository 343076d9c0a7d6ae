"""Which length of the yardstick corrects which time, and what it took in each launch.

A yardstick is so many *pieces* of one fixed work, one after the other. A piece takes about 2 ms,
which fits into a scheduler's slice: beside a busy process it takes as long as before, while an
inference of 11 ms is interrupted again and again. So a time is corrected by the length that is
nearest to it, and a stored time by the length that it was stored with.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from pytest_perfgate.metric import Metric
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.launch_values import geometric_mean, launch_value, level, quantile
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.units import Unit

SHORTEST = 1
"""Pieces of the length that every launch measures, and the only one of files that name none."""

LENGTHS = (SHORTEST, 4, 16)
"""In pieces. The longest spans several slices of any scheduler: longer inferences are interrupted
as often, in proportion."""

_PIECE_SECONDS = 0.002  # about what a piece takes: for the choice before anything was measured


def column(pieces: int) -> str:
    """The name of a length's values in the yardstick's launches; those of the shortest are its
    `inference`.
    """
    return f"pieces_{pieces}"


def needed(seconds: float) -> int:
    """The length to measure beside turns that take about so long."""
    if seconds <= 0:
        return SHORTEST
    return min(LENGTHS, key=lambda pieces: abs(math.log(pieces * _PIECE_SECONDS / seconds)))


def yardstick_values(launches: Sequence[Launch], pieces: int = SHORTEST) -> dict[int, float]:
    """Launch number to the median time of a yardstick of so many pieces, seconds; launches that
    did not measure this length are left out.
    """
    metric = "inference_p50" if pieces == SHORTEST else column(pieces)
    values = {}
    for launch in launches:
        known = pieces == SHORTEST or metric in launch.values
        value = launch_value(launch, metric) if known else None
        if value:
            values[launch.index] = value
    return values


def device_values(
    yardsticks: Mapping[str, Sequence[Launch]], gpus: Sequence[str]
) -> dict[int, float]:
    """Launch number to the median time on the device of the yardsticks of these GPUs, seconds: of
    several their geometric mean; launches that lack one are left out.
    """
    sides = [
        {
            launch.index: value
            for launch in yardsticks.get(gpu, ())
            if (value := launch_value(launch, "device_time_p50"))
        }
        for gpu in gpus
    ]
    known = set.intersection(*map(set, sides)) if sides else set()
    return {index: geometric_mean([side[index] for side in sides]) for index in sorted(known)}


def measured_lengths(launches: Sequence[Launch]) -> tuple[int, ...]:
    """The lengths that every one of these launches measured, in pieces."""
    return tuple(
        pieces
        for pieces in LENGTHS
        if launches and len(yardstick_values(launches, pieces)) == len(launches)
    )


def nearest(launches: Sequence[Launch], seconds: float, among: Collection[int] = LENGTHS) -> int:
    """Of the lengths that these launches measured, and that are `among` these, the one that took
    most nearly so long; the shortest when there is no other.
    """
    distances = {}
    for pieces in measured_lengths(launches):
        if pieces in among and seconds > 0:
            times = yardstick_values(launches, pieces).values()
            mean = math.fsum(map(math.log, times)) / len(times)
            distances[pieces] = abs(math.log(seconds) - mean)
    return min(distances, key=lambda pieces: distances[pieces], default=SHORTEST)


def span(record: RecipeRecord, metric: Metric) -> float:
    """Seconds of work behind one observation of a metric: of a rate those of its batches; 0: not
    known.
    """
    if metric.unit is Unit.SECONDS:
        return level(record, metric) or 0.0
    batches = [quantile(launch.batches, 0.5) for launch in record.launches if launch.batches]
    if metric.unit is Unit.IMAGES_PER_SECOND and batches:
        return quantile(batches, 0.5)
    return 0.0
