"""Which yardstick corrects which metric: that of the cores, that of the GPU, or none.

A recipe on a GPU waits for the device, whose clocks are its own: its times go through the GPU's
yardstick and never through the cores'. Its pre-process and post-process are work of the cores.
Loading is work of disks and drivers, for which no yardstick stands.
"""

from __future__ import annotations

from enum import Enum

from pytest_perfgate.metric import Metric, Rule
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.runtimes import on_device
from pytest_perfgate.units import Unit

_OF_CORES = frozenset({"preprocess_p50", "postprocess_p50"})
_LOADING = "load_time"


class Corrects(Enum):
    """Whose yardstick."""

    CORES = "the cores"
    DEVICE = "the GPU"
    NONE = ""


def corrected_by(metric: Metric, record: RecipeRecord) -> Corrects:
    """Whose yardstick corrects a metric of a recipe."""
    timed = metric.unit in {Unit.SECONDS, Unit.IMAGES_PER_SECOND}
    if not timed or metric.rule is not Rule.LAUNCHES:
        return Corrects.NONE
    if not on_device(record.runtime_facts):
        return Corrects.NONE if metric.device_only else Corrects.CORES
    if metric.name in _OF_CORES:
        return Corrects.CORES
    return Corrects.NONE if metric.name == _LOADING else Corrects.DEVICE
